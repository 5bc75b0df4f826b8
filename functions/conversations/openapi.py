"""The OpenAPI 3.1 document of every route of the API, the streaming function's included, with the errors as they really are."""

import json
from typing import Any, Final

from aws_lambda_powertools.event_handler import LambdaFunctionUrlResolver
from aws_lambda_powertools.event_handler.openapi.models import HTTPBearer

from functions.common import VERSION, streaming_routes

_FIELD: Final = {"type": "object", "properties": {"field": {"type": "string"}, "message": {"type": "string"}}}
_PROBLEM: Final = {
    "type": "object",
    "description": "RFC 9457; `code` is stable.",
    "required": ["type", "title", "status", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "errors": {"type": "array", "items": _FIELD},
    },
}
_DIGEST: Final = {
    "name": "x-amz-content-sha256",
    "in": "header",
    "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    "description": (
        "The SHA-256 of the exact bytes of the body in lower-case hex, of the empty body too. A deployment behind CloudFront "
        "needs it on every method but GET and HEAD, and answers 403 without it; the local server needs it on none."
    ),
}
_DOCUMENT: Final[dict[str, Any]] = {
    "operationId": "get_openapi_document",
    "summary": "This document",
    "security": [],
    "responses": {"200": {"description": "Done", "content": {"application/json": {"schema": {"type": "object"}}}}},
}


def document(app: LambdaFunctionUrlResolver, document_path: str) -> dict[str, Any]:
    """The document, served at `document_path`. Powertools' own forms of errors are taken out: every error here is a problem."""
    raw = app.get_openapi_json_schema(
        title="streaming-first-chat",
        version=VERSION,
        openapi_version="3.1.0",
        security_schemes={"bearer": HTTPBearer(bearerFormat="JWT")},
        security=[{"bearer": []}],
    )
    spec: dict[str, Any] = json.loads(raw)
    for operations in spec["paths"].values():
        for operation in operations.values():
            done = {status: answer for status, answer in operation["responses"].items() if status.startswith("2")}
            done.get("204", {}).pop("content", None)
            operation["responses"] = {**done, "default": streaming_routes.problem()}
            for parameter in operation.get("parameters", ()):
                parameter["name"] = _named(parameter["name"])
    schemas = spec["components"]["schemas"]
    for name in ("HTTPValidationError", "ResponseValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas |= {**streaming_routes.schemas(), "Problem": _PROBLEM}
    own = {_named(path): operations for path, operations in spec["paths"].items()}
    document = {"get": {**_DOCUMENT, "responses": {**_DOCUMENT["responses"], "default": streaming_routes.problem()}}}
    spec["paths"] = {**streaming_routes.paths(), **own, document_path: document}
    spec["components"]["parameters"] = {"ContentDigest": _DIGEST}
    for operations in spec["paths"].values():
        for method, operation in operations.items():
            if method not in {"get", "head"}:
                operation.setdefault("parameters", []).append({"$ref": "#/components/parameters/ContentDigest"})
    return spec


def _named(name: str) -> str:
    """A path or parameter as the API writes it: `conversation_id` is the router's own word."""
    return name.replace("conversation_id", "conversationId")
