"""A user's quotas, counted in the `turns` table: one conditional update lets a turn in, one gives its place back.

One item per user (`USER#<user>` / `QUOTA`) holds all that counts:

    leases           a set, one `<until> <turn id>` for each stream that runs
    turns#<minute>   how many turns this minute has let in; a new minute is a new attribute, so none has to be reset
    tokens#<day>     how many tokens this UTC day's turns have used

Letting a turn in is one update under the condition that none of the three is at its limit, so of any number of requests, on any
number of instances, exactly the allowed ones pass. It is a plain update, not a transaction with the claim: plain updates of one
item wait for each other, transactions cancel each other. It comes after the claim, so a repeat of a turn uses up nothing.

A lease is not renewed, which would cost a write every few seconds. Its turn's own signs of life say whether it lives: only when
the set is full are the turns in it looked at, and those that are over or dead for 15 s (a killed worker's) leave it. `until`, the
moment the turn must be over, is the last resort. Tokens are counted when a turn ends, so those of the turns still running may
go past the limit. An item holds some 8,000 leases (400 KB); an update that fails lets the turn pass, as a failing table does.
"""

import re
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from functions.chat_stream import errors
from functions.common import keys, turns
from functions.common.aws import DYNAMODB, Aws, ConditionFailed
from functions.common.quotas import Quotas

MINUTE_S: Final = 60
DAY_S: Final = 24 * 3600
_KEPT_S: Final = 2 * DAY_S  # nothing in the item means anything longer
_ATTEMPTS: Final = 3
_LOOKED_AT: Final = 20  # leases looked at when the set is full, the oldest first: they are the likeliest to be dead
_WINDOW = re.compile(r"(turns|tokens)#(\d+)")


