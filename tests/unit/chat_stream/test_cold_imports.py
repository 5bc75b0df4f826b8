"""What is imported before the first request is what every cold start waits for: nothing comes in by accident."""

import json
import subprocess
import sys
from typing import Final

import pytest

# What the streaming function stands on. A name is added here on purpose, with its price (docs/performance.md, "Cold start").
ALLOWED: Final = {
    "annotated_types",
    "anyio",  # starlette's
    "aws_lambda_powertools",
    "botocore",  # its __init__ alone, powertools'
    "click",  # uvicorn's
    "cryptography",
    "functions",
    "httptools",  # uvicorn's
    "httpx2",
    "idna",
    "jmespath",  # powertools'
    "jwt",
    "openai",
    "pydantic",
    "pydantic_core",
    "sniffio",
    "starlette",
    "truststore",
    "typing_extensions",
    "typing_inspection",
    "uvicorn",
}
# Of what is allowed, the branches that would cost much and are not used.
TOO_MUCH: Final = {"botocore.session", "openai.resources.beta", "pydantic.v1", "pydantic.deprecated", "starlette.testclient"}
# Native parts and what an installation for development brings along.
NOT_OURS: Final = {"__main__", "_cffi_backend", "_openssl", "_virtualenv", "__mp_main__", "_distutils_hack"}

_SCRIPT: Final = """
import json, os, sys
from functions.chat_stream import __main__
from functions.chat_stream.app import create_app
from functions.chat_stream.settings import Settings
{more}
create_app(Settings.from_env(os.environ))
print(json.dumps(sorted(sys.modules)))
"""
_ENV: Final = {
    "AWS_LAMBDA_FUNCTION_NAME": "chat",
    "TURNS_TABLE": "turns",
    "QUEUE_URL": "https://sqs.example/queue",
    "OPENAI_API_KEY": "none",
    "OIDC_ISSUER": "https://issuer.example",
    "OIDC_AUDIENCE": "chat",
}


def imported(more: str = "") -> set[str]:
    """Every module of a process that has made the application and had no request."""
    command = [sys.executable, "-c", _SCRIPT.format(more=more)]
    done = subprocess.run(command, env=_ENV, capture_output=True, text=True, check=True, timeout=50)
    names: list[str] = json.loads(done.stdout.splitlines()[-1])
    return set(names)


def unexpected(modules: set[str]) -> set[str]:
    packages = {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names) - NOT_OURS - ALLOWED
    return {name for name in packages if not name.startswith(("_sysconfigdata", "__editable__"))} | (modules & TOO_MUCH)


def test_nothing_is_imported_before_the_first_request_but_what_is_allowed() -> None:
    assert unexpected(imported()) == set()


@pytest.mark.parametrize("more", ["import boto3", "import httpcore2", "import openai.resources.beta"])
def test_an_import_too_many_is_found(more: str) -> None:
    assert unexpected(imported(more))
