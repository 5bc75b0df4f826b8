"""docs/openapi.json and docs/api.md say what the code does."""

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest

from functions.chat_stream import errors
from functions.common import problems
from functions.common.api import ChatBody, ChatMessage
from functions.common.api_answers import EVENTS
from local.openapi_file import FILE, text

API: Final = (FILE.parent / "api.md").read_text(encoding="utf-8")
DOCUMENT: Final[dict[str, Any]] = json.loads(text())


def test_the_file_is_what_the_code_says() -> None:
    assert FILE.read_text(encoding="utf-8") == text(), "run `make openapi`, and read what it changed"


@pytest.mark.parametrize("path", sorted(DOCUMENT["paths"]))
def test_the_page_names_every_route_with_its_methods(path: str) -> None:
    written = path.replace("/api/conversations/{conversationId}", "/api/conversations/{id}")
    for method in DOCUMENT["paths"][path]:
        assert f"`{method.upper()} {written}" in API


def subclasses(kind: type[Any]) -> set[type[Any]]:
    return {kind, *(one for child in kind.__subclasses__() for one in subclasses(child))}


@pytest.mark.parametrize("code", sorted({one.code for one in subclasses(problems.Problem)}))
def test_the_page_names_every_code_of_a_problem(code: str) -> None:
    before, _, _ = API.partition("### The stream")
    assert f"`{code}`" in before


@pytest.mark.parametrize("code", sorted({one.code for one in subclasses(errors.TurnFailed)}))
def test_the_page_names_every_code_of_a_turn_that_fails(code: str) -> None:
    _, _, after = API.partition("### The stream")
    assert f"`{code}`" in after


def test_the_page_names_every_event_with_its_fields() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", API, re.MULTILINE))
    for event in EVENTS:
        schema = event.model_json_schema(by_alias=True)["properties"]
        kinds = schema["type"].get("enum") or [schema["type"]["const"]]
        for kind in kinds:
            assert re.findall(r"`(\w+)`", rows[kind]) == [name for name in schema if name != "type"]


def test_the_page_names_every_field_of_a_request() -> None:
    body = set(ChatBody.model_json_schema(by_alias=True)["properties"])
    message = {f"messages[].{name}" for name in ChatMessage.model_json_schema(by_alias=True)["properties"]}
    assert body | message == set(re.findall(r"^\| `(\w+(?:\[\]\.\w+)?)` \|", API.partition("### The stream")[0], re.MULTILINE))


def test_the_page_links_to_what_is_there() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", API):
        assert (Path(FILE.parent) / target).exists()
