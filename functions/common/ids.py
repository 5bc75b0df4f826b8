"""Ids: UUIDs made so that the same turn always names the same things.

Everything a turn writes is named before anything is sent, so a repeat of the turn, on any instance, writes the same items.
"""

import hashlib
import os
import re
import time
from typing import Final

UUID_PATTERN: Final = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_UUID = re.compile(UUID_PATTERN, re.ASCII)
_VARIANT = 0x8000_0000_0000_0000  # RFC 9562 section 4.1: the two bits `10` that open the last half
_RANDOM_BITS = (1 << 62) - 1


def is_uuid(text: str) -> bool:
    """Whether `text` is a UUID as the API writes it: lower case, with dashes."""
    return len(text) == 36 and _UUID.match(text) is not None


def new_id() -> str:
    """A fresh UUID version 7 (RFC 9562 section 5.7): sorts by the millisecond it was made in."""
    return _version7(time.time_ns() // 1_000_000, os.urandom(10))


def derived_id(turn_id: str, user_id: str, what: str) -> str:
    """The UUID version 7 of one thing of a turn: its conversation, or its nth message.

    The time is the turn's own when its id is a version 7, else it is drawn from the digest like the rest, so that two instances
    that never spoke still agree. The user is part of it: another user's turn of the same id names other things.
    """
    digest = hashlib.sha256(f"{turn_id}\n{what}\n{user_id}".encode()).digest()
    version7 = turn_id[14] == "7" and turn_id[19] in "89ab"
    milliseconds = int(turn_id[:8] + turn_id[9:13], 16) if version7 else int.from_bytes(digest[10:15], "big")
    return _version7(milliseconds, digest[:10])


def _version7(milliseconds: int, random: bytes) -> str:
    first = (milliseconds & 0xFFFF_FFFF_FFFF) << 16 | 0x7000 | int.from_bytes(random[:2], "big") & 0x0FFF
    last = _VARIANT | int.from_bytes(random[2:], "big") & _RANDOM_BITS
    text = f"{first << 64 | last:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
