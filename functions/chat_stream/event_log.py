"""The log of a turn's events in memory: appended to by the turn, drained by any number of responses.

It decouples the two: a reader that is slow or gone never holds the turn up, and the log is bounded by the answer's byte cap. What
is stored and has reached every reader leaves it, so that a long answer takes hardly more memory than a short one.
"""

from collections.abc import Iterable
from typing import Protocol

from functions.chat_stream import sse
from functions.common.events import Event


class Reader(Protocol):
    """Who drains a log; `sent` counts the events, from the log's first on, that it needs no more."""

    sent: int

    def on_change(self) -> None:
        """Called within each append, and at the close. It must not raise."""


class EventLog:
    """Frames in order, numbered from `first`; `dropped` of them are gone, the others are in `frames`."""

    def __init__(self, first: int = 1) -> None:
        self.first = first
        self.frames: list[bytes] = []
        self.dropped = 0
        self.unsaved: list[Event] = []  # not yet in a checkpoint; drained by the recorder
        self.closed = False
        self._readers: tuple[Reader, ...] = ()

    @property
    def next_id(self) -> int:
        return self.first + self.dropped + len(self.frames)

    def append(self, event: Event) -> None:
        self.frames.append(sse.encode(self.next_id, event))
        self.unsaved.append(event)
        self._tell()

    def extend(self, events: Iterable[Event]) -> None:
        """Appends events that are stored already."""
        self.frames.extend(sse.encode(number, event) for number, event in enumerate(events, self.next_id))
        self._tell()

    def after(self, sent: int) -> list[bytes]:
        """The frames behind the first `sent`."""
        return self.frames[sent - self.dropped :]

    def stored(self, count: int) -> None:
        """So many events, from the first on, are stored: those of them that no reader waits for are dropped."""
        gone = min([count, *(reader.sent for reader in self._readers)])
        if gone > self.dropped:
            del self.frames[: gone - self.dropped]
            self.dropped = gone

    def close(self) -> None:
        """Nothing follows."""
        self.closed = True
        self._tell()

    def listen(self, reader: Reader) -> None:
        """Tells the reader of changes and keeps what it has not sent, until `unlisten`. Raises ValueError when it is too late."""
        if reader.sent < self.dropped:
            raise ValueError("events that this reader has not sent are gone")
        self._readers = (*self._readers, reader)

    def unlisten(self, reader: Reader) -> None:
        self._readers = tuple(one for one in self._readers if one is not reader)

    def _tell(self) -> None:
        for reader in self._readers:
            reader.on_change()
