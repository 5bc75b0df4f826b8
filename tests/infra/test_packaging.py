"""The packages: what is in them, what they weigh, that they run, and that the same inputs give the same bytes."""

import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from infra.package import __main__ as command
from infra.package import archive, build, bytecode, uv
from infra.package.build import Package
from infra.package.recipe import OF_THE_RUNTIME, PYTHON, RECIPES, Arch

# Seven builds, each some seconds of one core, and more where others work beside them.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("packages"), pytest.mark.timeout(300)]

MB = 1_000_000
AT_MOST = {"chat_stream": 9 * MB, "persist": 8 * MB, "conversations": 8 * MB}  # of a zip for Lambda's arm64
HERE: Arch = "arm64" if os.uname().machine in {"aarch64", "arm64"} else "x86_64"
needs_python = pytest.mark.skipif(bytecode.interpreter() is None, reason=f"needs a Python {PYTHON}, Lambda's")


@pytest.fixture(scope="session", params=list(RECIPES))
def package(request: pytest.FixtureRequest) -> Package:
    """Each function's package for Lambda, where `make package` puts it: built once for all tests, and for all workers."""
    return build.build(request.param, "arm64")


def names(package: Package) -> list[str]:
    with zipfile.ZipFile(package.zip) as zipped:
        return zipped.namelist()


def test_a_zip_is_within_its_size(package: Package) -> None:
    assert package.zip.stat().st_size <= AT_MOST[package.function]


def test_a_zip_holds_the_folder_and_is_small_enough_for_lambda_unpacked(package: Package) -> None:
    files = {path.relative_to(package.folder).as_posix(): path for path in package.folder.rglob("*") if path.is_file()}
    assert set(names(package)) == files.keys()
    assert sum(path.stat().st_size for path in files.values()) < 50 * MB


def test_a_zip_holds_wheels_for_lambda_s_platform(package: Package) -> None:
    objects = [name for name in names(package) if name.endswith(".so")]
    assert objects
    for name in objects:
        assert (package.folder / name).read_bytes()[18:20] == b"\xb7\x00", name  # ELF e_machine: AArch64


def test_nothing_is_in_a_zip_that_no_import_reaches(package: Package) -> None:
    for name in names(package):
        assert not {"tests", "testing", "__pycache__", "bin"} & set(Path(name).parts), name
        assert name.endswith((".py", ".pyc", ".so", ".toml", "METADATA", "run.sh")), name
    others = {f"functions/{other}/" for other in RECIPES if other != package.function}
    assert not [name for name in names(package) if name.startswith(tuple(others))]


def test_boto3_is_left_to_the_runtime(package: Package) -> None:
    assert not [name for name in names(package) if name.partition("/")[0] in OF_THE_RUNTIME]


def test_only_who_checks_tokens_carries_the_cryptography(package: Package) -> None:
    carries = any(name.startswith("cryptography/") for name in names(package))
    assert carries == (package.function != "persist")


@needs_python
def test_every_module_is_byte_code_that_is_never_held_against_a_source(package: Package) -> None:
    modules = [name for name in names(package) if name.endswith((".py", ".pyc"))]
    assert modules
    for name in modules:
        assert name.endswith(".pyc"), name
        assert (package.folder / name).read_bytes()[4:8] == b"\x01\x00\x00\x00", name  # PEP 552: unchecked hash


def test_permissions_are_lambda_s_and_run_sh_can_be_run(package: Package) -> None:
    with zipfile.ZipFile(package.zip) as zipped:
        modes = {info.filename: info.external_attr >> 16 & 0o777 for info in zipped.infolist()}
    executable = {name for name, mode in modes.items() if mode == 0o755}
    assert executable == ({"run.sh"} if package.function == "chat_stream" else set())
    assert set(modes.values()) <= {0o755, 0o644}


def test_the_assistants_files_go_with_chat_stream(package: Package) -> None:
    assert ("functions/chat_stream/buds/default.toml" in names(package)) == (package.function == "chat_stream")


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path) -> None:
    """Built anew, elsewhere, at another time, with another umask. The smallest stands for all: they are made alike."""
    before = os.umask(0o077)
    try:
        again = build.build("persist", "arm64", tmp_path / "else" / "where")
    finally:
        os.umask(before)
    assert again.digest == build.build("persist", "arm64").digest


