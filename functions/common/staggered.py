"""A connection to the first address of a host that answers (RFC 8305, "Happy Eyeballs").

asyncio's own race of addresses loses the winner's socket when it is cancelled at its end, so the sockets are this module's.
"""

import asyncio
import socket
from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Any, Final

NEXT_AFTER_S: Final = 0.25  # RFC 8305 section 5: the recommended delay before the next address is tried beside
AddressInfo = tuple[int, int, int, str, Any]


async def addresses(host: str, port: int) -> list[AddressInfo]:
    """Those of the host, the two families in turn, beginning with the one that the system prefers. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    first = [one for one in found if one[0] == found[0][0]] if found else []
    rest = [one for one in found if one[0] != found[0][0]] if found else []
    return [one for one in chain.from_iterable(zip_longest(first, rest)) if one is not None]


async def connected_socket(found: Sequence[AddressInfo]) -> socket.socket:
    """Tries one address after the other, the next one when the one before failed or has not answered for a while.

    Raises the first OSError when all have failed.
    """
    tries: list[asyncio.Task[socket.socket]] = []
    errors: list[OSError] = []
    won: asyncio.Task[socket.socket] | None = None
    left = list(found)
    try:
        while left or len(errors) < len(tries):
            if left:
                tries.append(asyncio.create_task(_try(left.pop(0))))
            waiting = [one for one in tries if not one.done()]
            if waiting:
                await asyncio.wait(waiting, timeout=NEXT_AFTER_S if left else None, return_when=asyncio.FIRST_COMPLETED)
            over = [one for one in tries if one.done()]
            won = next((one for one in over if one.exception() is None), None)
            if won is not None:
                return won.result()
            errors = [error for one in over if isinstance(error := one.exception(), OSError)]
        raise errors[0] if errors else OSError("the host has no address")
    finally:
        for one in tries:
            if one is not won:
                one.add_done_callback(_close)
                one.cancel()


async def _try(address: AddressInfo) -> socket.socket:
    family, kind, protocol, _, where = address
    made = socket.socket(family, kind, protocol)
    made.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(made, where)
    except BaseException:
        made.close()
        raise
    return made


def _close(loser: "asyncio.Task[socket.socket]") -> None:
    if not loser.cancelled() and loser.exception() is None:
        loser.result().close()
