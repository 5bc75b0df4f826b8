"""`npx cdk deploy`, in a fresh clone and with any CDK command line: it works, or a sentence says which command comes first."""

import json
import subprocess
from pathlib import Path

import pytest
from aws_cdk.cloud_assembly_schema import Manifest

from infra import app

ROOT = Path(__file__).parents[2]


def fresh_clone(folder: Path) -> Path:
    """cdk.json and what it runs, with a set-up that only says that it was run, and makes a Python that says what it is asked."""
    for name in ("cdk.json", "infra/app.sh"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text((ROOT / name).read_text())
    (folder / "local").mkdir()
    python = """printf '#!/bin/sh\\necho python "$@"\\n' > .venv/bin/python; chmod +x .venv/bin/python"""
    (folder / "local" / "setup.sh").write_text(f"set -e; echo set up with $1; mkdir -p .venv/bin; {python}")
    return folder


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    """As the CDK command line runs it: a shell, in the folder of cdk.json."""
    command = json.loads((folder / "cdk.json").read_text())["app"]
    return subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, check=True)


def test_in_a_fresh_clone_the_environment_is_made_first(tmp_path: Path) -> None:
    folder = fresh_clone(tmp_path)
    first = run(folder)
    assert (first.stdout, first.stderr) == ("python -m infra.app\n", "set up with sync\n")


def test_what_is_set_up_already_is_not_set_up_again(tmp_path: Path) -> None:
    folder = fresh_clone(tmp_path)
    run(folder)
    second = run(folder)
    assert (second.stdout, second.stderr) == ("python -m infra.app\n", "")


@pytest.mark.parametrize(
    ("understands", "fits"),
    [(None, True), (Manifest.version(), True), ("999.0.0", True), ("43.0.0", False)],
    ids=["not said", "as written", "newer", "older"],
)
def test_a_command_line_of_another_line_is_told_which_one_to_take(understands: str | None, fits: bool) -> None:
    env = {"CDK_CLI_VERSION": "3.0.0", **({"CDK_CLI_ASM_VERSION": understands} if understands else {})}
    complaint = app.too_old(env)
    assert (complaint is None) == fits
    if complaint is not None:
        assert "infra/node_modules/.bin/cdk" in complaint
        assert "3.0.0" in complaint
        with pytest.raises(SystemExit, match=r"infra/node_modules/\.bin/cdk"):
            app.main(env)
