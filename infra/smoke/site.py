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
    """The deployment, and what the checks learn of it one after the other."""

    def __init__(self, url: str, token: str, function_urls: Callable[[], Sequence[str]]) -> None:
        self.token = token
        self.function_urls = function_urls
        self.conversation_id: str | None = None
        self.text = ""
        self._http = httpx2.Client(base_url=url.rstrip("/"), timeout=httpx2.Timeout(10.0, read=_SILENCE_S))

    def close(self) -> None:
        self._http.close()

    def ask(self, method: str, path: str, token: str | None) -> httpx2.Response:
        return self._http.request(method, path, headers=_headers(token, b""))

    def refused(self, method: str, path: str, token: str | None, body: bytes = b"") -> None:
        """Raises Failed unless the request is answered 401 with our own problem document."""
        answer = self._http.request(method, path, headers=_headers(token, body), content=body or None)
        if answer.status_code != 401 or _problem(answer) != "unauthenticated":
            raise Failed(f"{method} {path} answers {answer.status_code} {_problem(answer) or answer.text[:80]!r}, not 401")

    def turn(self) -> Seen:
        """One turn, read to its end."""
        body = json.dumps({"turnId": new_id(), "messages": [{"role": "user", "content": QUESTION}]}).encode()
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
        return seen


def _headers(token: str | None, body: bytes) -> dict[str, str]:
    """CloudFront's origin access control signs a body only by the hash the client sends along."""
    headers = {"accept-encoding": "identity", "x-amz-content-sha256": hashlib.sha256(body).hexdigest()}
    if body:
        headers["content-type"] = "application/json"
    return headers | ({"authorization": f"Bearer {token}"} if token else {})


def _problem(answer: httpx2.Response) -> str | None:
    try:
        document = answer.json()
    except ValueError:
        return None
    return document.get("code") if isinstance(document, dict) else None