class QuotaTable:
    """The port to the counts. Raises StorageUnavailable when the table does not do as asked, in time."""

    def __init__(self, aws: Aws, table: str, quotas: Quotas) -> None:
        self._aws = aws
        self._table = table
        self._quotas = quotas
        self._unlimited = not (quotas.streams or quotas.turns_per_minute or quotas.tokens_per_day)

    async def admit(self, user_id: str, lease: str) -> errors.QuotaExceeded | None:
        """Lets a turn in under the lease's name, or says which quota it would exceed."""
        return None if self._unlimited else await self._admit(user_id, lease)

    async def release(self, user_id: str, lease: str, tokens: int) -> None:
        """Gives the place back and counts the tokens. Removes what earlier minutes and days left in the item."""
        if not self._unlimited:
            await self._release(user_id, lease, tokens)

    async def _admit(self, user_id: str, lease: str) -> errors.QuotaExceeded | None:
        refusal: errors.QuotaExceeded | None = None
        for _ in range(_ATTEMPTS):
            now = time.time()
            try:
                await self._update(user_id, self._entry(lease, now))
            except ConditionFailed as error:
                full = error.item
            else:
                return None
            if lease in _leases(full):  # let in before, by a request whose reply was lost
                return None
            refusal = self._refusal(full, now)
            if not isinstance(refusal, errors.TooManyStreams):
                return refusal
            if not (dead := await self._dead(user_id, _leases(full))):
                return refusal
            await self._bury(user_id, dead)
        return refusal

    def _entry(self, lease: str, now: float) -> dict[str, Any]:
        turns_now, tokens_now = _windows(now)
        added, asked, quotas = ["#turns :one"], [], self._quotas
        names = {"#turns": turns_now, "#expires": keys.EXPIRES}
        values: dict[str, Any] = {":one": {"N": "1"}, ":expires": {"N": str(int(now) + _KEPT_S)}}
        # The limits themselves settle the race of many turns at once: the update that meets one at its edge fails.
        if quotas.streams:  # else nothing would ever look for the dead among the leases
            added.append("#leases :lease")
            # A repeat of this update fails, and counts nothing twice.
            asked.append("(attribute_not_exists(#leases) OR (size(#leases) < :streams AND NOT contains(#leases, :own)))")
            names["#leases"] = "leases"
            values |= {":lease": {"SS": [lease]}, ":own": {"S": lease}, ":streams": {"N": str(quotas.streams)}}
        if quotas.turns_per_minute:
            asked.append("(attribute_not_exists(#turns) OR #turns < :turns)")
            values[":turns"] = {"N": str(quotas.turns_per_minute)}
        if quotas.tokens_per_day:
            asked.append("(attribute_not_exists(#tokens) OR #tokens < :tokens)")
            names["#tokens"] = tokens_now
            values[":tokens"] = {"N": str(quotas.tokens_per_day)}
        return {
            "UpdateExpression": f"SET #expires = :expires ADD {', '.join(added)}",
            "ConditionExpression": " AND ".join(asked),
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

    def _refusal(self, item: Mapping[str, Any], now: float) -> errors.QuotaExceeded:
        """Which limit the item is at: the one that lasts longest, if several."""
        turns_now, tokens_now = _windows(now)
        if self._quotas.tokens_per_day and _number(item, tokens_now) >= self._quotas.tokens_per_day:
            return errors.TokensUsedUp()
        if self._quotas.turns_per_minute and _number(item, turns_now) >= self._quotas.turns_per_minute:
            return errors.TooManyTurns()
        return errors.TooManyStreams()

    async def _dead(self, user_id: str, leases: Iterable[str]) -> list[str]:
        """The leases whose turns are over: sealed but not given back yet, dead, or gone."""
        dead = []
        for lease in sorted(leases)[:_LOOKED_AT]:
            until, _, turn_id = lease.partition(" ")
            if int(until) > time.time():
                page = await self._aws.call(DYNAMODB, "Query", turns.status_query(self._table, turn_id, user_id))
                view = turns.view(page["Items"])
                if view is not None and not view.log_over:
                    continue
            dead.append(lease)
        return dead

    async def _bury(self, user_id: str, dead: list[str]) -> None:
        """No condition: a lease that is not there any more changes nothing."""
        await self._update(
            user_id,
            {
                "UpdateExpression": "DELETE #leases :dead",
                "ExpressionAttributeNames": {"#leases": "leases"},
                "ExpressionAttributeValues": {":dead": {"SS": dead}},
            },
        )

    async def _release(self, user_id: str, lease: str, tokens: int) -> None:
        now = time.time()
        left = await self._update(
            user_id,
            {
                "UpdateExpression": "SET #expires = :expires ADD #tokens :tokens DELETE #leases :lease",
                "ExpressionAttributeNames": {"#expires": keys.EXPIRES, "#tokens": _windows(now)[1], "#leases": "leases"},
                "ExpressionAttributeValues": {
                    ":expires": {"N": str(int(now) + _KEPT_S)},
                    ":tokens": {"N": str(tokens)},
                    ":lease": {"SS": [lease]},
                },
                "ReturnValues": "ALL_NEW",
            },
        )
        if len(past := _past(left.get("Attributes", {}), now)) >= _TIDY_FROM:
            await self._update(
                user_id,
                {
                    "UpdateExpression": f"REMOVE {', '.join(f'#past{index}' for index in range(len(past)))}",
                    "ExpressionAttributeNames": {f"#past{index}": name for index, name in enumerate(past)},
                },
            )

    async def _update(self, user_id: str, update: Mapping[str, Any]) -> Mapping[str, Any]:
        key = {keys.PK: {"S": keys.user_pk(user_id)}, keys.SK: {"S": keys.QUOTA}}
        return await self._aws.call(DYNAMODB, "UpdateItem", {"TableName": self._table, "Key": key, **update})


_TIDY_FROM: Final = 20  # windows of the past in the item before they are removed: about 20 bytes each, one write for them all


def new_lease(turn_id: str, seconds: float) -> str:
    """The name of a turn's place among its user's streams; the turn is over after so long at the latest."""
    return f"{int(time.time() + seconds):010d} {turn_id}"


def _windows(now: float) -> tuple[str, str]:
    """The attributes that count this minute's turns and this day's tokens."""
    return f"turns#{int(now) // MINUTE_S}", f"tokens#{int(now) // DAY_S}"


def _past(item: Iterable[str], now: float) -> list[str]:
    """Windows that no instance counts in any more, its clock a window behind included."""
    lengths = {"turns": MINUTE_S, "tokens": DAY_S}
    found = (_WINDOW.fullmatch(name) for name in item)
    return [match[0] for match in found if match and (int(match[2]) + 2) * lengths[match[1]] <= now]


def _leases(item: Mapping[str, Any]) -> list[str]:
    found: list[str] = item.get("leases", {}).get("SS", [])
    return found


def _number(item: Mapping[str, Any], name: str) -> int:
    return int(item[name]["N"]) if name in item else 0
