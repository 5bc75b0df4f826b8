"""What streams ask of AWS each second: arrivals by a ramp, and the measured work of a turn spread over its life."""

from dataclasses import dataclass
from math import ceil

from bench.cost.model import persist_seconds
from bench.cost.work import TABLES, Work
from bench.scale.backlog import Kind
from infra import resources


@dataclass(frozen=True, slots=True)
class Load:
    """`streams` at once, reached by a rise of `ramp_s`, held for `hold_s`. `largest_workspace` is its share of the turns."""

    streams: int
    ramp_s: int = 60
    hold_s: int = 1140
    largest_workspace: float = 0.01

    @property
    def arriving_s(self) -> int:
        return self.ramp_s + self.hold_s

    def arrivals(self, now: int, turn_s: int) -> int:
        """Turns that begin in this second: whole ones, whose sum keeps to the line."""
        return int(self._begun(now + 1, turn_s)) - int(self._begun(now, turn_s))

    def _begun(self, now: float, turn_s: int) -> float:
        rate, now = self.streams / turn_s, min(now, self.arriving_s)
        ramped = min(now, self.ramp_s)
        return rate * (ramped * ramped / (2 * self.ramp_s) + max(0.0, now - self.ramp_s)) + 1e-9


@dataclass(frozen=True, slots=True)
class Units:
    """Request units: of the turns table, of the conversations table, of its index."""

    turns_read: float = 0.0
    turns_write: float = 0.0
    conversations_write: float = 0.0
    index_write: float = 0.0


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn's work, as rates."""

    seconds: int
    streaming: Units  # a second of one stream
    records: dict[Kind, Units]
    batch: int
    batch_s: float  # one invocation of persist with a full batch
    response_bytes_s: float

    @classmethod
    def of(cls, work: Work) -> "Turn":
        chat = work.chat.of(TABLES.turns)
        records = {}
        for kind in Kind:
            meter = work.records[kind.value].meter
            turns, conversations = meter.of(TABLES.turns), meter.of(TABLES.conversations)
            records[kind] = Units(turns.read_units, turns.write_units, conversations.write_units, conversations.index_write_units)
        batch = resources.PERSIST.batch_size
        return cls(
            seconds=ceil(work.duration_s - 0.5),
            streaming=Units(chat.read_units / work.duration_s, chat.write_units / work.duration_s),
            records=records,
            batch=batch,
            batch_s=persist_seconds(work.batch_calls, batch),
            response_bytes_s=work.response_bytes / work.duration_s,
        )

    @property
    def records_per_slot_s(self) -> float:
        """Records that one function of persist stores in a second."""
        return self.batch / self.batch_s
