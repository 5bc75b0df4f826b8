"""The packaged functions and the world they run in: an embedded AWS, a scripted model, an OIDC provider."""

import fcntl
import os
import subprocess
from collections.abc import Callable, Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Final, NoReturn

import pytest

from infra.package.build import DEFAULT_OUT, RUN_SCRIPT, Package, build
from infra.package.bytecode import interpreter
from infra.package.recipe import PYTHON
from local.aws import create_resources
from local.clients import client
from local.model.pace import INSTANT
from local.model.script import ScriptedModel
from tests.oidc import OidcProvider
from tests.support import http
from tests.support.function import tools
from tests.support.function.environment import Code, Function, running, unzip
from tests.support.function.world import KEY_SECRET, MODEL_KEY, World

_RUNTIME_BRINGS: Final = ("boto3", "botocore", "s3transfer", "jmespath", "python-dateutil", "six", "urllib3")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whichever test comes first waits for its function to be packaged."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(240))
            item.add_marker(pytest.mark.slow)


def absent(what: str, how: str) -> NoReturn:
    """Skips, or fails where nothing may be missing (REQUIRE_LAMBDA=1, as .ci/run sets it where Rust is)."""
    if os.environ.get("REQUIRE_LAMBDA") == "1":
        pytest.fail(f"{what}: {how}")
    pytest.skip(f"{what}: {how}")


@pytest.fixture(scope="session")
def adapter() -> Path:
    """The real Lambda Web Adapter."""
    if not os.access(tools.ADAPTER, os.X_OK):
        absent("the Lambda Web Adapter is not here", "`make lambda-tools` builds it where Rust is")
    return tools.ADAPTER


@pytest.fixture(scope="session")
def emulator() -> Path:
    """The real Runtime Interface Emulator; the runtime's own client is beside it."""
    if not (tools.EMULATOR.is_file() and tools.RUNTIME_CLIENT.is_dir()):
        absent("the Runtime Interface Emulator is not here", "`make lambda-tools` fetches it")
    return tools.EMULATOR


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of the runtime, as the only `python3` of its folder."""
    found = interpreter()
    if found is None:
        absent(f"there is no Python {PYTHON} here", "install it, or put it on the path")
    link = tmp_path_factory.mktemp("bin") / "python3"
    # By its real name: what was found may be a shim that picks a version by the folder it is called in.
    link.symlink_to(subprocess.check_output([found, "-c", "import sys; print(sys.executable)"], text=True).strip())
    return link


@pytest.fixture(scope="session")
def packaged(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Builds a function for this machine and unzips it as Lambda does; gives the folder."""

    def make(function: str) -> Path:
        DEFAULT_OUT.mkdir(parents=True, exist_ok=True)
        with (DEFAULT_OUT / "lock").open("w") as lock:  # the workers of one test run share what they build
            fcntl.flock(lock, fcntl.LOCK_EX)
            made: Package = build(function, tools.ARCH)
        assert made.compiled
        return unzip(made.zip, tmp_path_factory.mktemp(function))

    return make


@pytest.fixture(scope="session")
def runtime_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What /var/runtime has for a function to import: boto3 and what belongs to it. All of it pure Python."""
    folder = tmp_path_factory.mktemp("runtime")
    for name in _RUNTIME_BRINGS:
        for file in distribution(name).files or ():
            if (top := Path(file.parts[0])) and file.suffix == ".py" and not (folder / top).exists():
                (folder / top).symlink_to(Path(str(distribution(name).locate_file(top))))
    return folder


@pytest.fixture(scope="session")
def chat_code(packaged: Callable[[str], Path], python: Path) -> Code:
    return Code(packaged("chat_stream"), RUN_SCRIPT, python)


@pytest.fixture(scope="session")
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel(INSTANT) as made:
        yield made


@pytest.fixture(scope="session")
def issuer() -> Iterator[OidcProvider]:
    with OidcProvider() as made:
        yield made


@pytest.fixture
def world(aws_endpoint: str, model: ScriptedModel, issuer: OidcProvider, runtime_folder: Path) -> World:
    """With empty tables, an empty queue and the model's key in its secret. The addresses stay the same for the session."""
    http.post(f"{aws_endpoint}/_ministack/reset").raise_for_status()
    create_resources(aws_endpoint, visibility_timeout_s=1)
    client("secretsmanager", aws_endpoint).create_secret(Name=KEY_SECRET, SecretString=MODEL_KEY)
    return World(aws_endpoint, model, issuer, runtime_folder)


@pytest.fixture(scope="session")
def function(
    chat_code: Code, adapter: Path, aws_endpoint: str, model: ScriptedModel, issuer: OidcProvider, runtime_folder: Path
) -> Iterator[Function]:
    """The streaming function, up and warm for the session."""
    env = World(aws_endpoint, model, issuer, runtime_folder).env()
    with running(chat_code, adapter, env) as up:
        yield up
