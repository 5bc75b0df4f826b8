"""A function URL's events and answers, payload format 2.0."""

import base64

import pytest
from aws_lambda_powertools.utilities.data_classes import LambdaFunctionUrlEvent

from local.url_event import answer_of, event_of


def test_powertools_reads_the_event_as_the_request_it_was_made_of() -> None:
    headers = [("Host", "example.org"), ("Content-Type", "application/json"), ("X-Twice", "1"), ("x-twice", "2")]
    event = LambdaFunctionUrlEvent(event_of("PATCH", "/api/a%20b", "x=1&y=%C3%A9&x=2", headers, b'{"t":"\xc3\xa9"}', "127.0.0.1"))
    assert event.http_method == "PATCH"
    assert event.path == "/api/a%20b"
    assert event.query_string_parameters == {"x": "1,2", "y": "é"}
    assert event.headers["x-twice"] == "1,2"
    assert event.json_body == {"t": "é"}
    assert event.request_context.http.source_ip == "127.0.0.1"


def test_cookies_are_a_list_of_their_own() -> None:
    event = event_of("GET", "/", "", [("cookie", "a=1; b=2")], b"", "127.0.0.1")
    assert event["cookies"] == ["a=1", "b=2"]
    assert "cookie" not in event["headers"]


def test_a_body_that_is_no_text_is_base64() -> None:
    event = event_of("POST", "/", "", [("content-type", "image/png")], b"\x89PNG", "127.0.0.1")
    assert event["isBase64Encoded"] is True
    assert base64.b64decode(event["body"]) == b"\x89PNG"


def test_no_body_and_no_query_are_left_out() -> None:
    event = event_of("GET", "/", "", [], b"", "127.0.0.1")
    assert not {"body", "queryStringParameters", "cookies"} & event.keys()
    assert event["isBase64Encoded"] is False


def test_a_proxy_answer_becomes_status_headers_cookies_and_body() -> None:
    answer = answer_of(
        {"statusCode": 201, "headers": {"Content-Type": "text/plain", "X-N": 1}, "cookies": ["a=1", "b=2"], "body": "é"}
    )
    assert answer.status == 201
    assert answer.headers == [("content-type", "text/plain"), ("x-n", "1"), ("set-cookie", "a=1"), ("set-cookie", "b=2")]
    assert answer.body == "é".encode()


def test_a_base64_answer_is_decoded() -> None:
    response = {"statusCode": 200, "body": base64.b64encode(b"\x00\xff").decode(), "isBase64Encoded": True}
    assert answer_of(response).body == b"\x00\xff"


def test_an_answer_without_a_status_is_json_under_200() -> None:
    answer = answer_of({"a": 1})
    assert (answer.status, answer.body) == (200, b'{"a": 1}')


@pytest.mark.parametrize("body", [{"not": "text"}, 7, ["x"]])
def test_a_body_that_is_no_text_is_an_error_of_the_function(body: object) -> None:
    with pytest.raises(ValueError, match="text"):
        answer_of({"statusCode": 200, "body": body})
