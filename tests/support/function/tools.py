"""The tools of AWS that tests/lambda runs the packages with, fetched into .tools: `python -m tests.support.function.tools`.

- the Lambda Web Adapter, built by cargo from crates.io, whose newest is 1.0.0-rc1: the same proxy as the layer's 1.1.0, less the
  SnapStart hooks;
- the Runtime Interface Emulator, a binary inside the wheel of aws-sam-cli (none of its dependencies are needed);
- awslambdaric, the client that Lambda's own Python runtime consists of.
"""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from infra.package import uv
from infra.package.recipe import PLATFORM, PYTHON, Arch

_TOOLS: Final = uv.ROOT / ".tools"
_CRATE, _CRATE_VERSION = "lambda_web_adapter", "1.0.0-rc1"
_SAM: Final = "aws-sam-cli==1.170.0"
_RUNTIME_CLIENT: Final = "awslambdaric==4.2.2"
_ARCHS: Final[dict[str, Arch]] = {"x86_64": "x86_64", "AMD64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}

# The release profile optimises across the whole program, most of the build's time; what is tested here is what it does.
_QUICK_BUILD: Final = {
    "CARGO_PROFILE_RELEASE_LTO": "off",
    "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "256",
    "CARGO_PROFILE_RELEASE_OPT_LEVEL": "0",
}

ARCH: Final = _ARCHS[platform.machine()]
ADAPTER: Final = Path(os.environ.get("LAMBDA_ADAPTER") or _TOOLS / "adapter/bin/lambda-adapter")
EMULATOR: Final = _TOOLS / f"emulator/samcli/local/rapid/aws-lambda-rie-{ARCH}"
RUNTIME_CLIENT: Final = _TOOLS / f"awslambdaric-{PYTHON}-{ARCH}"


def main() -> None:
    """Fetches what is not there yet; exits with a sentence where that is not possible."""
    try:
        if not EMULATOR.is_file():
            uv.run("pip", "install", "--quiet", "--no-deps", "--no-config", "--target", _TOOLS / "emulator", _SAM)
            EMULATOR.chmod(0o755)
        if not RUNTIME_CLIENT.is_dir():
            uv.run("pip", "install", "--quiet", "--no-config", "--target", RUNTIME_CLIENT, "--python-version", PYTHON,
                   "--python-platform", PLATFORM[ARCH], "--only-binary", ":all:", _RUNTIME_CLIENT)  # fmt: skip
    except uv.PackagingError as error:
        sys.exit(f"tools: {error}")
    if not ADAPTER.is_file():
        _build_adapter()


def _build_adapter() -> None:
    cargo = shutil.which("cargo")
    if cargo is None:
        sys.exit(
            "tools: the Lambda Web Adapter is built by cargo, which is not here (https://rustup.rs); its tests will be skipped"
        )
    print("tools: building the Lambda Web Adapter (once, a minute or two)…", flush=True)  # noqa: T201 - a person waits
    command = [cargo, "install", "--quiet", "--locked", "--root", str(_TOOLS / "adapter"), _CRATE, "--version", _CRATE_VERSION]
    if subprocess.run(command, env={**os.environ, **_QUICK_BUILD}, check=False).returncode:
        sys.exit("tools: cargo could not build the Lambda Web Adapter; what it said is above")


if __name__ == "__main__":
    main()
