"""The turns of this process: started here, kept alive until they end, ended when the process must go."""

import asyncio
from collections import OrderedDict, defaultdict
from typing import Final

from functions.chat_stream.deadline import Deadline
from functions.chat_stream.local_quota import LocalQuota
from functions.chat_stream.request import TurnRequest
from functions.chat_stream.settings import Limits, Timing
from functions.chat_stream.turn import Ports, Turn
from functions.common.problems import DuplicateTurn, Unavailable

_REMEMBERED: Final = 4096


class RunningTurns:
    """Holds the turns that run, and remembers which ran, so that a turn posted again to the same process costs no model call."""

    def __init__(self, ports: Ports, timing: Timing, limits: Limits, quota: LocalQuota) -> None:
        self._ports = ports
        self._timing = timing
        self._limits = limits
        self._quota = quota
        self._of_user: defaultdict[str, set[Turn]] = defaultdict(set)
        self._turns: dict[tuple[str, str], Turn] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ran: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._closing = False

    def start(self, request: TurnRequest, deadline: Deadline) -> Turn | None:
        """The turn, begun now or running already; None when it ran here before and can be replayed.

        One that was refused by a quota, or could not be saved, begins anew.

        Raises DuplicateTurn when the id was used here for another request, QuotaExceeded when that is known here already,
        Unavailable when the process is going down.
        """
        if self._closing:
            raise Unavailable("The server is restarting", headers={"retry-after": "1"})
        user_id = request.head.user_id
        key = (request.head.turn_id, user_id)
        running = self._turns.get(key)
        if (digest := running.head.digest if running else self._ran.get(key)) is not None:
            if digest != request.head.digest:
                raise DuplicateTurn("turnId: used for another request; every request needs its own")
            return running
        self._quota.check(user_id, running=sum(turn.is_stream for turn in self._of_user.get(user_id, ())))
        ask_first = request.size > self._limits.unasked_bytes or self._quota.in_doubt(user_id)
        turn = self._turns[key] = Turn(request, self._ports, self._timing, self._limits, deadline, ask_first)
        self._of_user[user_id].add(turn)
        task = asyncio.create_task(turn.run())
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._forget(key, done))
        return turn

    def find(self, turn_id: str, user_id: str) -> Turn | None:
        """The user's turn of this id, if it runs here."""
        return self._turns.get((turn_id, user_id))

    def end_all(self) -> None:
        """Ends every turn; what they said is saved. No turn begins any more."""
        self._closing = True
        for turn in self._turns.values():
            turn.leave()

    async def wait(self) -> None:
        """Until no turn runs."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _remember(self, key: tuple[str, str], digest: str) -> None:
        self._ran[key] = digest
        if len(self._ran) > _REMEMBERED:
            self._ran.popitem(last=False)

    def _forget(self, key: tuple[str, str], task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        turn = self._turns.pop(key)
        user_id = turn.head.user_id
        self._of_user[user_id].discard(turn)
        if not self._of_user[user_id]:
            del self._of_user[user_id]
        if turn.refusal is not None:
            self._quota.remember(user_id, turn.refusal)
        elif not turn.lost:
            self._remember(key, turn.head.digest)
