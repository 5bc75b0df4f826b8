"""Builds one function's bundle: installed, trimmed to what its entry reaches, compiled, zipped. Again only after a change."""

import fcntl
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.package import archive, bytecode, elf, lazy, uv
from infra.package.reach import Bundle
from infra.package.recipe import (
    HIDDEN_IMPORTS,
    LAZY,
    NEVER_TAKEN,
    OF_THE_RUNTIME,
    ONLY_CHILDREN,
    RECIPES,
    WITH_METADATA,
    Arch,
    Recipe,
)

DEFAULT_OUT: Final = uv.ROOT / "dist" / "lambda"
RUN_SCRIPT: Final = "run.sh"


@dataclass(frozen=True, slots=True)
class Package:
    """A function's bundle: the folder, the zip of it, and whether byte code is inside."""

    function: str
    folder: Path
    zip: Path
    compiled: bool

    @property
    def digest(self) -> str:
        return archive.digest(self.zip)


def build(function: str, arch: Arch = "arm64", out: Path = DEFAULT_OUT) -> Package:
    """The function's package, made anew unless `out` has it from the same inputs. Raises PackagingError."""
    name = f"{function}-{arch}"
    compiled = bytecode.interpreter() is not None
    package = Package(function, out / name, out / f"{name}.zip", compiled)
    out.mkdir(parents=True, exist_ok=True)
    with (out / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two builders at once: the second finds what the first made
        stamp, inputs = out / f"{name}.inputs", _inputs(function, compiled)
        if not (package.zip.is_file() and package.folder.is_dir() and stamp.is_file() and stamp.read_text() == inputs):
            stamp.unlink(missing_ok=True)
            _make(package, name, arch)
            stamp.write_text(inputs)
    return package


def _make(package: Package, name: str, arch: Arch) -> None:
    function, out = package.function, package.zip.parent
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        made = Path(scratch) / name
        _fill(made, Path(scratch) / "wheels", RECIPES[function], function, arch)
        archive.normalise(made)
        archive.write(made, Path(scratch) / package.zip.name)
        shutil.rmtree(package.folder, ignore_errors=True)
        made.rename(package.folder)
        (Path(scratch) / package.zip.name).rename(package.zip)


def _fill(made: Path, wheels: Path, recipe: Recipe, function: str, arch: Arch) -> None:
    uv.install(function, arch, wheels)
    shutil.copytree(uv.ROOT / bytecode.OWN, wheels / bytecode.OWN, ignore=shutil.ignore_patterns("__pycache__"))
    bundle = Bundle(wheels, LAZY)
    kept = bundle.reached([recipe.entry], _never(bundle, recipe), HIDDEN_IMPORTS)
    for path in [*kept.values(), *_files(wheels, recipe)]:
        _copy(path, made / path.relative_to(wheels))
    for name in kept.keys() & bundle.passing_on.keys():
        places = {found: place for found, place in bundle.passing_on[name].items() if place.module in kept}
        (made / kept[name].relative_to(wheels)).write_bytes(lazy.written(places))
    for source in recipe.executables:
        target = made / Path(source).name
        shutil.copyfile(uv.ROOT / source, target)
        target.chmod(0o755)
    bytecode.compile_all(made)


def _never(bundle: Bundle, recipe: Recipe) -> set[str]:
    never = {*NEVER_TAKEN, *OF_THE_RUNTIME, *recipe.never}
    for package, children in ONLY_CHILDREN.items():
        never |= {name for name in bundle.children(package) if name.rpartition(".")[2] not in children}
    return never


def _files(wheels: Path, recipe: Recipe) -> Iterator[Path]:
    """What goes along and is no module."""
    for pattern in recipe.files:
        yield from sorted(wheels.glob(pattern))
    for distribution in WITH_METADATA:
        yield from wheels.glob(f"{distribution}-*.dist-info/METADATA")


def _copy(source: Path, target: Path) -> None:
    content = source.read_bytes()
    if source.suffix == ".so":
        content = elf.stripped(content)
    elif source.name == "METADATA":
        content = content.partition(b"\n\n")[0] + b"\n"  # the fields; behind them comes the README
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


def _inputs(function: str, compiled: bool) -> str:
    """A digest of all that decides the package's content."""
    hashed = hashlib.sha256(f"{function} {compiled}".encode())
    sources = [uv.ROOT / "uv.lock", uv.ROOT / "pyproject.toml", *Path(__file__).parent.glob("*.py")]
    sources += [path for path in (uv.ROOT / bytecode.OWN).rglob("*") if path.is_file() and path.suffix != ".pyc"]
    for path in sorted(sources):
        hashed.update(f"{path.relative_to(uv.ROOT)}\0{archive.digest(path)}\0".encode())
    return hashed.hexdigest()
