"""People who use the system at random, and what they were promised: every turn they began, with what they saw of it."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2

from functions.common.ids import new_id
from functions.common.sse import SSEDecoder
from tests.support.chat import Api, Seen, Stream, user


@dataclass
class Begun:
    """A turn as its person knows it. `shown` are the tokens by number with the time they came (monotonic)."""

    turn_id: str
    question: str
    new: bool
    conversation_id: str | None = None
    shown: dict[int, tuple[str, float]] = field(default_factory=dict)
    last: dict[str, Any] = field(default_factory=dict)
    began_at: float = field(default_factory=time.monotonic)
    twice: bool = False  # sent twice: what was shown may be of a run that is not the one stored, and must then say so

    def take(self, seen: Seen) -> None:
        if seen.type == "token":
            self.shown[seen.id] = (seen.event["content"], seen.at)
        elif seen.type == "conversationCreated":
            self.conversation_id = seen.event["conversationId"]
        elif seen.type in {"complete", "error"}:
            self.last = seen.event
            self.conversation_id = seen.event.get("conversationId") or self.conversation_id


_RESUMED_FOR_S = 60.0  # a killed turn's end is known after 15 s; storage may be down as well


class Ledger:
    """What was begun and what was deleted, by all people together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.turns: list[Begun] = []
        self.deleted: set[str] = set()
        self.counts: dict[str, int] = {}
        self.kills: list[float] = []  # when a worker was killed (monotonic)

    def began(self, turn: Begun) -> None:
        with self._lock:
            self.turns.append(turn)

    def count(self, what: str) -> None:
        with self._lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def some_conversation(self, chance: random.Random) -> Begun | None:
        """A turn that ended well in a conversation nobody deleted."""
        with self._lock:
            fit = [
                turn
                for turn in self.turns[-50:]
                if turn.last.get("status") == "complete" and turn.conversation_id and turn.conversation_id not in self.deleted
            ]
        return chance.choice(fit) if fit else None


class Person:
    """Does one thing after the other until told to stop."""

    def __init__(self, url: str, ledger: Ledger, seed: int) -> None:
        self._api = Api(url)
        self._ledger = ledger
        self._chance = random.Random(seed)

    def run(self, end: threading.Event) -> None:
        acts: list[tuple[Callable[[], None], int]] = [
            (self.begin, 5), (self.go_on, 4), (self.stop, 2), (self.leave, 2), (self.leave_and_resume, 3),
            (self.send_twice, 1), (self.delete, 1),
        ]  # fmt: skip
        while not end.is_set():
            (act,) = self._chance.choices([act for act, _ in acts], [weight for _, weight in acts])
            try:
                act()
            except httpx2.TransportError:
                self._ledger.count("connection lost")
            end.wait(self._chance.uniform(0.05, 0.4))
        self._api.close()

    def begin(self) -> None:
        turn = self._turn(new=True)
        self._watch(turn)
        self._ledger.count("begun")

    def go_on(self) -> None:
        before = self._ledger.some_conversation(self._chance)
        if before is None:
            return
        turn = self._turn(new=False, conversation_id=before.conversation_id)
        self._watch(turn)
        self._ledger.count("continued")

    def stop(self) -> None:
        turn = self._turn(new=True)
        stopper = threading.Timer(self._chance.uniform(0.2, 1.0), self._stop, [turn.turn_id])
        stopper.start()
        try:
            self._watch(turn)
        finally:
            stopper.join()
        self._ledger.count("stopped")

    def leave(self) -> None:
        self._watch(self._turn(new=True), leave_after=self._chance.randint(1, 8))
        self._ledger.count("left")

    def leave_and_resume(self) -> None:
        turn = self._turn(new=True)
        self._watch(turn, leave_after=self._chance.randint(2, 10))
        time.sleep(self._chance.uniform(0, 0.5))
        after = max(turn.shown, default=0)
        stream = self._api.resume(turn.turn_id, after)
        if stream.status == 200:
            for seen in stream.events:
                assert seen.id not in turn.shown, f"event {seen.id} of {turn.turn_id} came twice"
                turn.take(seen)
        self._ledger.count("resumed" if stream.status == 200 else f"resume answered {stream.status}")

    def send_twice(self) -> None:
        turn = self._turn(new=True)
        turn.twice = True
        again = threading.Thread(target=self._again, args=[turn])
        again.start()
        try:
            self._watch(turn)
        finally:
            again.join()
        self._ledger.count("sent twice")

    def delete(self) -> None:
        before = self._ledger.some_conversation(self._chance)
        if before is None or before.conversation_id is None:
            return
        self._ledger.deleted.add(before.conversation_id)
        for _ in range(20):
            try:
                if self._api.http.delete(f"/api/conversations/{before.conversation_id}").status_code in {204, 404}:
                    self._ledger.count("deleted")
                    return
            except httpx2.TransportError:
                self._ledger.count("deletion lost")  # it may go on, and may have failed: asked for again
            time.sleep(0.5)
        raise AssertionError(f"conversation {before.conversation_id} could not be deleted in twenty tries")

    def _turn(self, new: bool, conversation_id: str | None = None) -> Begun:
        return Begun(new_id(), f"question {self._chance.random()}", new, conversation_id)

    def _body(self, turn: Begun) -> dict[str, Any]:
        return {"turnId": turn.turn_id, "messages": [user(turn.question)]}

    def _watch(self, turn: Begun, leave_after: int | None = None) -> None:
        """Reads the turn's stream to its end, or leaves after so many events. One that breaks is resumed, as by any client."""
        try:
            self._read(turn, leave_after)
        except httpx2.TransportError:
            self._ledger.count("connection lost")
            self._resume(turn)

    def _resume(self, turn: Begun) -> None:
        """Until the turn's last event, or until the server says that it knows of no such turn."""
        over = time.monotonic() + _RESUMED_FOR_S
        while not turn.last and time.monotonic() < over:
            try:
                stream = self._api.resume(turn.turn_id, max(turn.shown, default=0))
            except httpx2.TransportError:
                stream = None
            if stream is not None and stream.status == 404:
                break
            for seen in stream.events if stream is not None and stream.status == 200 else ():
                turn.take(seen)
            time.sleep(0.5)
        self._ledger.count("resumed after that")

    def _read(self, turn: Begun, leave_after: int | None) -> None:
        path = f"/api/chat/{turn.conversation_id}" if turn.conversation_id else "/api/chat"
        decoder = SSEDecoder()
        with self._api.http.stream("POST", path, json=self._body(turn)) as response:
            if response.status_code != 200:
                self._ledger.count(f"answered {response.status_code}")
                return
            self._ledger.began(turn)
            count = 0
            for chunk in response.iter_raw():
                for message in decoder.feed(chunk):
                    turn.take(Stream.seen(message))
                    count += 1
                    if leave_after is not None and count >= leave_after:
                        return

    def _stop(self, turn_id: str) -> None:
        api = Api(str(self._api.http.base_url))
        try:
            self._ledger.count(f"stop answered {api.stop(turn_id).status_code}")
        except httpx2.TransportError:
            self._ledger.count("stop lost")
        finally:
            api.close()

    def _again(self, turn: Begun) -> None:
        api = Api(str(self._api.http.base_url))
        try:
            api.post(self._body(turn))
        except httpx2.TransportError:
            self._ledger.count("repeat lost")
        finally:
            api.close()
