"""Which modules imports reach, packages that import lazily, and shared objects without what only a debugger reads."""

import hashlib
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from infra.package import lazy
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


def lazy_package(bundle: Path, entry: str) -> Bundle:
    """`lib` passes on what its modules hold, and `lib.sub` in turn what its own do."""
    put(
        bundle,
        entry=entry,
        lib__init="from __future__ import annotations\nfrom .one import One\nfrom .sub import Two as Two\nfrom . import three",
        lib__one="One = 1",
        lib__sub__init="from .two import Two, Other as Else",
        lib__sub__two="Two, Other = 2, 3",
        lib__three="",
    )
    return Bundle(bundle, ["lib"])


@pytest.mark.parametrize(
    ("entry", "modules"),
    [
        ("import lib", set()),
        ("from lib import One", {"lib.one"}),
        ("from lib import Two", {"lib.sub", "lib.sub.two"}),
        ("from lib import three", {"lib.three"}),
        ("import lib.sub.two", {"lib.sub", "lib.sub.two"}),
        ("from lib.sub import Else", {"lib.sub", "lib.sub.two"}),
    ],
)
def test_a_lazy_package_reaches_what_is_asked_of_it(bundle: Path, entry: str, modules: set[str]) -> None:
    assert set(lazy_package(bundle, entry).reached(["entry"])) == {"entry", "lib"} | modules


def test_a_package_that_does_more_than_pass_on_stays_as_it_is(bundle: Path) -> None:
    put(bundle, entry="import lib", lib__init="from .one import One\nprint(One)", lib__one="One = 1")
    assert not Bundle(bundle, ["lib"]).passing_on
    assert "lib.one" in Bundle(bundle, ["lib"]).reached(["entry"])


def test_a_lazy_package_passes_the_same_names_on_and_imports_none_before(bundle: Path) -> None:
    for name, places in lazy_package(bundle, "").passing_on.items():
        (bundle / name.replace(".", "/") / "__init__.py").write_bytes(lazy.written(places))
    script = (
        f"import sys; sys.path.insert(0, {str(bundle)!r}); sys.dont_write_bytecode = True\n"
        "import lib; before = [name for name in sys.modules if name.startswith('lib')]\n"
        "from lib import One; from lib.sub import Else; from lib import *\n"
        "print(before, One, lib.One, Else, Two, three.__name__, lib.sub.Two)\n"
        "try: from lib import Missing\nexcept ImportError as error: print(error)\n"
        "print(lib.Missing)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=30)
    said, missing = done.stdout.splitlines()
    assert said == "['lib'] 1 1 3 2 lib.three 2"
    assert "cannot import name 'Missing' from 'lib'" in missing
    assert done.stderr.endswith("AttributeError: module 'lib' has no attribute 'Missing', or it was left out of this package\n")


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
