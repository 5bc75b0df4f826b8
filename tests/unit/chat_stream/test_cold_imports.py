"""What is imported before the first request is what every cold start waits for: nothing comes in by accident."""

import json
import subprocess
import sys
from typing import Final

import pytest

# What the streaming function stands on, and of each package the modules it takes. A name is added here on purpose, with its price
# (docs/performance.md, "Cold start").
ALLOWED: Final = {
    "annotated_types": "",
    "anyio": "_core _lazyimport abc lowlevel to_thread",  # starlette's
    "aws_lambda_powertools": "exceptions logging metrics package_logger shared tracing utilities warnings",
    "botocore": "",  # its __init__ alone, powertools'
    "click": "_compat _utils core decorators exceptions formatting globals parser termui types utils",  # uvicorn's
    "cryptography": "__about__ exceptions hazmat utils x509",
    "functions": "chat_stream common",
    "httptools": "_version parser",  # uvicorn's
    "httpx2": "__version__ _alias _api _auth _client _config _content _cookies _decoders _exceptions _models _multipart _sse"
    " _status_codes _transports _types _urlparse _urls _utils",
    "idna": "core idnadata intranges package_data",
    "jmespath": "ast compat exceptions functions lexer parser visitor",  # powertools'
    "jwt": "algorithms api_jwk api_jws api_jwt exceptions jwk_set_cache jwks_client types utils warnings",
    "openai": "_base_client _client _compat _constants _data_residency _exceptions _files _httpx2 _legacy_response _models"
    " _module_client _provider _qs _response _streaming _streaming_cleanup _types _utils _vendor _version auth lib providers"
    " types version",
    "pydantic": "_internal _migration alias_generators aliases annotated_handlers config dataclasses errors fields"
    " functional_validators json_schema main plugin type_adapter types version warnings",
    "pydantic_core": "_pydantic_core core_schema",
    "sniffio": "_impl _version",
    "starlette": "_exception_handler _utils applications background concurrency convertors datastructures exceptions formparsers"
    " middleware requests responses routing types websockets",
    "truststore": "_api _openssl _ssl_constants",
    "typing_extensions": "",
    "typing_inspection": "introspection typing_objects",
    "uvicorn": "_ansi _compat _subprocess _types config importer logging main middleware server supervisors",
}
# Further down in what is allowed: what would cost much and is not used.
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
    "CHAT_TURNS_TABLE": "turns",
    "CHAT_QUEUE_URL": "https://sqs.example/queue",
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
    """Packages and their direct modules that are not allowed, and what is too much anywhere."""
    allowed = set(ALLOWED) | {f"{package}.{name}" for package, names in ALLOWED.items() for name in names.split()}
    others = set(sys.stdlib_module_names) | NOT_OURS
    upper = {".".join(name.split(".")[:2]) for name in modules if name.partition(".")[0] not in others}
    found = {name for name in upper - allowed if not name.startswith(("_sysconfigdata", "__editable__"))}
    return found | (modules & TOO_MUCH)


def test_nothing_is_imported_before_the_first_request_but_what_is_allowed() -> None:
    assert unexpected(imported()) == set()


@pytest.mark.parametrize("more", ["import boto3", "import httpcore2", "import openai.resources.beta", "import starlette.schemas"])
def test_an_import_too_many_is_found(more: str) -> None:
    assert unexpected(imported(more))
