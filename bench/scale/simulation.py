"""The deployment in steps of a second: turns arrive, Lambda grows or refuses, the queue fills, persist stores at what is left.

Deterministic, in whole turns and records. What is simplified, always in AWS's favour or evenly: an environment stays warm for
good; a queue gives the oldest first; a place that falls free goes to whoever asks next; a table throttles whom it throttles at
random; what Lambda will not begin of persist waits in the queue and counts as no receive; refused readers do not come back.
"""

from collections import deque
from dataclasses import dataclass, field
from math import ceil
from typing import Final

from bench.scale.backlog import Backlog, Cohort, Kind
from bench.scale.contention import Table, settle
from bench.scale.demand import Load, Turn
from bench.scale.quotas import GROWTH_WINDOW_S, POLLERS_AT_FIRST, Quotas
from functions.chat_stream.settings import Timing
from infra import resources

TIMING: Final = Timing()


@dataclass(frozen=True, slots=True)
class Second:
    """What a second looked like: streams wanted and running, and how long the oldest record has waited."""

    wanted: int
    running: int
    refused: int
    oldest_s: int


@dataclass(slots=True)
class Result:
    """What came of a run: `peak` is the most that was asked of each quota, `broke` the second in which it first fell short."""

    offered: int = 0
    admitted: int = 0
    refused: int = 0
    finished: int = 0
    running: int = 0
    pending: int = 0  # turns that ended with persistPending
    longest_wait_s: int = 0
    delayed_writes: float = 0.0  # chat_stream's, in write units a table did not take in their second
    streaming_writes: float = 0.0
    records_sent: int = 0
    records_stored: int = 0
    records_dead: int = 0
    records_left: int = 0
    peak: dict[str, float] = field(default_factory=dict)
    broke: dict[str, int] = field(default_factory=dict)
    seconds: list[Second] = field(default_factory=list)

    @property
    def first(self) -> str | None:
        """The quota that broke first."""
        return min(self.broke, key=self.broke.__getitem__, default=None)


