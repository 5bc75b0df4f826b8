"""The OpenAPI description of the streaming function's routes. It has none of its own making: nothing may slow its start."""

from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from functions.common import api, api_answers

_MODELS: Final = (
    api.ChatBody,
    api_answers.TurnState,
    api_answers.StopAccepted,
    api_answers.BudOffer,
    api_answers.ClientConfig,
    api_answers.Health,
    *api_answers.EVENTS,
)
_ID: Final = {"type": "string", "format": "uuid"}


def paths() -> dict[str, dict[str, Any]]:
    """The paths, for a document whose components hold `schemas()` and a schema `Problem`."""
    body = {"required": True, "content": {"application/json": {"schema": _ref(api.ChatBody)}}}
    sends = "The messages of the branch go in; the answer comes out as it is made."
    after = {"type": "integer", "minimum": 0, "maximum": 999_999_999}
    conversation, turn = _path("conversationId", "The conversation's UUID."), _path("turnId", "The turn's UUID.")
    resume = [
        turn,
        {"name": "Last-Event-ID", "in": "header", "schema": after, "description": "The last event seen."},
        {"name": "lastEventId", "in": "query", "schema": after, "description": "The same, where a header cannot be set."},
    ]
    return {
        "/api/chat": {"post": _operation("start_conversation", "Start a conversation", _stream(), description=sends, body=body)},
        "/api/chat/{conversationId}": {
            "post": _operation(
                "continue_conversation", "Continue a conversation", _stream(), [conversation], description=sends, body=body
            )
        },
        "/api/turns/{turnId}": {"get": _operation("get_turn", "How a turn stands", _json(_ref(api_answers.TurnState)), [turn])},
        "/api/turns/{turnId}/stream": {
            "get": _operation("resume_turn", "A turn's events after the last one seen, then live", _stream(), resume)
        },
        "/api/turns/{turnId}/stop": {
            "post": _operation("stop_turn", "Ask a turn to end", _json(_ref(api_answers.StopAccepted)), [turn], status="202")
        },
        "/api/buds": {
            "get": _operation(
                "list_buds", "The assistants on offer", _json({"type": "array", "items": _ref(api_answers.BudOffer)})
            )
        },
        "/api/config": {
            "get": _open(_operation("get_config", "What a client needs to sign in", _json(_ref(api_answers.ClientConfig))))
        },
        "/api/health": {"get": _open(_operation("get_health", "Whether the API is there", _json(_ref(api_answers.Health))))},
    }


def schemas() -> dict[str, Any]:
    """The component schemas the paths speak of, and `Event`: what the `data` of a stream's frames holds."""
    _, definitions = models_json_schema(
        [(model, "validation") for model in _MODELS], by_alias=True, ref_template="#/components/schemas/{model}"
    )
    return {**definitions["$defs"], "Event": {"oneOf": [_ref(event) for event in api_answers.EVENTS]}}


def problem() -> dict[str, Any]:
    """The answer for whatever goes wrong."""
    return {
        "description": "An error",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _operation(
    name: str,
    summary: str,
    answer: dict[str, Any],
    parameters: list[dict[str, Any]] | None = None,
    *,
    status: str = "200",
    description: str | None = None,
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    given = {"description": description, "parameters": parameters, "requestBody": body}
    return {
        "operationId": name,
        "summary": summary,
        **{key: value for key, value in given.items() if value is not None},
        "responses": {status: answer, "default": problem()},
    }


def _open(operation: dict[str, Any]) -> dict[str, Any]:
    """Needs no token."""
    return {**operation, "security": []}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": "Done", "content": {"application/json": {"schema": schema}}}


def _stream() -> dict[str, Any]:
    frames = "Server-sent events, as many as it takes; the schema is one of them. A comment comes after 10 s of silence."
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": {"$ref": "#/components/schemas/Event"}}
    frame = {"type": "object", "required": ["id", "data"], "properties": {"id": {"type": "string"}, "data": data}}
    return {"description": frames, "content": {"text/event-stream": {"schema": frame}}}


def _path(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": _ID, "description": description}


def _ref(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
