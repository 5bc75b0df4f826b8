"""Cuts a text at a length, never inside what its reader sees as one character: an emoji, a letter with its accents, a flag.

Follows Unicode's extended grapheme clusters (UAX 29) as far as two neighbours tell; the web client has the browser's own.
"""

import unicodedata
from typing import Final

_JOINER: Final = "\u200d"
_MARKS: Final = frozenset({"Mn", "Me", "Mc"})
_OTHERS_THAT_EXTEND: Final = frozenset("\u200c\u0e33\u0eb3\uff9e\uff9f")  # marks by their use, letters by their category


def cut(text: str, length: int) -> str:
    """The first characters of the text: `length` code points, or fewer where the last would be a part of a character."""
    if len(text) <= length:
        return text
    end = length
    while end > 0 and _is_inside(text, end):
        end -= 1
    return text[: end or length]  # one character longer than all there is room for


def _is_inside(text: str, index: int) -> bool:
    """Whether the code points before and after the index are of one character."""
    before, after = text[index - 1], text[index]
    if before == _JOINER or after == _JOINER or _extends(after):
        return True
    if _is_regional(before) and _is_regional(after):
        return _regionals_before(text, index) % 2 == 1  # a flag is two of them
    return _is_jamo_pair(ord(before), ord(after))


def _extends(char: str) -> bool:
    point = ord(char)
    return (
        unicodedata.category(char) in _MARKS
        or char in _OTHERS_THAT_EXTEND
        or 0x1F3FB <= point <= 0x1F3FF  # skin tones
        or 0xE0020 <= point <= 0xE007F  # tags: the flags of regions
    )


def _is_regional(char: str) -> bool:
    return 0x1F1E6 <= ord(char) <= 0x1F1FF


def _regionals_before(text: str, index: int) -> int:
    start = index
    while start > 0 and _is_regional(text[start - 1]):
        start -= 1
    return index - start


def _is_jamo_pair(before: int, after: int) -> bool:
    """Parts of one Hangul syllable: a leading consonant with what follows, or anything with a vowel or a final consonant."""
    leading = 0x1100 <= before <= 0x115F or 0xA960 <= before <= 0xA97C
    if 0x1160 <= after <= 0x11FF or 0xD7B0 <= after <= 0xD7FB:
        return leading or 0x1160 <= before <= 0x11FF or 0xD7B0 <= before <= 0xD7FB or 0xAC00 <= before <= 0xD7A3
    return leading and (0x1100 <= after <= 0x115F or 0xA960 <= after <= 0xA97C or 0xAC00 <= after <= 0xD7A3)
