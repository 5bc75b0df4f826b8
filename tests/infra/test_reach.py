"""Which modules imports reach, and shared objects without what only a debugger reads."""

import hashlib
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from infra.package.elf import stripped
from infra.package.reach import Bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return tmp_path


def put(bundle: Path, **modules: str) -> None:
    for name, source in modules.items():
        path = bundle / (name.replace("__", "/").replace("/init", "/__init__") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)


def reached(bundle: Path, entry: str = "entry", never: tuple[str, ...] = ()) -> set[str]:
    return set(Bundle(bundle).reached([entry], never))


@pytest.mark.parametrize(
    "source",
    [
        "import lib.used",
        "from lib import used",
        "from lib.used import thing",
        "def f():\n    import lib.used",
        "try:\n    import lib.used\nexcept ImportError:\n    pass",
        "if TYPE_CHECKING:\n    pass\nelse:\n    import lib.used",
        "importlib.import_module('lib.used')",
        "LAZY = 'lib.used:Thing'",
    ],
)
def test_a_module_that_an_import_reaches_is_kept_with_its_packages(bundle: Path, source: str) -> None:
    put(bundle, entry=source, lib__init="", lib__used="", lib__unused="")
    assert reached(bundle) == {"entry", "lib", "lib.used"}


@pytest.mark.parametrize(
    "source",
    [
        "if TYPE_CHECKING:\n    import lib.used",
        "import typing\nif typing.TYPE_CHECKING:\n    import lib.used",
        '"""lib.used"""',
        "",
    ],
)
def test_what_only_a_type_checker_or_a_reader_sees_reaches_nothing(bundle: Path, source: str) -> None:
    put(bundle, entry=source, lib__init="", lib__used="")
    assert reached(bundle) == {"entry"}


def test_imports_are_followed_relative_ones_too(bundle: Path) -> None:
    put(bundle, entry="import a", a__init="from . import b", a__b="from .c import d", a__c="from ..z import y", z="")
    assert reached(bundle) == {"entry", "a", "a.b", "a.c"}
    put(bundle, a__c="from .. import a\nimport z")
    assert "z" in reached(bundle)


def test_a_table_of_lazy_names_in_a_package_counts(bundle: Path) -> None:
    put(
        bundle,
        entry="import lib",
        lib__init="_LAZY = {'one': '.one', 'Two': ('two', 'Two')}",
        lib__one="",
        lib__two="",
        lib__three="",
    )
    assert reached(bundle) == {"entry", "lib", "lib.one", "lib.two"}


def test_what_is_never_taken_is_left_out_with_all_below_it(bundle: Path) -> None:
    put(bundle, entry="import lib.x.y, lib.z", lib__init="", lib__x__init="", lib__x__y="", lib__z="")
    assert reached(bundle, never=("lib.x",)) == {"entry", "lib", "lib.z"}


def test_an_import_that_no_source_shows_is_named(bundle: Path) -> None:
    put(bundle, entry="import native", native="", hidden="")
    assert set(Bundle(bundle).reached(["entry"], (), {"native": ("hidden",)})) == {"entry", "native", "hidden"}


def test_an_entry_that_is_not_there_is_an_error(bundle: Path) -> None:
    with pytest.raises(LookupError, match="entry"):
        reached(bundle)


def test_a_stripped_object_is_smaller_and_still_loads(tmp_path: Path) -> None:
    """cryptography's: the one that matters, in a process of its own."""
    package = Path(sysconfig.get_paths()["platlib"]) / "cryptography" / "hazmat" / "bindings"
    (original,) = package.glob("_rust*.so")
    image = original.read_bytes()
    small = stripped(image)
    if not image.startswith(b"\x7fELF"):
        pytest.skip("this machine's objects are not ELF")
    assert len(small) < 0.9 * len(image)
    assert small != image
    copied = tmp_path / "cryptography"
    shutil.copytree(original.parents[2], copied)
    (copied / "hazmat" / "bindings" / original.name).write_bytes(small)
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from cryptography.hazmat.primitives import hashes\n"
        "digest = hashes.Hash(hashes.SHA256()); digest.update(b'x')\n"
        "print(hashes.__file__, digest.finalize().hex())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=30)
    assert done.stdout.split() == [str(copied / "hazmat" / "primitives" / "hashes.py"), hashlib.sha256(b"x").hexdigest()], (
        done.stderr
    )


def test_what_is_no_object_stays_as_it_is() -> None:
    assert stripped(b"#!/bin/sh\n") == b"#!/bin/sh\n"
