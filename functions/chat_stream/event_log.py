"""The log of a turn's events in memory: appended to by the turn, drained by any number of responses.

It decouples the two: a reader that is slow or gone never holds the turn up, and the log is bounded by the answer's byte cap.
"""

import asyncio
from collections.abc import Iterable

from functions.chat_stream import sse
from functions.common.events import Event


class EventLog:
    """Frames in order, numbered from `first`."""

    def __init__(self, first: int = 1) -> None:
        self.first = first
        self.frames: list[bytes] = []
        self.unsaved: list[Event] = []  # not yet in a checkpoint; drained by the recorder
        self.closed = False
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def next_id(self) -> int:
        return self.first + len(self.frames)

    def append(self, event: Event) -> None:
        self.frames.append(sse.encode(self.next_id, event))
        self.unsaved.append(event)
        if self._waiters:
            self.wake()

    def extend(self, events: Iterable[Event]) -> None:
        """Appends events that are stored already."""
        self.frames.extend(sse.encode(number, event) for number, event in enumerate(events, self.next_id))
        self.wake()

    def close(self) -> None:
        """Nothing follows."""
        self.closed = True
        self.wake()

    async def changed(self) -> None:
        """Returns when something is appended, at the close, or when woken."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def wake(self) -> None:
        """Makes every reader look."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
