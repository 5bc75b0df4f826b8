"""Problem documents: RFC 9457 with a stable code, and never a word of the input or of an exception."""

import json

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from functions.common import problems
from functions.common.problems import Field, InvalidRequest, Problem

# docs/api.md, "Errors before a stream starts".
CODES = {
    problems.InvalidRequest: (400, "invalid_request"),
    problems.AuthenticationRequired: (401, "unauthenticated"),
    problems.ForbiddenWorkspace: (403, "forbidden_workspace"),
    problems.NotFound: (404, "not_found"),
    problems.MethodNotAllowed: (405, "method_not_allowed"),
    problems.DuplicateTurn: (409, "duplicate_turn"),
    problems.TooLarge: (413, "too_large"),
    problems.UnsupportedMediaType: (415, "unsupported_media_type"),
    problems.UnknownModel: (422, "unknown_model"),
    problems.UnknownBud: (422, "unknown_bud"),
    problems.QuotaExceeded: (429, "quota_exceeded"),
    problems.Internal: (500, "internal"),
    problems.Unavailable: (503, "unavailable"),
}


@pytest.mark.parametrize(("kind", "expected"), CODES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_each_problem_has_its_status_and_code(kind: type[Problem], expected: tuple[int, str]) -> None:
    document = json.loads(kind().body())
    assert (document["status"], document["code"]) == expected
    assert document["type"] == f"urn:problem:{expected[1]}"
    assert document["title"]


def test_a_problem_that_is_told_nothing_more_has_its_usual_detail_and_no_fields() -> None:
    assert set(problems.NotFound().document()) == {"type", "title", "status", "code", "detail"}
    assert problems.NotFound().document()["detail"] == problems.NotFound.usual
    assert problems.NotFound("gone").document()["detail"] == "gone"


def test_at_most_twenty_fields_are_listed() -> None:
    document = InvalidRequest("many", [Field(f"f{n}", "wrong") for n in range(100)]).document()
    assert [error["field"] for error in document["errors"]] == [f"f{n}" for n in range(20)]


def test_a_401_says_how_to_sign_in() -> None:
    assert problems.AuthenticationRequired().headers == {"www-authenticate": "Bearer"}


class _Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    role: int


class _Body(BaseModel):
    messages: list[_Inner]


def _refused(body: str) -> InvalidRequest:
    with pytest.raises(ValidationError) as caught:
        _Body.model_validate_json(body)
    return InvalidRequest.from_pydantic(caught.value)


def test_a_validation_error_names_the_field_by_its_path() -> None:
    problem = _refused('{"messages":[{"role":1},{"role":"secret words","more":1}]}')
    assert [field.field for field in problem.fields] == ["messages.1.role", "messages.1.more"]


def test_a_validation_error_never_repeats_the_value() -> None:
    assert b"secret words" not in _refused('{"messages":[{"role":"secret words"}]}').body()
    assert b"secret words" not in _refused('{"messages": secret words').body()


def test_what_is_wrong_with_the_whole_body_is_said_of_the_body() -> None:
    assert _refused("[]").fields[0].field == "body"


def test_the_text_of_a_problem_as_an_exception_is_its_code_alone() -> None:
    assert str(problems.TooLarge("a detail for the caller")) == "too_large"
