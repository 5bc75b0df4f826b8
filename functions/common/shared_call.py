"""A call that many wait for and one makes."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class SharedCall(Generic[T]):
    """Whoever asks while a call is under way gets that call's outcome, a failure included; the next one makes a new call.

    With a lock in its place, each of those waiting would make a call of its own after the one before had failed, one by one.
    Who leaves meanwhile does not end the call for the others. For one event loop.
    """

    def __init__(self, call: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._call = call
        self._under_way: asyncio.Task[T] | None = None

    def start(self) -> "asyncio.Task[T]":
        """The call under way, or a new one. Its outcome may be left unread."""
        if self._under_way is None or self._under_way.done():
            self._under_way = asyncio.create_task(self._call())
            self._under_way.add_done_callback(_read)
        return self._under_way

    async def __call__(self) -> T:
        return await asyncio.shield(self.start())


def _read(task: "asyncio.Task[Any]") -> None:
    """An exception nobody has read would be printed by asyncio, with its text."""
    if not task.cancelled():
        task.exception()