def test_nothing_is_built_twice_from_the_same_inputs(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    def not_again(*_: object) -> None:
        raise AssertionError("built again")

    monkeypatch.setattr(build, "_make", not_again)
    assert build.build(package.function, "arm64").digest == package.digest


def test_a_change_of_the_source_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = build._inputs("persist", compiled=True)
    copy = tmp_path / "repository"
    shutil.copytree(uv.ROOT / "functions", copy / "functions")
    for name in ("uv.lock", "pyproject.toml"):
        shutil.copy(uv.ROOT / name, copy)
    shutil.copytree(uv.ROOT / "infra" / "package", copy / "infra" / "package")
    monkeypatch.setattr(uv, "ROOT", copy)
    monkeypatch.setattr(build, "__file__", str(copy / "infra" / "package" / "build.py"))
    assert build._inputs("persist", compiled=True) == before
    (copy / "functions" / "persist" / "handler.py").write_text("changed")
    assert build._inputs("persist", compiled=True) != before


@needs_python
@pytest.mark.parametrize("function", RECIPES)
def test_a_package_runs_by_itself_beside_the_runtime_s_boto3(function: str, tmp_path: Path) -> None:
    """Every module it holds is imported by Lambda's Python, with nothing else at hand but boto3 and what that brings."""
    package = build.build(function, HERE)
    runtime = runtime_libraries(tmp_path)
    script = (
        "import importlib, pathlib, sys, types\n"
        f"folder, runtime = {str(package.folder)!r}, {str(runtime)!r}\n"
        "sys.path[:0] = [folder]; sys.path.append(runtime)\n"
        f"importlib.import_module({RECIPES[function].entry!r})\n"
        "modules = [m for m in list(sys.modules.values()) if getattr(m, '__file__', None)]\n"
        "print(sum(m.__file__.startswith(folder) for m in modules))\n"
        "own = {p.relative_to(folder).with_suffix('') for p in pathlib.Path(folder, 'functions').rglob('*.pyc')}\n"
        "for path in sorted(own):\n"
        "    name = '.'.join(path.parts).removesuffix('.__init__')\n"
        "    importlib.import_module(name)\n"
    )
    python = bytecode.interpreter()
    assert python is not None
    done = subprocess.run(
        [python, "-I", "-B", "-W", "error", "-c", script], capture_output=True, text=True, check=False, timeout=55
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 50


@needs_python
def test_the_packaged_model_s_way_leads_through_a_proxy(tmp_path: Path) -> None:
    """httpx2's own transport, which is taken then, is imported no earlier, so nothing else would show that a part is missing."""
    package = build.build("chat_stream", HERE)
    script = (
        "import asyncio, sys\n"
        f"sys.path[:0] = [{str(package.folder)!r}]; sys.path.append({str(runtime_libraries(tmp_path))!r})\n"
        "import httpx2\n"
        "from functions.chat_stream.transport import way_to\n"
        "way = way_to('https://model.test/v1')\n"
        "try:\n"
        "    asyncio.run(way.handle_async_request(httpx2.Request('GET', 'https://model.test/v1')))\n"
        "except httpx2.ConnectError:\n"
        "    print('no proxy there')\n"
    )
    python = bytecode.interpreter()
    assert python is not None
    done = subprocess.run(
        [python, "-B", "-c", script], env={"HTTPS_PROXY": f"http://127.0.0.1:{refusing_port()}"}, capture_output=True, text=True,
        check=False, timeout=55,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("no proxy there\n", "")


def refusing_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        return int(gone.getsockname()[1])


def runtime_libraries(target: Path) -> Path:
    """A folder with boto3 and its dependencies alone, as Lambda's runtime has them."""
    installed = Path(sysconfig.get_paths()["purelib"])
    for name in (*OF_THE_RUNTIME, "jmespath", "urllib3", "dateutil", "six.py"):
        (target / name).symlink_to(installed / name)
    return target


def test_without_lambda_s_python_the_command_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(bytecode, "interpreter", lambda: None)
    command.main(["persist", "--out", str(tmp_path)])
    assert f"no Python {PYTHON}" in capsys.readouterr().err
    with zipfile.ZipFile(tmp_path / "persist-arm64.zip") as zipped:
        assert "functions/persist/handler.py" in zipped.namelist()


def test_a_function_that_is_not_there_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["chat-stream"])
    assert "there is no function chat-stream; there are chat_stream, persist, conversations" in capsys.readouterr().err


def test_without_uv_a_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(uv, "_candidates", lambda: iter([None, tmp_path / "uv"]))
    with pytest.raises(uv.PackagingError, match=r"uv was not found: run `make setup`"):
        uv.install("persist", "arm64", tmp_path)


def test_what_uv_says_when_it_fails_is_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    failing = tmp_path / "uv"
    failing.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('no route to PyPI')\n")
    failing.chmod(0o755)
    monkeypatch.setattr(uv, "_candidates", lambda: iter([failing]))
    with pytest.raises(uv.PackagingError, match=r"uv export failed:\nno route to PyPI"):
        uv.install("persist", "arm64", tmp_path)


def test_a_zip_knows_no_time_and_no_order(tmp_path: Path) -> None:
    digests = set()
    for time_s, order in ((1_000_000_000, ("a", "b")), (1_700_000_000, ("b", "a"))):
        folder = tmp_path / str(time_s)
        folder.mkdir()
        for name in order:
            (folder / name).write_text(name)
            os.utime(folder / name, (time_s, time_s))
        archive.normalise(folder)
        archive.write(folder, folder.with_suffix(".zip"))
        digests.add(archive.digest(folder.with_suffix(".zip")))
    assert len(digests) == 1
