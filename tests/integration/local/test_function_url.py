"""A function URL on loopback: HTTP in, one invocation each, HTTP out."""

import threading
from typing import Any

import httpx2
import pytest

from local.lambda_url import FunctionUrl
from tests.integration.local.served import application
from tests.support import http


def call(handler: Any, method: str = "GET", path: str = "/api/conversations", **options: Any) -> httpx2.Response:
    with application(FunctionUrl("conversations", handler)) as url:
        return http.request(method, url + path, **options)


def test_the_handler_gets_a_function_urls_event_and_a_context() -> None:
    seen: list[Any] = []

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        seen.append((event, context))
        return {"statusCode": 200, "body": "{}"}

    call(handler, "PATCH", "/api/conversations/1?a=b", json={"title": "é"})
    event, context = seen[0]
    assert event["version"] == "2.0"
    assert event["requestContext"]["http"]["method"] == "PATCH"
    assert (event["rawPath"], event["rawQueryString"]) == ("/api/conversations/1", "a=b")
    assert event["body"] == '{"title":"é"}'
    assert context.function_name == "conversations"
    assert context.get_remaining_time_in_millis() > 0


def test_the_answer_is_what_the_handler_returned() -> None:
    answer = call(lambda *_: {"statusCode": 204, "headers": {"X-A": "1"}, "cookies": ["a=1", "b=2"]})
    assert (answer.status_code, answer.headers["x-a"], answer.content) == (204, "1", b"")
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize("returned", [{"statusCode": 200, "body": {"no": "text"}}, {"statusCode": "x"}, {1, 2}])
def test_nonsense_from_the_handler_is_a_502_that_says_nothing(returned: object) -> None:
    answer = call(lambda *_: returned)
    assert (answer.status_code, answer.json()) == (502, {"Message": "Internal Server Error"})


def test_an_exception_of_the_handler_is_a_502_that_says_nothing() -> None:
    def handler(*_: Any) -> None:
        raise RuntimeError("the secret")

    answer = call(handler)
    assert answer.status_code == 502
    assert "secret" not in answer.text


def test_a_body_above_lambdas_limit_is_refused_before_the_handler() -> None:
    called: list[Any] = []
    answer = call(lambda *event: called.append(event), "POST", content=b"x" * (6 * 1024 * 1024 + 1))
    assert answer.status_code == 413
    assert called == []


def test_a_body_that_is_no_text_takes_a_third_more_of_lambdas_limit() -> None:
    body = b"x" * (5 * 1024 * 1024)
    handler = lambda *_: {"statusCode": 200}  # noqa: E731
    assert call(handler, "POST", content=body, headers={"content-type": "application/json"}).status_code == 200
    assert call(handler, "POST", content=body, headers={"content-type": "application/octet-stream"}).status_code == 413


def test_an_answer_above_lambdas_limit_is_a_502() -> None:
    assert call(lambda *_: {"statusCode": 200, "body": "x" * (6 * 1024 * 1024 + 200)}).status_code == 502


def test_an_instance_runs_one_invocation_at_a_time() -> None:
    running, most = 0, 0
    lock = threading.Lock()
    both_sent = threading.Barrier(2, timeout=20)

    def handler(*_: Any) -> dict[str, Any]:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.05)
        with lock:
            running -= 1
        return {"statusCode": 200}

    with application(FunctionUrl("conversations", handler)) as url:

        def ask() -> None:
            both_sent.wait()
            http.get(url)

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert most == 1
