"""The strict front: it refuses what CloudFront and Lambda refuse behind origin access control, and passes on the rest."""

import asyncio
import hashlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from infra import edge_rules
from local import front as local_front
from local.model.http import Reply, Request
from tests.integration.local.served import Upstream, front
from tests.support import http

ANY = "/api/conversations/1"
METHODS = ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def digest(body: bytes) -> dict[str, str]:
    return {"x-amz-content-sha256": hashlib.sha256(body).hexdigest()}


class Stage:
    """A strict front before two functions that record what reaches them."""

    def __init__(self, client: httpx2.Client, chat: Upstream, conversations: Upstream) -> None:
        self.client = client
        self.chat = chat
        self.conversations = conversations

    def ask(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> httpx2.Response:
        return self.client.request(method, path, content=body or None, headers=headers)

    @property
    def reached(self) -> list[Request]:
        return [*self.chat.requests, *self.conversations.requests]


@pytest.fixture
def stage() -> Iterator[Stage]:
    chat, conversations = Upstream(), Upstream()
    with (
        chat.serving() as chat_url,
        conversations.serving() as conversations_url,
        front([chat_url], conversations_url, strict=True, sign_in_origins=["https://login.example.com"]) as url,
        http.client(url) as client,
    ):
        yield Stage(client, chat, conversations)


def refused_by_lambda(answer: httpx2.Response) -> bool:
    """As a function URL answers a signature that does not fit the body."""
    return (
        answer.status_code == 403
        and answer.headers["x-amzn-errortype"] == "InvalidSignatureException"
        and answer.json()["message"].startswith("The request signature we calculated does not match")
    )


def refused_by_cloudfront(answer: httpx2.Response, status: int) -> bool:
    return answer.status_code == status and answer.headers["content-type"] == "text/html"


@pytest.mark.parametrize("body", [b"", b"{}"], ids=["empty", "body"])
@pytest.mark.parametrize("method", METHODS)
def test_a_method_but_get_and_head_needs_the_digest_of_its_body(stage: Stage, method: str, body: bytes) -> None:
    assert refused_by_lambda(stage.ask(method, ANY, body))
    assert stage.reached == []
    assert stage.ask(method, ANY, body, digest(body)).status_code == 200
    assert [request.raw for request in stage.reached] == [body]


@pytest.mark.parametrize(
    "named",
    [
        hashlib.sha256(b"another").hexdigest(),
        hashlib.sha256(b"{}").hexdigest().upper(),
        hashlib.sha256(b"").hexdigest(),
        "UNSIGNED-PAYLOAD",
        "",
    ],
    ids=["another body's", "capitals", "the empty body's", "unsigned", "nothing"],
)
def test_a_digest_that_is_not_the_body_s_is_refused(stage: Stage, named: str) -> None:
    assert refused_by_lambda(stage.ask("POST", "/api/chat", b"{}", {"x-amz-content-sha256": named}))
    assert stage.reached == []


def test_a_get_needs_none_and_has_no_body(stage: Stage) -> None:
    async def no_content(_: Request, reply: Reply) -> None:
        await reply.start(204, [])

    stage.conversations.handler = no_content
    for method in ("GET", "HEAD"):
        assert stage.ask(method, ANY).status_code == 204
        assert stage.ask(method, ANY, headers=digest(b"")).status_code == 204
    assert refused_by_lambda(stage.ask("GET", ANY, headers=digest(b"{}")))
    assert refused_by_cloudfront(stage.ask("GET", ANY, b"{}"), 403)
    assert len(stage.reached) == 4


@pytest.mark.parametrize("method", ["TRACE", "PROPFIND"])
def test_a_method_that_the_distribution_does_not_know_is_refused(stage: Stage, method: str) -> None:
    assert refused_by_cloudfront(stage.ask(method, ANY, headers=digest(b"")), 403)
    assert stage.reached == []


def test_a_request_may_have_20_kb_without_its_body(stage: Stage) -> None:
    assert stage.ask("GET", ANY, headers={"x-filler": "x" * 19_000}).status_code == 200
    assert refused_by_cloudfront(stage.ask("GET", ANY, headers={"x-filler": "x" * 20_480}), 413)
    assert refused_by_cloudfront(stage.ask("GET", ANY + "?q=" + "x" * 8_192), 413)
    assert len(stage.reached) == 1


def test_a_token_of_16_kb_travels_once_and_so_fits(stage: Stage) -> None:
    token = "Bearer " + "x" * 16_384
    assert stage.ask("GET", ANY, headers={"authorization": token}).status_code == 200
    assert stage.reached[0].headers["x-forwarded-authorization"] == token


def test_an_event_that_lambda_does_not_take_is_refused_there(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text goes in as text; what is not text goes in as base64, and takes a third more."""
    monkeypatch.setattr(edge_rules, "INVOCATION_BYTES", 100_000)
    body = b"x" * 80_000
    assert stage.ask("POST", "/api/chat", body, {**digest(body), "content-type": "application/json"}).status_code == 200
    answer = stage.ask("POST", "/api/chat", body, {**digest(body), "content-type": "application/octet-stream"})
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (413, "RequestEntityTooLargeException")
    assert len(stage.reached) == 1


def test_chat_stream_gets_the_client_s_token_as_the_adapter_hands_it_on(stage: Stage) -> None:
    stage.ask("GET", "/api/buds", headers={"authorization": "Bearer mine"})
    stage.ask("GET", "/api/buds")
    with_token, without = stage.chat.requests
    assert with_token.headers["authorization"] == "Bearer mine"
    assert without.headers["authorization"].startswith("AWS4-HMAC-SHA256 ")


def test_conversations_gets_the_token_under_the_other_name_and_cloudfront_s_signature_in_its_place(stage: Stage) -> None:
    stage.ask("GET", ANY, headers={"authorization": "Bearer mine", "x-forwarded-authorization": "Bearer forged"})
    stage.ask("GET", ANY, headers={"x-forwarded-authorization": "Bearer forged"})
    with_token, without = stage.conversations.requests
    assert with_token.headers["x-forwarded-authorization"] == "Bearer mine"
    assert with_token.headers["authorization"].startswith("AWS4-HMAC-SHA256 ")
    assert "x-forwarded-authorization" not in without.headers


def test_a_function_gets_its_own_host_and_nothing_that_cloudfront_takes_away(stage: Stage) -> None:
    taken = {
        "expect": "x",
        "x-real-ip": "1",
        "x-forwarded-proto": "http",
        "x-edge-location": "x",
        "x-http-method-override": "PUT",
    }
    stage.ask("GET", ANY, headers={**taken, "last-event-id": "7", "accept": "text/event-stream"})
    (request,) = stage.reached
    assert request.headers["host"].endswith(".lambda-url.invalid")
    assert not taken.keys() & request.headers.keys()
    assert (request.headers["last-event-id"], request.headers["accept"]) == ("7", "text/event-stream")


def test_a_path_goes_where_the_distribution_sends_it(stage: Stage) -> None:
    """By its patterns, which are wider than the local front's routes."""
    chat = ["/api/chat", "/api/chat/1", "/api/chats", "/api/turns/1/stream", "/api/buds", "/api/health", "/api/config"]
    conversations = ["/api/conversations", "/api/", "/api/nope", "/api/openapi.json", "/api/buds/1", "/api/usage"]
    for path in [*chat, *conversations]:
        assert stage.ask("GET", path).status_code == 200
    assert [request.path for request in stage.chat.requests] == chat
    assert [request.path for request in stage.conversations.requests] == conversations


def test_an_answer_streams_through(stage: Stage) -> None:
    seen: list[bytes] = []
    go_on = threading.Event()

    async def answer(_: Request, reply: Reply) -> None:
        await reply.start(200, [("content-type", "text/event-stream"), ("transfer-encoding", "chunked")])
        await reply.body(b"data: 1\n\n")
        assert await asyncio.to_thread(go_on.wait, 5)
        await reply.body(b"data: 2\n\n")

    stage.chat.handler = answer
    with stage.client.stream("POST", "/api/chat", content=b"{}", headers=digest(b"{}")) as response:
        for piece in response.iter_raw():
            seen.append(piece)
            go_on.set()
    assert seen == [b"data: 1\n\n", b"data: 2\n\n"]


def test_a_function_that_is_silent_for_too_long_is_a_504(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_front, "READ_TIMEOUT_S", 0.2)
    silent = Upstream()

    async def never(_: Request, __: Reply) -> None:
        await asyncio.Event().wait()

    silent.handler = never
    with silent.serving() as base, front([base], strict=True) as url:
        assert refused_by_cloudfront(http.get(f"{url}/api/health"), 504)


def test_a_stream_that_is_silent_for_too_long_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_front, "READ_TIMEOUT_S", 0.2)
    silent = Upstream()

    async def stops(_: Request, reply: Reply) -> None:
        await reply.start(200, [("content-type", "text/event-stream"), ("transfer-encoding", "chunked")])
        await reply.body(b"data: 1\n\n")
        await asyncio.Event().wait()

    silent.handler = stops
    with (
        silent.serving() as base,
        front([base], strict=True) as url,
        http.client(url) as client,
        client.stream("GET", "/api/turns/1/stream") as response,
        pytest.raises(httpx2.RemoteProtocolError),
    ):
        list(response.iter_raw())


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<p>the client</p>")
    (tmp_path / "assets" / "app-1a2b.js").write_text("go()")
    (tmp_path / "LICENSE").write_text("a file without an extension")
    return tmp_path


def test_the_site_is_read_only_and_a_missing_file_is_forbidden(site: Path) -> None:
    """S3 tells nobody who may not list the bucket that a file is missing."""
    with front([], site=site, strict=True) as url:
        for path in ("/", "/c/1", "/api", "/LICENSE"):
            assert http.get(url + path).text == "<p>the client</p>"
        assert http.get(f"{url}/assets/app-1a2b.js").text == "go()"
        gone = http.get(f"{url}/assets/gone.js")
        assert (gone.status_code, gone.headers["content-type"]) == (403, "application/xml")
        assert refused_by_cloudfront(http.request("POST", f"{url}/", headers=digest(b"")), 403)


def test_every_response_carries_the_distribution_s_headers(stage: Stage, site: Path) -> None:
    async def answer(_: Request, reply: Reply) -> None:
        await reply.json(200, {}, [("x-frame-options", "ALLOWALL")])

    stage.conversations.handler = answer
    with front([], site=site, strict=True) as url:
        answers = [stage.ask("GET", ANY), stage.ask("POST", ANY), stage.ask("TRACE", ANY), http.get(url)]
    for found in answers:
        assert found.headers.get_list("x-frame-options") == ["DENY"]
        assert found.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in found.headers["content-security-policy"]
    assert "https://login.example.com" in answers[0].headers["content-security-policy"]
    # The one part that needs TLS: a browser that heeds it finds nothing here.
    assert "upgrade-insecure-requests" not in answers[0].headers["content-security-policy"]


def test_a_visitor_that_leaves_within_the_body_sends_nothing_behind(stage: Stage) -> None:
    host, port = str(stage.client.base_url).strip("/").removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"POST /api/chat HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
    assert stage.ask("GET", "/api/health").status_code == 200
    assert [request.path for request in stage.reached] == ["/api/health"]


def test_without_being_asked_the_front_is_as_kind_as_before() -> None:
    upstream: Any = Upstream()
    with upstream.serving() as base, front([base]) as url:
        assert http.post(f"{url}/api/chat", content=b"{}").status_code == 200
