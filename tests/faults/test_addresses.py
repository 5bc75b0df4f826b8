"""GUARANTEES 31: no input is an address: whatever a client or the model says, the only host asked is that of the settings."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from local.model.script import ScriptedModel, done, finish, token
from tests.support import http
from tests.support.chat import user
from tests.support.system import System
from tests.support.whole_api import whole_api

ADDRESS_LIKE = re.compile(r"url|uri|host|endpoint|base|href|link|callback|webhook|image|file|proxy|origin", re.IGNORECASE)


@pytest.fixture
def trap() -> Iterator[ScriptedModel]:
    """A server that nothing may ever ask."""
    with ScriptedModel() as trap:
        yield trap
        assert trap.requests == []


def fields(schema: Any) -> Iterator[tuple[str, Any]]:
    """Every named property of a schema, at any depth."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {}).items()
        for part in schema.values():
            yield from fields(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from fields(part)


def test_no_field_of_any_request_is_an_address(chat_system: System) -> None:
    with whole_api(chat_system) as url:
        document = http.get(f"{url}/api/openapi.json").json()
    taken: list[tuple[str, Any]] = []
    for operation in (one for methods in document["paths"].values() for one in methods.values()):
        parameters = resolved(operation.get("parameters", []), document)
        taken += [(parameter["name"], parameter["schema"]) for parameter in parameters]
        taken += fields(resolved(operation.get("requestBody", {}), document))

    assert {"messages", "content", "title", "conversationId", "workspaceId"} <= {name for name, _ in taken}
    assert [name for name, schema in taken if ADDRESS_LIKE.search(name) or "uri" in str(schema.get("format"))] == []


def resolved(part: Any, document: Any) -> Any:
    """The part with each reference replaced by what it names."""
    if isinstance(part, list):
        return [resolved(one, document) for one in part]
    if not isinstance(part, dict):
        return part
    if reference := part.get("$ref"):
        target = document
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]
        return resolved(target, document)
    return {name: resolved(value, document) for name, value in part.items()}


@pytest.mark.parametrize(
    "field", ["baseUrl", "base_url", "OPENAI_BASE_URL", "endpoint", "proxy", "callbackUrl", "stream_options"]
)
def test_an_address_for_the_model_is_an_unknown_field(chat_system: System, trap: ScriptedModel, field: str) -> None:
    response = chat_system.api.http.post("/api/chat", json={"messages": [user("hi")], field: trap.url})

    assert (response.status_code, response.json()["code"]) == (400, "invalid_request")
    assert chat_system.model.requests == []


@pytest.mark.parametrize("kind", ["image_url", "input_image", "file", "input_audio"])
def test_a_message_is_text_and_no_part_that_names_an_address(chat_system: System, trap: ScriptedModel, kind: str) -> None:
    content = [{"type": kind, kind: {"url": trap.url}, "file_url": trap.url}]

    response = chat_system.api.http.post("/api/chat", json={"messages": [{"role": "user", "content": content}]})

    assert (response.status_code, response.json()["code"]) == (400, "invalid_request")
    assert chat_system.model.requests == []


def test_addresses_in_a_text_or_a_header_are_passed_on_or_ignored_and_never_asked(
    chat_system: System, trap: ScriptedModel
) -> None:
    address = trap.url.removeprefix("http://").partition("/")[0]
    chat_system.model.plays(token(f"![see]({trap.url}/models) <img src='{trap.url}/models'>"), finish(), done())
    api = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.05")
    api.http.headers |= {
        "x-forwarded-host": address,
        "x-base-url": trap.url,
        "openai-base-url": trap.url,
        "forwarded": f"host={address}",
        "host": address,
        "proxy": trap.url,
    }

    stream = api.post({"messages": [user(f"fetch {trap.url}/models", meta={"image_url": trap.url})]})

    assert stream.last["type"] == "complete"
    (asked,) = chat_system.model.requests
    assert asked.headers["host"] in chat_system.model.url
    assert asked.body["messages"][-1] == {"role": "user", "content": f"fetch {trap.url}/models"}
    assert not {"x-base-url", "x-forwarded-host", "forwarded", "proxy"} & set(asked.headers), "a client's headers go no further"


def test_a_model_that_is_not_on_offer_is_refused_even_as_an_address(chat_system: System, trap: ScriptedModel) -> None:
    response = chat_system.api.http.post("/api/chat", json={"messages": [user("hi")], "model": f"{trap.url}/m"})

    assert (response.status_code, response.json()["code"]) == (422, "unknown_model")
    assert chat_system.model.requests == []
