"""Takes out of a shared object what only a linker or a debugger reads: section headers and symbol tables, as `sstrip` does.

`strip` would do, but a machine's own cannot read another architecture's files. The dynamic loader knows program headers only, and
what it needs (dynamic symbols, relocations) lies inside the segments they name. The cryptography wheel has 3 MB of them.
"""

import struct
from typing import Final

_MAGIC: Final = b"\x7fELF\x02\x01"  # 64 bits, little-endian: both of Lambda's architectures
_HEADER: Final = struct.Struct("<16xHHIQQQIHHHHHH")
_PROGRAM_HEADER: Final = struct.Struct("<IIQQQQQQ")
_SECTIONS_AT: Final = 0x28  # e_shoff
_SECTION_NUMBERS_AT: Final = 0x3A  # e_shentsize, e_shnum, e_shstrndx


def stripped(image: bytes) -> bytes:
    """The file without its sections; the file itself when it is not such an object."""
    if not image.startswith(_MAGIC):
        return image
    _, _, _, _, first, _, _, _, size, count, *_ = _HEADER.unpack_from(image)
    end = first + size * count
    for index in range(count):
        _, _, offset, _, _, length, _, _ = _PROGRAM_HEADER.unpack_from(image, first + index * size)
        end = max(end, offset + length)
    kept = bytearray(image[:end])
    struct.pack_into("<Q", kept, _SECTIONS_AT, 0)
    struct.pack_into("<HHH", kept, _SECTION_NUMBERS_AT, 0, 0, 0)
    return bytes(kept)
