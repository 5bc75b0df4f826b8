"""The front: which process answers, what passes and what does not, and that a stream is never held back."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from functions.chat_stream.settings import Limits
from local import proxy
from local.model.http import Reply, Request
from tests.integration.local.served import Upstream, front
from tests.support import http

STREAM = [("content-type", "text/event-stream"), ("transfer-encoding", "chunked")]


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
def url(upstream: Upstream) -> Iterator[str]:
    with upstream.serving() as base, front([base]) as served:
        yield served


@pytest.fixture
def client(url: str) -> Iterator[httpx2.Client]:
    with http.client(url) as made:
        yield made


def dead_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as once:
        return f"http://127.0.0.1:{once.getsockname()[1]}"


def test_each_route_reaches_the_function_that_answers_it() -> None:
    chat, conversations = Upstream(), Upstream()
    with (
        chat.serving() as chat_url,
        conversations.serving() as conversations_url,
        front([chat_url], conversations_url) as url,
        http.client(url) as client,
    ):
        to_chat = ["/api/chat", "/api/chat/1", "/api/turns/1", "/api/turns/1/stream", "/api/buds", "/api/health", "/api/config"]
        to_conversations = ["/api/conversations", "/api/conversations/1/export", "/api/usage", "/api/openapi.json"]
        for path in [*to_chat, *to_conversations]:
            assert client.get(path).status_code == 200
    assert [request.path for request in chat.requests] == to_chat
    assert [request.path for request in conversations.requests] == to_conversations


@pytest.mark.parametrize("path", ["/api/nope", "/api", "/api/", "/api/chats", "/api/conversationsx"])
def test_an_unknown_route_of_the_api_is_a_problem_document(client: httpx2.Client, upstream: Upstream, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "not_found"
    assert upstream.requests == []


def test_method_path_query_and_body_arrive_as_they_were_sent(client: httpx2.Client, upstream: Upstream) -> None:
    client.request("PATCH", "/api/chat/a%2Fb%20c?x=%C3%A9&y=", content=b'{"a": "\xc3\xa9"}')
    request = upstream.requests[0]
    assert (request.method, request.path) == ("PATCH", "/api/chat/a%2Fb%20c?x=%C3%A9&y=")
    assert request.raw == b'{"a": "\xc3\xa9"}'


def test_a_body_without_a_length_arrives_whole(client: httpx2.Client, upstream: Upstream) -> None:
    client.post("/api/chat", content=iter([b"one ", b"two ", b"x" * 300_000]))
    assert upstream.requests[0].raw == b"one two " + b"x" * 300_000


def test_what_only_the_platform_may_say_does_not_pass(client: httpx2.Client, upstream: Upstream) -> None:
    spoofed = {
        "x-amzn-lambda-context": "{}",
        "X-Amzn-Request-Context": "{}",
        "x-forwarded-for": "10.0.0.1",
        "X-Forwarded-Authorization": "Bearer stolen",
        "forwarded": "for=10.0.0.1",
        "proxy-authorization": "Basic x",
        "te": "trailers",
    }
    client.get("/api/health", headers={**spoofed, "authorization": "Bearer mine", "last-event-id": "7", "cookie": "a=1"})
    headers = upstream.requests[0].headers
    assert not {name.lower() for name in spoofed} & headers.keys()
    assert headers["authorization"] == "Bearer mine"
    assert headers["last-event-id"] == "7"
    assert headers["cookie"] == "a=1"


def test_the_front_adds_nothing_of_its_own(url: str, upstream: Upstream) -> None:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(b"GET /api/health HTTP/1.1\r\nhost: me.example\r\nconnection: close\r\n\r\n")
        while connection.recv(65536):
            pass
    assert upstream.requests[0].headers == {"host": "me.example"}


def test_status_headers_and_repeated_headers_come_back(client: httpx2.Client, upstream: Upstream) -> None:
    async def answer(_: Request, reply: Reply) -> None:
        await reply.json(
            429, {"code": "x"}, [("retry-after", "3"), ("set-cookie", "a=1"), ("set-cookie", "b=2"), ("connection", "x")]
        )

    upstream.handler = answer
    answer_seen = client.get("/api/health")
    assert answer_seen.status_code == 429
    assert answer_seen.headers["retry-after"] == "3"
    assert answer_seen.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert answer_seen.json() == {"code": "x"}


def test_a_cookie_of_one_visitor_is_not_sent_for_the_next(url: str, upstream: Upstream) -> None:
    async def answer(_: Request, reply: Reply) -> None:
        await reply.json(200, {}, [("set-cookie", "session=first; path=/")])

    upstream.handler = answer
    http.get(f"{url}/api/health")
    http.get(f"{url}/api/health")
    assert "cookie" not in upstream.requests[1].headers


def test_a_redirect_is_passed_on_and_not_followed(client: httpx2.Client, upstream: Upstream) -> None:
    async def answer(_: Request, reply: Reply) -> None:
        await reply.json(307, {}, [("location", "http://127.0.0.1:1/")])

    upstream.handler = answer
    assert client.get("/api/health").headers["location"] == "http://127.0.0.1:1/"
    assert len(upstream.requests) == 1


def test_every_piece_comes_through_before_the_next_is_made(client: httpx2.Client, upstream: Upstream) -> None:
    """The upstream sends a piece only once the visitor has the one before: a held piece would hold everything."""
    seen = threading.Semaphore(0)

    async def answer(_: Request, reply: Reply) -> None:
        await reply.start(200, STREAM)
        for number in range(20):
            await reply.body(b"data: %d\n\n" % number)
            assert await asyncio.to_thread(seen.acquire, timeout=20)

    upstream.handler = answer
    pieces = []
    with client.stream("POST", "/api/chat", content=b"{}") as response:
        for piece in response.iter_raw():
            pieces.append(piece)
            seen.release()
    assert pieces == [b"data: %d\n\n" % number for number in range(20)]


def test_the_headers_come_through_before_the_first_piece(client: httpx2.Client, upstream: Upstream) -> None:
    go_on = threading.Event()

    async def answer(_: Request, reply: Reply) -> None:
        await reply.start(200, STREAM)
        assert await asyncio.to_thread(go_on.wait, 5)
        await reply.body(b"data: x\n\n")

    upstream.handler = answer
    with client.stream("GET", "/api/turns/1/stream") as response:
        assert response.headers["content-type"] == "text/event-stream"
        go_on.set()
        assert b"".join(response.iter_raw()) == b"data: x\n\n"


def test_a_piece_is_passed_on_before_the_next_is_made(client: httpx2.Client, upstream: Upstream) -> None:
    received = threading.Semaphore(0)

    async def answer(_: Request, reply: Reply) -> None:
        await reply.start(200, STREAM)
        for number in range(100):
            await reply.body(b"%d\n" % number)
            assert await asyncio.to_thread(received.acquire, timeout=20), f"piece {number} was held back"

    upstream.handler = answer
    pieces = []
    with client.stream("GET", "/api/turns/1/stream") as response:
        for piece in response.iter_raw():
            pieces.append(int(piece))
            received.release()
    assert pieces == [*range(100)]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_visitor_that_leaves_ends_the_request_behind_the_front(client: httpx2.Client, upstream: Upstream, method: str) -> None:
    async def answer(_: Request, reply: Reply) -> None:
        await reply.start(200, STREAM)
        await reply.body(b"data: x\n\n")
        await asyncio.Event().wait()

    upstream.handler = answer
    with client.stream(method, "/api/chat", content=b"{}" if method == "POST" else None) as response:
        pieces = response.iter_raw()  # held: a dropped iterator would close the connection
        next(pieces)
        assert not upstream.requests[0].closed.is_set()
    assert upstream.requests[0].closed.wait(20)


def test_a_visitor_that_leaves_before_the_answer_ends_the_request_too(url: str, upstream: Upstream) -> None:
    async def answer(_: Request, __: Reply) -> None:
        await asyncio.Event().wait()

    upstream.handler = answer
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"POST /api/chat HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}")
        assert upstream.arrived.wait(20)
    assert upstream.requests[0].closed.wait(20)


def test_a_visitor_that_leaves_within_the_body_sends_nothing_behind(url: str, upstream: Upstream) -> None:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"POST /api/chat HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
    with http.client(url) as client:
        assert client.get("/api/health").status_code == 200
    assert [request.path for request in upstream.requests] == ["/api/health"]


def test_a_stream_broken_off_behind_is_broken_off_in_front(client: httpx2.Client, upstream: Upstream) -> None:
    async def answer(_: Request, reply: Reply) -> None:
        await reply.start(200, STREAM)
        await reply.body(b"data: x\n\n")
        await reply.break_chunk()

    upstream.handler = answer
    with client.stream("GET", "/api/turns/1/stream") as response:
        pieces = response.iter_raw()
        assert next(pieces) == b"data: x\n\n"
        with pytest.raises(httpx2.RemoteProtocolError):
            list(pieces)


def test_a_process_that_is_down_is_unavailable() -> None:
    with front([dead_port()]) as url:
        answer = http.post(f"{url}/api/chat", content=b"{}")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "unavailable"


def test_while_one_of_two_processes_is_down_the_other_answers_all(upstream: Upstream) -> None:
    with upstream.serving() as base, front([dead_port(), base]) as url:
        answers = [http.post(f"{url}/api/chat", content=b"{}").status_code for _ in range(4)]
    assert answers == [200] * 4
    assert [request.raw for request in upstream.requests] == [b"{}"] * 4


def test_two_processes_share_the_requests() -> None:
    first, second = Upstream(), Upstream()
    with first.serving() as one, second.serving() as two, front([one, two]) as url:
        for _ in range(6):
            http.get(f"{url}/api/health")
    assert (len(first.requests), len(second.requests)) == (3, 3)


def test_without_a_web_client_a_page_says_how_to_try_the_api(client: httpx2.Client, url: str) -> None:
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert f"curl -N -X POST {url}/api/chat" in page.text
    assert client.get("/favicon.ico").status_code == 404
    assert client.post("/").status_code == 405


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<p>the client</p>")
    (tmp_path / "assets" / "app-1a2b.js").write_text("go()")
    (tmp_path.parent / "secret.txt").write_text("secret")
    return tmp_path


def test_the_web_client_is_served_and_its_own_routes_get_its_page(site: Path) -> None:
    with front([dead_port()], site=site) as url, http.client(url) as client:
        for path in ("/", "/index.html", "/c/01a2049d-ce80-756f-896e-94bbe1fc2168"):
            page = client.get(path)
            assert (page.text, page.headers["cache-control"]) == ("<p>the client</p>", "no-cache")
        asset = client.get("/assets/app-1a2b.js")
        assert asset.text == "go()"
        assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert client.get("/assets/gone.js").status_code == 404


@pytest.mark.parametrize("path", ["/../secret.txt", "/%2e%2e/secret.txt", "/assets/..%2f..%2fsecret.txt"])
def test_nothing_outside_the_web_client_is_served(site: Path, path: str) -> None:
    with front([dead_port()], site=site) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(b"GET %s HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n" % path.encode())
            received = b""
            while data := connection.recv(65536):
                received += data
    assert b"secret" not in received


def _raw(url: str, request: bytes) -> bytes:
    """The head and the document that come back for these bytes."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        answer = b""
        while not answer.endswith(b"}"):
            answer += connection.recv(65536)
        return answer


_POST = b"POST /api/chat HTTP/1.1\r\nHost: x\r\ncontent-type: application/json\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        (_POST + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400, b"invalid_request"),
        (b"GET /api/health?" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 400, b"invalid_request"),
        (_POST + b"content-length: 5000000\r\n\r\n", 413, b"too_large"),
        (_POST + b"transfer-encoding: chunked\r\n\r\n" + b"100000\r\n" + b"x" * 0x100000 + b"\r\n", 408, b"request_timeout"),
        (_POST + b"transfer-encoding: chunked\r\n\r\n" + (b"100000\r\n" + b"x" * 0x100000 + b"\r\n") * 5, 413, b"too_large"),
        (_POST + b"content-length: 100\r\n\r\n{", 408, b"request_timeout"),
    ],
    ids=["two lengths", "long URL", "declared too large", "chunks that stop", "chunks too large", "body that stops"],
)
def test_a_request_that_no_function_would_get_is_answered_here(
    url: str, monkeypatch: pytest.MonkeyPatch, request_bytes: bytes, status: int, code: bytes
) -> None:
    monkeypatch.setattr(proxy, "_BODY", Limits(body_timeout_s=0.5))
    head, _, body = _raw(url, request_bytes).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"application/problem+json" in head
    assert code in body
