"""What a user's turns cost, summed per day, in the transaction that stores the answer: once, whatever is delivered twice.

A sum is no write that may be repeated. What makes it exact is its company: the answer's own condition fails when the answer is
there already, and cancels the sum with it. A settling counts nothing, for its turn's own answer may still come and replace it; a
turn that was killed is therefore in the conversation and not in the sums.
"""

from datetime import datetime
from functools import lru_cache
from typing import Final

from functions.common import keys
from functions.common.records import Answer, TurnHead
from functions.common.turns import INTERRUPTED
from functions.persist.entries import Tables, What, Write, add

_DAY_CHARS: Final = len("2026-11-22")


def counted(tables: Tables, turn: TurnHead, ended: Answer) -> list[Write]:
    """Adds the turn to its user's day. Nothing for an answer that a second delivery could store again."""
    if ended.status == INTERRUPTED:
        return []
    # The day the turn ended, by the record's own word: every delivery finds the same item.
    day = ended.finished_at[:_DAY_CHARS]
    cost = ended.spent or ended.usage
    sums = {"turns": 1, **({"input_tokens": cost.input_tokens, "output_tokens": cost.output_tokens} if cost else {})}
    key = keys.usage_key(turn.user_id, day, turn.turn_id)
    return [add(What.USAGE, tables.turns, key, sums, {keys.EXPIRES: _expires_at(day)})]


@lru_cache(maxsize=8)
def _expires_at(day: str) -> int:
    return int(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp()) + keys.USAGE_TTL_S
