"""Errors before a stream starts: RFC 9457 problem documents with a stable `code`, as docs/api.md lists them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, NamedTuple

from pydantic import ValidationError

MEDIA_TYPE: Final = "application/problem+json"
_SHOWN_FIELDS: Final = 20


class Field(NamedTuple):
    """One thing wrong with the input: where (`messages.0.role`), and what."""

    field: str
    message: str


class Problem(Exception):
    """An answer that is an error. `detail` is written by us, for the caller; no other exception's text goes into it."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong on our side"
    usual: ClassVar[str] = "The fault is in our log. The same request may succeed in a moment."  # the detail when none is given

    def __init__(self, detail: str = "", fields: Sequence[Field] = (), headers: Mapping[str, str] | None = None) -> None:
        super().__init__(self.code)
        self.detail = detail or self.usual
        self.fields = fields
        self.headers = dict(headers or {})

    def document(self) -> dict[str, Any]:
        body: dict[str, Any] = {"type": f"urn:problem:{self.code}", "title": self.title, "status": self.status, "code": self.code}
        body["detail"] = self.detail
        if self.fields:
            body["errors"] = [field._asdict() for field in self.fields[:_SHOWN_FIELDS]]
        return body

    def body(self) -> bytes:
        return json.dumps(self.document()).encode()


class InvalidRequest(Problem):
    code, status, title = "invalid_request", 400, "The request is not valid"

    @classmethod
    def from_pydantic(cls, error: ValidationError, root: str = "body") -> "InvalidRequest":
        """Names each field and what is wrong with it; never repeats the value."""
        fields = [
            Field(".".join(str(part) for part in item["loc"]) or root, item["msg"])
            for item in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        return cls(f"{fields[0].field}: {fields[0].message}", fields)


class AuthenticationRequired(Problem):
    code, status, title = "unauthenticated", 401, "A valid access token is needed"

    def __init__(self) -> None:
        super().__init__("Send an access token: Authorization: Bearer …", headers={"www-authenticate": "Bearer"})


class ForbiddenWorkspace(Problem):
    code, status, title = "forbidden_workspace", 403, "This workspace is not yours"


class NotFound(Problem):
    code, status, title = "not_found", 404, "There is nothing here"
    usual = "No such route, conversation or turn, or not one of yours."


class MethodNotAllowed(Problem):
    code, status, title = "method_not_allowed", 405, "This method does not exist here"
    usual = "GET /api/openapi.json lists the methods of each route."


class RequestTimeout(Problem):
    code, status, title = "request_timeout", 408, "The request body did not arrive in time"


class DuplicateTurn(Problem):
    code, status, title = "duplicate_turn", 409, "This turnId was used for another request"


class TooLarge(Problem):
    code, status, title = "too_large", 413, "The request is too large"


class UnsupportedMediaType(Problem):
    code, status, title = "unsupported_media_type", 415, "Send JSON"


class UnknownModel(Problem):
    code, status, title = "unknown_model", 422, "This model is not offered"


class UnknownBud(Problem):
    code, status, title = "unknown_bud", 422, "There is no such assistant"


class QuotaExceeded(Problem):
    code, status, title = "quota_exceeded", 429, "The quota is used up"


class Internal(Problem):
    pass


class Unavailable(Problem):
    code, status, title = "unavailable", 503, "Not available right now"
