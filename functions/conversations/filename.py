"""The name of a file that a browser saves, made from a title in any script: safe on every system, and readable."""

import re
import unicodedata
from typing import Final
from urllib.parse import quote

from functions.common.cutting import cut

# All of ASCII but letters and digits, white space, control characters, and those that turn the direction of writing, by which a
# name can pretend to have another ending. The web client has the same (web/src/core/filename.ts).
_UNSAFE = re.compile(
    r"[\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\xa0\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff\ufffe\uffff\s]+"
)
_CHARS: Final = 60  # 4 bytes each at most: with the ending below the 255 bytes that file systems take


def stem(title: str, otherwise: str) -> str:
    """The name without its ending; `otherwise` where the title has nothing to name a file by."""
    return cut(_UNSAFE.sub("-", unicodedata.normalize("NFC", title)).strip("-"), _CHARS).strip("-") or otherwise


def attachment(title: str, otherwise: str, ending: str) -> str:
    """The value of Content-Disposition (RFC 6266): the name as it is, and an ASCII one for clients that know no other."""
    name = stem(title, otherwise)
    plain = re.sub("-+", "-", name.encode("ascii", "replace").decode().replace("?", "-")).strip("-") or otherwise
    value = f'attachment; filename="{plain}{ending}"'
    return value if plain == name else f"{value}; filename*=UTF-8''{quote(name + ending, safe='')}"
