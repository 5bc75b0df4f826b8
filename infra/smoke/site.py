"""A deployment as a client sees it, and what can be wrong with it."""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

from functions.common.ids import new_id
from functions.common.sse import SSEDecoder

QUESTION: Final = "Count from 1 to 60 in words, one number per line, and write nothing else."
_SILENCE_S: Final = 75.0  # above the distribution's own read time-out


class Failed(Exception):
    """Something does not hold; the text says what was seen instead."""


class NotChecked(Exception):
    """It could not be looked at; the text says why."""


@dataclass
class Seen:
    """What one turn showed: every event with its time, in seconds from the request, and how many reads brought tokens."""

    events: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    token_reads: int = 0

    @property
    def last(self) -> dict[str, Any]:
        return self.events[-1][1] if self.events else {}

    def at(self, kind: str) -> float:
        """When the first event of a kind came; raises Failed when none did."""
        for at, event in self.events:
            if event["type"] == kind:
                return at
        raise Failed(f"no `{kind}` came; the events were {', '.join(dict.fromkeys(event['type'] for _, event in self.events))}")

    @property
    def text(self) -> str:
        return "".join(event["content"] for _, event in self.events if event["type"] == "token")


class Site:
    """The deployment, and what the checks learn of it one after the other. Requests are made as the web client makes them."""

    def __init__(self, url: str, token: str, function_urls: Callable[[], Sequence[str]]) -> None:
        self.token = token
        self.function_urls = function_urls
        self.conversation_id: str | None = None
        self.text = ""
        self.made: list[str] = []
        self._http = httpx2.Client(
            base_url=url.rstrip("/"),
            timeout=httpx2.Timeout(10.0, read=_SILENCE_S),
            headers={"accept-encoding": "identity"},
            event_hooks={"request": [_with_digest]},
        )

    def close(self) -> None:
        self._http.close()

    def ask(self, method: str, path: str, token: str | None, body: bytes = b"", *, digest: bool = True) -> httpx2.Response:
        """One request. Without `digest` it is made as a client does that knows nothing of CloudFront."""
        headers = _headers(token, body) | ({} if digest else {_DIGEST: _NONE})
        return self._http.request(method, path, headers=headers, content=body or None)

    def refused(self, method: str, path: str, token: str | None, body: bytes = b"") -> None:
        """Raises Failed unless the request is answered 401 with our own problem document."""
        answer = self.ask(method, path, token, body)
        if answer.status_code != 401 or problem_of(answer) != "unauthenticated":
            raise Failed(f"{method} {path} answers {answer.status_code} {problem_of(answer) or answer.text[:80]!r}, not 401")

    def turn(self, question: str = QUESTION, turn_id: str | None = None, heard: Callable[[Seen], None] | None = None) -> Seen:
        """One turn, read to its end; `heard` is called with what was seen so far after each read that brought events."""
        document = {"turnId": turn_id or new_id(), "messages": [{"role": "user", "content": question}]}
        body = json.dumps(document).encode()
        seen, decoder, began = Seen(), SSEDecoder(), time.monotonic()
        with self._http.stream("POST", "/api/chat", content=body, headers=_headers(self.token, body)) as response:
            if response.status_code != 200:
                response.read()
                raise Failed(f"POST /api/chat answers {response.status_code}: {response.text[:300]}")
            for chunk in response.iter_raw():
                at = time.monotonic() - began
                events = [json.loads(message.data) for message in decoder.feed(chunk)]
                seen.events += [(at, event) for event in events]
                seen.token_reads += any(event["type"] == "token" for event in events)
                self.made += [one["conversationId"] for one in events if one.get("conversationId")]
                if events and heard is not None:
                    heard(seen)
        return seen


_DIGEST: Final = "x-amz-content-sha256"
_NONE: Final = "none"  # tells the hook below to send no such header


def _with_digest(request: httpx2.Request) -> None:
    """CloudFront signs the request to the function, and takes the body's digest from whoever sends it, the empty body's too."""
    if request.headers.get(_DIGEST) == _NONE:
        del request.headers[_DIGEST]
    elif request.method not in {"GET", "HEAD"}:
        request.headers[_DIGEST] = hashlib.sha256(request.read()).hexdigest()


def _headers(token: str | None, body: bytes) -> dict[str, str]:
    headers = {"content-type": "application/json"} if body else {}
    return headers | ({"authorization": f"Bearer {token}"} if token else {})


def problem_of(answer: httpx2.Response) -> str | None:
    """The code of our own problem document; None for what somebody on the way answered."""
    try:
        document = answer.json()
    except ValueError:
        return None
    return document.get("code") if isinstance(document, dict) else None
