"""GUARANTEES 29: whatever is sent, the answer is what the document says: never a 5xx, and every 4xx a problem document."""

import json
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks

from functions.common.ids import new_id
from local.model.pace import INSTANT
from local.model.script import done, finish, token
from tests.support import http
from tests.support.chat import user
from tests.support.system import System, system
from tests.support.whole_api import whole_api

pytestmark = pytest.mark.slow
EXAMPLES: Final = 12  # an operation and kind of data; the whole file stays below a minute
JSON: Final = {"content-type": "application/json"}
ODD: Final = [
    "\0",
    "\ud800",
    "\ufffe\uffff",
    "\u202e\u2028\u2029",
    "e\u0301" * 1000,
    "😀" * 1000,
    "\x1b[31m",
    "', --",
    "\r\n\r\ndata: x\r\n",
]
REFUSED: Final = {"\0", "\ud800"}
PROBLEM: Final = "application/problem+json"


def test_odd_text_that_is_taken_is_stored_and_shown_whole(chat_system: System) -> None:
    """First, with a system of its own: the others share one."""
    chat_system.persisting()
    chat_system.model.always_plays(token("hi"), finish(), done())
    taken = [text for text in ODD if text not in REFUSED]
    for text in taken:
        stream = chat_system.api.post({"messages": [user(text, meta={text: [text]})]})

        stored = chat_system.messages(str(stream.last["conversationId"]))[0]
        assert (stored["content"], json.loads(stored["meta"])) == (text, {text: [text]})
    assert len(taken) == len(ODD) - len(REFUSED)


@pytest.fixture(scope="module")
def url(aws_endpoint: str) -> Iterator[str]:
    with system(aws_endpoint, INSTANT) as made:
        made.model.always_plays(token("hi"), finish(), done())
        with whole_api(made, CHAT_RECEIPT_WAIT_S="0.01") as url:
            yield url


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


def check_answer(status: int, media_type: str, text: str) -> None:
    assert status < 500, text
    assert "Traceback" not in text
    if status >= 400:
        assert media_type == PROBLEM
        problem = json.loads(text)
        assert problem["status"] == status
        assert problem["type"] == f"urn:problem:{problem['code']}"


def operations(url: str) -> list[Any]:
    schema = schemathesis.openapi.from_dict(http.get(f"{url}/api/openapi.json").json())
    made = []
    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        made.append(result.ok())
    return made


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["as described", "otherwise"])
def test_each_route_answers_as_the_document_says_to_data(url: str, session: requests.Session, mode: GenerationMode) -> None:
    tried = operations(url)
    if mode is GenerationMode.NEGATIVE:
        tried = [one for one in tried if one.body or one.query or one.path_parameters or one.headers]
    for operation in tried:

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
        def fuzz(case: Any) -> None:
            response = case.call(base_url=url, session=session)
            check_answer(response.status_code, response.headers["content-type"][0].partition(";")[0], response.text)
            case.validate_response(
                response,
                checks=[checks.response_schema_conformance, checks.content_type_conformance, checks.status_code_conformance],
            )

        fuzz()
    assert len(tried) >= 9


@pytest.mark.parametrize("field", ["content", "meta", "turnId", "workspaceId", "budId", "model", "parentId", "title", "unknown"])
def test_odd_text_is_taken_or_refused_in_every_field(url: str, session: requests.Session, field: str) -> None:
    for text in ODD:
        message: dict[str, Any] = user(text if field == "content" else "hi")
        if field == "meta":
            message["meta"] = {text: [text]}
        body = {"messages": [message], **({} if field in {"content", "meta"} else {field: text})}
        raw = json.dumps(body).encode()  # a lone surrogate travels as its escape

        answer = session.post(f"{url}/api/chat", raw, headers=JSON)

        check_answer(answer.status_code, answer.headers["content-type"].partition(";")[0], answer.text)
        assert answer.status_code in ({200, 400} if field in {"content", "meta", "workspaceId"} else {400, 422}), ascii(text)


DEEP: Final = {
    "arrays": b"[" * 50_000,
    "closed arrays": b"[" * 50_000 + b"]" * 50_000,
    "objects": b'{"a":' * 50_000,
    "in meta": b'{"messages":[{"role":"user","content":"x","meta":{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}}]}",
    "a little, in meta": b'{"messages":[{"role":"user","content":"x","meta":{"a":' + b"[" * 150 + b"]" * 150 + b"}}]}",
    "a huge number": b'{"messages":[{"role":"user","content":"x","meta":{"a":' + b"9" * 10_000 + b"}}]}",
    "a huge exponent": b'{"messages":[{"role":"user","content":"x","meta":{"a":1e999}}]}',
    "not a number": b'{"messages":[{"role":"user","content":"x","meta":{"a":NaN}}]}',
    "a key twice": b'{"messages":[{"role":"user","content":"x"}],"messages":[]}',
    "a number as text": b'{"messages":[{"role":"user","content":5}]}',
    "bad UTF-8": b'{"title":"\xff\xfe"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "nothing": b"",
}


@pytest.mark.parametrize("route", ["POST /api/chat", "POST /api/chat/{id}", "PATCH /api/conversations/{id}"])
def test_json_of_any_depth_or_shape_is_read_or_refused(url: str, session: requests.Session, route: str) -> None:
    method, _, path = route.partition(" ")
    for raw in DEEP.values():
        answer = session.request(method, url + path.replace("{id}", new_id()), data=raw, headers=JSON)

        check_answer(answer.status_code, answer.headers["content-type"].partition(";")[0], answer.text)


@given(path=st.text(st.characters(exclude_characters="?#", max_codepoint=0x2FFF, exclude_categories=["Cs"]), max_size=40))
@settings(max_examples=30, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
def test_any_path_below_the_api_has_an_answer(url: str, session: requests.Session, path: str) -> None:
    for prefix in ("/api/", "/api/conversations/", "/api/turns/", "/api/chat/"):
        answer = session.get(url + prefix + quote(path, safe="/"))
        check_answer(answer.status_code, answer.headers["content-type"].partition(";")[0], answer.text)