class Simulation:
    """One run of a load against quotas. `reserved` is the stack's `chatConcurrency`: for streams, and closed to them beyond."""

    def __init__(self, load: Load, turn: Turn, quotas: Quotas, reserved: int | None = None) -> None:
        self._reserved = reserved
        self._load, self._turn, self._quotas = load, turn, quotas
        self._queue = Backlog(resources.PERSIST.max_receive_count, resources.PERSIST.visibility_timeout_s)
        self._ending: deque[int] = deque([0] * turn.seconds)
        self._wanted: deque[int] = deque([0] * turn.seconds)
        self._grown: deque[int] = deque([0] * GROWTH_WINDOW_S, GROWTH_WINDOW_S)
        self._environments = 0
        self._pollers = POLLERS_AT_FIRST
        self._credit = 0.0
        self.result = Result()

    def run(self) -> Result:
        """Until nobody arrives and the last record has been stored or is dead; at most an hour after the last arrival."""
        now, last = 0, self._load.arriving_s + 3600
        while now < self._load.arriving_s or (now < last and not (self._queue.empty and self.result.running == 0)):
            self._second(now)
            now += 1
        queue, result = self._queue, self.result
        result.records_sent, result.records_stored, result.records_dead = queue.sent, queue.stored, queue.dead
        result.records_left = queue.visible + queue.delayed + queue.returning
        return result

    def _second(self, now: int) -> None:
        result, turn = self.result, self._turn
        ended = self._ending.popleft()
        result.running -= ended
        result.finished += ended
        self._queue.send(Kind.FINISHED, now - turn.seconds, now, ended)
        self._queue.tick(now)
        arriving = self._load.arrivals(now, turn.seconds)
        functions = self._persist_wanted(now)
        admitted, batches = self._execute(now, arriving, functions)
        self._ending.append(admitted)
        self._queue.send(Kind.STARTED, now, now + 1, admitted)
        self._queue.send(Kind.SETTLE, now, now + resources.SETTLE_DELAY_S, admitted)
        self._store(now, functions, batches)
        self._at_the_edge(now, arriving)
        self._wanted.append(arriving)
        self._wanted.popleft()
        result.seconds.append(Second(sum(self._wanted), result.running, arriving - admitted, self._queue.oldest_s(now)))

    def _persist_wanted(self, now: int) -> int:
        """Functions of persist that the pollers ask for."""
        needed = ceil(self._queue.visible / self._turn.records_per_slot_s)
        self._ask("persist", needed, now)
        self._ask("pollers_most", needed, now)
        most = min(self._quotas.value("persist"), self._quotas.value("pollers_most"))
        more = self._quotas.value("pollers") // 60
        if needed > self._pollers:
            self._ask("pollers", 60 * (min(needed, most) - self._pollers), now)
            self._pollers = min(most, needed, self._pollers + more)
        return min(needed, self._pollers, most)

    def _execute(self, now: int, arriving: int, functions: int) -> tuple[int, float]:
        """How many turns begin, and how many batches persist may begin: by the account's concurrency, and Lambda's growth."""
        result = self.result
        free = max(0, self._quotas.value("account") - result.running)
        batches = functions / self._turn.batch_s
        self._ask("account", result.running + arriving + functions, now)
        if arriving + functions > free and arriving:
            # A place that falls free goes to whoever asks next: a stream keeps it, persist gives it back at once.
            batches = min(batches, free * batches / arriving)
        begun = min(arriving, free)
        if self._reserved is not None:
            begun = min(arriving, max(0, self._reserved - result.running))
            batches = min(functions, self._quotas.value("account") - self._reserved) / self._turn.batch_s
        grown_before = sum(self._grown) - self._grown[0]
        fresh = max(0, result.running + begun - self._environments)
        self._ask("growth", fresh + grown_before, now)
        grown = min(fresh, self._quotas.value("growth") - grown_before)
        begun -= fresh - grown
        self._grown.append(grown)
        self._environments += grown
        self._ask("secret_calls", grown, now)
        result.offered += arriving
        result.admitted += begun
        result.refused += arriving - begun
        result.running += begun
        return begun, batches

    def _store(self, now: int, functions: int, batches: float) -> None:
        """Persist reads what its functions can, and stores what the tables take."""
        turn, queue = self._turn, self._queue
        room = max(0, self._quotas.value("in_flight") - queue.returning)
        self._ask("in_flight", functions * turn.batch + queue.returning, now)
        self._credit = min(1.0, self._credit) + batches  # a part of a batch that a starved second allows is not lost
        tables = self._tables()
        pace = settle(tables, functions, turn.batch_s, min(self._credit, queue.visible / turn.batch, room / turn.batch))
        for key, table in tables.items():
            units = table.streaming + pace.batches * pace.attempts * table.per_batch
            self._ask(f"{key}_warm", units, now)
            self._ask(key, units, now)
            if key == "turns_write":
                self.result.streaming_writes += table.streaming
                self.result.delayed_writes += table.streaming * (1 - min(1.0, table.allowed / units if units else 1.0))
        index = self._per_batch("index_write") * pace.batches * pace.attempts
        self._ask("index_partition", index * self._load.largest_workspace, now)
        records = int(pace.batches * turn.batch + 1e-6)
        self._credit -= records / turn.batch
        for cohort in queue.process(records, pace.failing, now):
            self.result.longest_wait_s = max(self.result.longest_wait_s, now - cohort.due if cohort.count else 0)
            self._notice_pending(cohort, now)

    def _tables(self) -> dict[str, Table]:
        streams, streaming = self.result.running, self._turn.streaming
        return {
            key: Table(
                min(self._quotas.value(key), self._quotas.value(f"{key}_warm")),
                getattr(streaming, key) * streams,
                self._per_batch(key),
            )
            for key in ("turns_read", "turns_write", "conversations_write", "index_write")
        }

    def _per_batch(self, what: str) -> float:
        """Units of an average batch of what waits."""
        kinds, records = self._queue.kinds, self._queue.visible
        units: float = sum(getattr(self._turn.records[kind], what) * count for kind, count in kinds.items())
        return self._turn.batch * units / records if records else 0.0

    def _notice_pending(self, cohort: Cohort, now: int) -> None:
        """A turn whose beginning is stored this late has told its reader persistPending."""
        if cohort.kind is Kind.STARTED and now > cohort.began + self._turn.seconds + TIMING.receipt_wait_s:
            self.result.pending += cohort.count

    def _at_the_edge(self, now: int, arriving: int) -> None:
        self._ask("edge_requests", arriving, now)
        self._ask("edge_traffic", self.result.running * self._turn.response_bytes_s * 8 / 1e6, now)
        self._ask("stream", self._turn.response_bytes_s / 1e3 if self.result.running else 0, now)

    def _ask(self, key: str, units: float, now: int) -> None:
        """Notes what a quota is asked for; what is above it, as broken."""
        self.result.peak[key] = max(self.result.peak.get(key, 0), units)
        if units > self._quotas.value(key):
            self.result.broke.setdefault(key, now)
