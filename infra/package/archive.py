"""A folder as a zip whose bytes depend on nothing but the folder's content: same files, same hash."""

import hashlib
import zipfile
from pathlib import Path
from typing import Final

_LONG_AGO: Final = (1980, 1, 1, 0, 0, 0)  # the first moment a zip can name
_FILE, _EXECUTABLE = 0o100644, 0o100755


def normalise(folder: Path) -> None:
    """Permissions as Lambda needs them, whatever the umask: readable by all, executable where it was."""
    for path in [folder, *folder.rglob("*")]:
        executable = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(0o755 if executable else 0o644)


def write(folder: Path, target: Path) -> None:
    """Zips the folder's files to `target`, sorted by name, all of one time."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            info = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _LONG_AGO)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3  # Unix, on every machine: the permissions below are Unix's
            info.external_attr = (_EXECUTABLE if path.stat().st_mode & 0o100 else _FILE) << 16
            archive.writestr(info, path.read_bytes(), compresslevel=9)


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
