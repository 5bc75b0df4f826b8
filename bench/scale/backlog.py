"""The queue as the simulation sees it: cohorts of records, oldest first, and those that come back after their time-out."""

from collections import Counter, defaultdict, deque
from dataclasses import dataclass, replace
from enum import Enum


class Kind(Enum):
    """The records of a turn, by the name of their kind."""

    STARTED = "turn_started"
    FINISHED = "turn_finished"
    SETTLE = "settle_turn"


@dataclass(slots=True)
class Cohort:
    """Records of one kind that could be read from second `due` on; `began` is the second in which their turns began."""

    kind: Kind
    began: int
    due: int
    count: int
    receives: int = 0


class Backlog:
    """Conserves records: each is waiting, delayed, in flight, stored or dead."""

    def __init__(self, max_receives: int, hidden_s: int) -> None:
        self._max_receives = max_receives
        self._hidden_s = hidden_s
        self._visible: deque[Cohort] = deque()
        self._later: defaultdict[int, list[Cohort]] = defaultdict(list)
        self._owed = 0.0  # the fraction of a record by which failures were rounded down so far
        self.kinds: Counter[Kind] = Counter()  # of the visible ones
        self.delayed = 0
        self.returning = 0  # failed, and in flight until their time-out
        self.sent = self.stored = self.dead = 0

    @property
    def visible(self) -> int:
        return self.kinds.total()

    @property
    def empty(self) -> bool:
        return not (self.visible or self.delayed or self.returning)

    def send(self, kind: Kind, began: int, due: int, count: int) -> None:
        """Records that can be read from second `due` on."""
        if count:
            self.sent += count
            self.delayed += count
            self._later[due].append(Cohort(kind, began, due, count))

    def tick(self, now: int) -> None:
        """What is due now can be read."""
        for cohort in self._later.pop(now, ()):
            if cohort.receives:
                self.returning -= cohort.count
            else:
                self.delayed -= cohort.count
            self.kinds[cohort.kind] += cohort.count
            self._visible.append(cohort)

    def oldest_s(self, now: int) -> int:
        """How long the oldest record has waited to be read."""
        return now - self._visible[0].due if self._visible else 0

    def process(self, most: int, failing: float, now: int) -> list[Cohort]:
        """Reads up to so many records, the oldest first; a share of them fails. Returns what was stored."""
        stored: list[Cohort] = []
        while most and self._visible:
            head = self._visible[0]
            count = min(most, head.count)
            most -= count
            self.kinds[head.kind] -= count
            head.count -= count
            if not head.count:
                self._visible.popleft()
            self._owed += count * failing
            failed = min(count, int(self._owed))
            self._owed -= failed
            self.stored += count - failed
            stored.append(replace(head, count=count - failed))
            self._fail(head, failed, now)
        return stored

    def _fail(self, cohort: Cohort, count: int, now: int) -> None:
        """Failed records come back after their time-out, or are dead."""
        if count and cohort.receives + 1 >= self._max_receives:
            self.dead += count
        elif count:
            self.returning += count
            self._later[now + self._hidden_s].append(replace(cohort, count=count, receives=cohort.receives + 1))
