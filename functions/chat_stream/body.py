"""Reading a request's body within its limits of size and time."""

import asyncio
from typing import Final

from starlette.requests import ClientDisconnect, Request

from functions.chat_stream.settings import Limits
from functions.common import problems

_JSON: Final = "application/json"


async def read_json_bytes(request: Request, limits: Limits) -> bytes:
    """The body; raises UnsupportedMediaType, TooLarge or RequestTimeout. Refuses by Content-Length before it reads."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
        raise problems.UnsupportedMediaType("content-type: send application/json")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise problems.UnsupportedMediaType("content-encoding: send the body as it is, not compressed")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limits.body_bytes:
        raise _too_large(limits)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.body_timeout_s):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limits.body_bytes:
                    raise _too_large(limits)
                chunks.append(chunk)
    except TimeoutError:
        raise problems.RequestTimeout(f"the body took longer than {limits.body_timeout_s:g} s") from None
    except ClientDisconnect:
        raise problems.InvalidRequest("the body broke off") from None
    return b"".join(chunks)


def _too_large(limits: Limits) -> problems.TooLarge:
    return problems.TooLarge(f"the body may have at most {limits.body_bytes} bytes")
