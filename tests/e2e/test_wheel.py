"""The wheel holds the terminal client and nothing else, and works where nothing else is installed."""

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from local.system import LocalSystem

ROOT: Final = Path(__file__).parents[2]
UV: Final = Path(sys.executable).with_name("uv")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def run(*command: object, cwd: Path, **env: str) -> str:
    """What it printed. Of the tests' own environment it gets what a person would have."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "UV_SYSTEM_CERTS", "SSL_CERT_FILE") if name in os.environ}
    inherited |= {name: os.environ[name] for name in os.environ if name.lower().endswith("_proxy") or name.startswith("UV_INDEX")}
    ended = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=inherited | env, capture_output=True, text=True, timeout=180, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(UV, "build", "--wheel", "--quiet", "--out-dir", folder, ROOT, cwd=folder)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def chat(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command, in an environment that was empty before the wheel."""
    folder = tmp_path_factory.mktemp("empty")
    run(UV, "venv", "--quiet", "--python", sys.executable, folder / "venv", cwd=folder)
    run(UV, "pip", "install", "--quiet", "--python", folder / "venv/bin/python", wheel, cwd=folder)
    return folder / "venv/bin/chat"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with LocalSystem({"FAKE_LLM_DELAY_MS": "1", "FAKE_LLM_TTFT_MS": "1"}) as system:
        yield system.url


def test_the_wheel_takes_one_top_level_name(wheel: Path) -> None:
    names = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"chat_cli"}


def test_the_wheel_names_what_it_needs_and_no_more(wheel: Path) -> None:
    packed = zipfile.ZipFile(wheel)
    (metadata,) = (name for name in packed.namelist() if name.endswith("/METADATA"))
    needs = re.findall(r"^Requires-Dist: ([\w-]+)", packed.read(metadata).decode(), re.MULTILINE)
    assert sorted(needs) == ["httpx2", "rich", "typer"]


def test_the_installed_command_helps(chat: Path, tmp_path: Path) -> None:
    assert "Usage" in run(chat, "--help", cwd=tmp_path)


def test_the_installed_command_has_a_turn_answered_and_shows_it_again(chat: Path, server: str, tmp_path: Path) -> None:
    env = {"CHAT_URL": server, "XDG_STATE_HOME": str(tmp_path), "TERM": "dumb"}
    assert run(chat, "hello", cwd=tmp_path, **env).strip()
    listed = run(chat, "list", cwd=tmp_path, **env)
    assert "hello" in listed
