"""A model server for tests, on a real socket, that does what it is told.

with ScriptedModel() as model:
    model.plays(token("Hel"), token("lo"), finish("stop"), done())
    … a client of model.url streams "Hello" …
    assert model.requests[0].body["stream"] is True
"""

import asyncio
import threading
from collections import deque
from types import TracebackType
from typing import Self

from local.model.http import Request
from local.model.pace import INSTANT, Pace
from local.model.server import ModelServer, Script, listen
from local.model.steps import (
    Step,
    cut,
    cut_after,
    done,
    drip,
    endless,
    error_object,
    finish,
    headers_now,
    pause,
    raw,
    reasoning,
    stall,
    status,
    token,
    tokens,
    usage,
    wait_for,
)

__all__ = [
    "Pace",
    "Request",
    "ScriptedModel",
    "Step",
    "cut",
    "cut_after",
    "done",
    "drip",
    "endless",
    "error_object",
    "finish",
    "headers_now",
    "pause",
    "raw",
    "reasoning",
    "stall",
    "status",
    "token",
    "tokens",
    "usage",
    "wait_for",
]


class ScriptedModel:
    """A context manager; `url` is the base URL for a client. Without a script it answers as the demo model does, at `pace`."""

    def __init__(self, pace: Pace = INSTANT) -> None:
        self._listener = listen()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self._requests: list[Request] = []
        self._scripts: deque[Script] = deque()
        self._fallback: Script | None = None
        self._arrival = threading.Condition()
        self._server = ModelServer(pace, self._next_script)
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="scripted model", daemon=True)

    def plays(self, *steps: Step) -> None:
        """The script for one request, after those already queued."""
        self._scripts.append(steps)

    def always_plays(self, *steps: Step) -> None:
        """The script for every request that has none of its own."""
        self._fallback = steps

    @property
    def requests(self) -> list[Request]:
        """The completion requests so far, in the order they arrived."""
        with self._arrival:
            return list(self._requests)

    @property
    def closed(self) -> list[Request]:
        """Those whose client left before the script was over."""
        return [request for request in self.requests if request.closed.is_set()]

    def wait_for_request(self, number: int = 1, timeout: float = 5) -> Request:
        """The request of that number, counted from 1, once it has arrived; raises TimeoutError."""
        with self._arrival:
            if not self._arrival.wait_for(lambda: len(self._requests) >= number, timeout):
                raise TimeoutError(f"request {number} did not arrive within {timeout} s; {len(self._requests)} did")
            return self._requests[number - 1]

    def wait_closed(self, number: int = 1, timeout: float = 5) -> Request:
        """The request of that number, once its client has left; raises TimeoutError."""
        request = self.wait_for_request(number, timeout)
        if not request.closed.wait(timeout):
            raise TimeoutError(f"the client of request {number} did not leave within {timeout} s")
        return request

    def _next_script(self, request: Request) -> Script | None:
        script = self._scripts.popleft() if self._scripts else self._fallback
        with self._arrival:
            self._requests.append(request)
            self._arrival.notify_all()
        return script

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._server.run(self._listener, self._end))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
