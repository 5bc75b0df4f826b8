"""The log of a turn's events in memory: appended to by the turn, drained by any number of responses.

It decouples the two: a reader that is slow or gone never holds the turn up, and the log is bounded by the answer's byte cap.
"""

from collections.abc import Callable, Iterable

from functions.chat_stream import sse
from functions.common.events import Event


class EventLog:
    """Frames in order, numbered from `first`."""

    def __init__(self, first: int = 1) -> None:
        self.first = first
        self.frames: list[bytes] = []
        self.unsaved: list[Event] = []  # not yet in a checkpoint; drained by the recorder
        self.closed = False
        self._listeners: tuple[Callable[[], None], ...] = ()

    @property
    def next_id(self) -> int:
        return self.first + len(self.frames)

    def append(self, event: Event) -> None:
        self.frames.append(sse.encode(self.next_id, event))
        self.unsaved.append(event)
        self._tell()

    def extend(self, events: Iterable[Event]) -> None:
        """Appends events that are stored already."""
        self.frames.extend(sse.encode(number, event) for number, event in enumerate(events, self.next_id))
        self._tell()

    def close(self) -> None:
        """Nothing follows."""
        self.closed = True
        self._tell()

    def listen(self, on_change: Callable[[], None]) -> None:
        """Has `on_change` called within each append, at the close, and never again after `unlisten`. It must not raise."""
        self._listeners = (*self._listeners, on_change)

    def unlisten(self, on_change: Callable[[], None]) -> None:
        self._listeners = tuple(listener for listener in self._listeners if listener != on_change)

    def _tell(self) -> None:
        for on_change in self._listeners:
            on_change()
