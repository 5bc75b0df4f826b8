"""The client under the SDK: it sends what httpx2's would, less what httpx2 adds by itself."""

from collections.abc import AsyncIterator
from typing import Final

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.chat_stream.direct import DirectClient

TIMEOUT = httpx2.Timeout(600.0, connect=5.0)
ADDED: Final = {"host", "content-length", "accept", "accept-encoding", "connection", "user-agent", "transfer-encoding", "cookie"}
NAMES: Final = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12).filter(lambda name: name not in ADDED)
ADDRESSES = st.sampled_from(
    [
        "https://api.openai.com/v1/chat/completions",
        "http://127.0.0.1:8080/v1/chat/completions",
        "http://[::1]:8080/openai/chat/completions?api-version=1",
        "https://example.com:443/ä b/chat/completions",
    ]
)


class Recorded(httpx2.AsyncBaseTransport):
    """Keeps what it is asked; every answer sets a cookie and is to go elsewhere."""

    def __init__(self) -> None:
        self.requests: list[httpx2.Request] = []
        self.closed = False

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        headers = {"set-cookie": "who=me", "location": "https://elsewhere.example/"}
        return httpx2.Response(307, headers=headers, stream=httpx2.ByteStream(b"moved"))

    async def aclose(self) -> None:
        self.closed = True


async def parts(request: httpx2.Request) -> tuple[str, str, bytes, object]:
    assert isinstance(request.stream, httpx2.AsyncByteStream)
    return request.method, str(request.url), b"".join([part async for part in request.stream]), request.extensions["timeout"]


@given(ADDRESSES, st.dictionaries(NAMES, st.text('abc XYZ019;=/"', max_size=20), max_size=8), st.binary(max_size=50))
async def test_a_request_is_httpx2_s_less_its_own_headers(url: str, headers: dict[str, str], content: bytes) -> None:
    async with DirectClient(Recorded()) as ours, httpx2.AsyncClient() as theirs:
        lines = list(headers.items())
        for _ in range(2):  # the second meets the address that was kept
            made = ours.build_request("post", url, headers=lines, content=content, timeout=TIMEOUT)
        wanted = theirs.build_request("post", url, headers=lines, content=content, timeout=TIMEOUT)

    assert await parts(made) == await parts(wanted)
    for name in ("accept", "accept-encoding", "connection", "user-agent"):
        del wanted.headers[name]
    assert sorted((name.lower(), value) for name, value in made.headers.raw) == sorted(
        (name.lower(), value) for name, value in wanted.headers.raw
    )


@pytest.mark.parametrize(
    "given", [{"params": {"a": "b"}}, {"json": {"a": "b"}}, {"data": {"a": "b"}}, {"content": b"x"}, {}], ids=str
)
async def test_anything_but_bytes_is_made_by_httpx2(given: dict[str, object]) -> None:
    async with DirectClient(Recorded()) as ours, httpx2.AsyncClient() as theirs:
        made = ours.build_request("POST", "https://example.com/x", timeout=TIMEOUT, **given)
        wanted = theirs.build_request("POST", "https://example.com/x", timeout=TIMEOUT, **given)  # type: ignore[arg-type]

    assert await parts(made) == await parts(wanted)
    assert made.headers == wanted.headers


@pytest.mark.parametrize("name", ["Host", "host", "Content-Length", "Transfer-Encoding"])
async def test_a_header_that_frames_the_request_is_sent_once_as_it_was_given(name: str) -> None:
    async with DirectClient(Recorded()) as ours, httpx2.AsyncClient() as theirs:
        lines = [("x-one", "1"), (name, "7")]
        made = ours.build_request("POST", "https://example.com/x", headers=lines, content=b"content", timeout=TIMEOUT)
        wanted = theirs.build_request("POST", "https://example.com/x", headers=lines, content=b"content", timeout=TIMEOUT)

    assert await parts(made) == await parts(wanted)
    assert made.headers == wanted.headers
    assert made.headers.get_list(name) == ["7"]


@pytest.mark.parametrize(
    ("address", "authorization"),
    [
        ("https://us%40er:p%3Ass@example.com/x", "Basic dXNAZXI6cDpzcw=="),
        ("https://user@example.com/x", "Basic dXNlcjo="),
        ("https://example.com/x", "Bearer key"),
    ],
)
async def test_a_name_and_password_in_the_address_sign_in_instead_of_the_key(address: str, authorization: str) -> None:
    transport = Recorded()
    async with DirectClient(transport) as client:
        lines = [("authorization", "Bearer key")]
        await client.send(client.build_request("POST", address, headers=lines, content=b"", timeout=TIMEOUT))

    (request,) = transport.requests
    assert request.headers.get_list("authorization") == [authorization]
    assert request.headers["host"] == "example.com"


async def test_no_cookie_is_kept_and_no_redirect_followed() -> None:
    transport = Recorded()
    async with DirectClient(transport) as client:
        for _ in range(2):
            response = await client.send(
                client.build_request("POST", "https://example.com/x", headers=[], content=b"", timeout=TIMEOUT)
            )

            assert (response.status_code, response.content) == (307, b"moved")
            with pytest.raises(httpx2.HTTPStatusError):
                response.raise_for_status()
    assert [(str(request.url), request.headers.get("cookie")) for request in transport.requests] == [
        ("https://example.com/x", None)
    ] * 2
    assert transport.closed


async def test_a_closed_client_sends_nothing() -> None:
    transport = Recorded()
    client = DirectClient(transport)
    request = client.build_request("POST", "https://example.com/x", headers=[], content=b"", timeout=TIMEOUT)
    await client.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await client.send(request)
    assert transport.requests == []


async def test_the_sdk_s_own_requests_take_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were its calls of the client to change, every request would be made twice as slowly, and nothing else would tell."""

    def refuse(*_: object, **__: object) -> httpx2.Request:
        raise AssertionError("made by httpx2")

    monkeypatch.setattr(httpx2.AsyncClient, "build_request", refuse)
    transport = Recorded()
    async with openai.AsyncOpenAI(api_key="key", max_retries=0, http_client=DirectClient(transport)) as client:
        with pytest.raises(openai.APIStatusError):
            await client.post("/chat/completions", body={"a": "b"}, cast_to=object)

    (request,) = transport.requests
    assert request.headers["authorization"] == "Bearer key"
    assert request.headers["content-type"] == "application/json"
    assert (await parts(request))[2] == b'{"a":"b"}'


async def test_a_streamed_response_is_left_to_its_reader() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    class Streaming(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            return httpx2.Response(200, content=body())

    async with DirectClient(Streaming()) as client:
        request = client.build_request("POST", "https://example.com/x", headers=[], content=b"", timeout=TIMEOUT)
        response = await client.send(request, stream=True)

        assert not response.is_closed
        assert response.request is request
        assert [part async for part in response.aiter_bytes()] == [b"one", b"two"]
