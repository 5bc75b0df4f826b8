"""What goes into each function's bundle, and the few facts about its libraries that no syntax tree tells."""

from dataclasses import dataclass, field
from typing import Final, Literal

Arch = Literal["arm64", "x86_64"]
ARCHS: Final[tuple[Arch, ...]] = ("arm64", "x86_64")
PLATFORM: Final[dict[Arch, str]] = {"arm64": "aarch64-manylinux2014", "x86_64": "x86_64-manylinux2014"}
PYTHON: Final = "3.13"  # Lambda's runtime python3.13

# The runtime brings these; and these belong to them alone.
OF_THE_RUNTIME: Final = ("boto3", "botocore", "s3transfer")

# Imports that no syntax tree shows: made by native code, or from a name put together at run time.
HIDDEN_IMPORTS: Final = {
    "cryptography.hazmat.bindings._rust": ("_cffi_backend", "cryptography.exceptions"),
    "anyio": ("anyio._backends._asyncio",),
}
# Branches of the libraries that the functions never take: other platforms, other protocols, command lines, optional features.
NEVER_TAKEN: Final = (
    "anyio._backends._trio",
    "aws_lambda_powertools.utilities.parser",
    "click._termui_impl",
    "click._winconsole",
    "click.shell_completion",
    "httpx2._main",
    "httpx2.websockets._api",
    "idna.__main__",
    "idna.cli",
    "idna.uts46data",
    "openai.lib.computer",
    "openai.lib.streaming._assistants",
    "openai.types.beta",
    "pydantic.deprecated.class_validators",
    "pydantic.deprecated.decorator",
    "pydantic.deprecated.json",
    "pydantic.mypy",
    "pydantic.v1",
    "truststore._macos",
    "truststore._windows",
    "urllib3",  # truststore asks for it in a `try`, to patch it; boto3 brings its own
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.http.auto_zttp_impl",
    "uvicorn.protocols.http.h11_impl",
    "uvicorn.protocols.http.zttp_h2_impl",
    "uvicorn.protocols.http.zttp_impl",
    "uvicorn.protocols.websockets",
)
# Packages that import what they pass on when it is asked for (lazy.py), with those below them.
LAZY: Final = ("openai.types",)
# Packages of which only some children are used; the others are reached through lazy attributes that no code here touches.
ONLY_CHILDREN: Final = {
    # model.py asks the client for none: it uses its method for any endpoint.
    "openai.resources": (),
}
# Distributions that ask importlib.metadata for their own version while they are imported.
WITH_METADATA: Final = ("httpcore2", "httpx2")


@dataclass(frozen=True, slots=True)
class Recipe:
    """One function: the module it is entered by, its files that are no modules, what it never uses of shared libraries."""

    entry: str
    files: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    executables: tuple[str, ...] = field(default=())


RECIPES: Final = {
    "chat_stream": Recipe(
        "functions.chat_stream.__main__",
        files=("functions/chat_stream/buds/*.toml",),
        never=(
            "aws_lambda_powertools.event_handler",
            "aws_lambda_powertools.utilities.data_classes",
            "pydantic.color",
            "pydantic.networks",
        ),
        executables=("functions/chat_stream/run.sh",),
    ),
    "persist": Recipe("functions.persist.handler", never=("aws_lambda_powertools.event_handler",)),
    "conversations": Recipe("functions.conversations.handler"),
}
