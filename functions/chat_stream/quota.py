"""A user's quotas, counted in the `turns` table: one conditional update lets a turn in, one gives its place back.

One item per user (`USER#<user>` / `QUOTA`) holds all that counts:

    leases           a set, one `<until> <turn id> <run>` for each stream that runs
    turns#<minute>   how many turns this minute has let in, or refused for too many streams; a new minute is a new attribute, so
                     none has to be reset
    refused#<minute> a set, the leases that this minute was asked for and did not give
    tokens#<day>     how many tokens this UTC day's turns have used
    resumes          a set, one `<until> <id>` for each stream in which an answer is shown again

Each update that adds is told by a lease whether it is a repeat: the one that lets a turn in by the lease's absence, the one that
counts its tokens by the lease's presence, the one that counts a refusal by its absence among the refused.

Letting a turn in is one update under the condition that none of the three is at its limit, so of any number of requests, on any
number of instances, exactly the allowed ones pass. It is a plain update, not a transaction with the claim: plain updates of one
item wait for each other, transactions cancel each other. It comes after the claim, so a repeat of a turn uses up nothing.

A lease is not renewed, which would cost a write every few seconds. Its turn's own signs of life say whether it lives: only when
the set is full are the turns in it looked at, and those that are over or dead for 15 s (a killed worker's) leave it, with no
tokens counted. `until`, when the turn must be over, is the last resort. Tokens are counted when a turn ends, so those of the
turns still running may go past the limit. An item holds some 4,000 leases (400 KB); an update that fails lets the turn pass, as a
failing table does.
"""

import re
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from functions.chat_stream import errors
from functions.common import keys, turns
from functions.common.aws import DYNAMODB, Aws, ConditionFailed, StorageUnavailable
from functions.common.ids import new_id
from functions.common.log import get_logger
from functions.common.quotas import Quotas
from functions.common.records import TurnHead

logger = get_logger("chat_stream")
MINUTE_S: Final = 60
DAY_S: Final = 24 * 3600
_KEPT_S: Final = 2 * DAY_S  # nothing in the item means anything longer
_ATTEMPTS: Final = 3
_LONGEST_S: Final = 900  # a function lives no longer, so neither does a turn
_LOOKED_AT: Final = 20  # leases looked at when the set is full, the oldest first: they are the likeliest to be dead
_WINDOW = re.compile(r"(turns|refused|tokens)#(\d+)")


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

    async def enter(self, user_id: str, lease: str) -> errors.QuotaExceeded | None:
        """Lets a resume in under the lease's name, or refuses it. A table that does not answer lets it pass."""
        if not self._quotas.resumes:
            return None
        try:
            for _ in range(_ATTEMPTS):
                full = await self._enter(user_id, lease)
                if full is None or lease in full:
                    return None
                over = [one for one in full if _until(one) <= time.time()]
                if not over:
                    return errors.TooManyResumes()
                await self._remove(user_id, "resumes", over)
        except StorageUnavailable as error:
            logger.warning("a resume is let in unasked", extra={"error": type(error).__name__})
        return None

    async def leave(self, user_id: str, lease: str) -> None:
        """Gives a resume's place back. One that cannot be given back is free when the longest turn would be over."""
        if self._quotas.resumes:
            try:
                await self._remove(user_id, "resumes", [lease])
            except StorageUnavailable as error:
                logger.warning("a resume's place was not given back", extra={"error": type(error).__name__})

    async def _enter(self, user_id: str, lease: str) -> list[str] | None:
        """None when the resume was let in, else the leases that fill the set."""
        update = {
            "UpdateExpression": "SET #expires = :expires ADD #resumes :lease",
            "ConditionExpression": "attribute_not_exists(#resumes) OR size(#resumes) < :most",
            "ExpressionAttributeNames": {"#expires": keys.EXPIRES, "#resumes": "resumes"},
            "ExpressionAttributeValues": {
                ":expires": {"N": str(int(time.time()) + _KEPT_S)},
                ":lease": {"SS": [lease]},
                ":most": {"N": str(self._quotas.resumes)},
            },
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        try:
            await self._update(user_id, update)
        except ConditionFailed as error:
            found: list[str] = error.item.get("resumes", {}).get("SS", [])
            return found
        return None

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
                break
            await self._remove(user_id, "leases", dead)
        await self._count_refusal(user_id, lease)
        return refusal

    async def _count_refusal(self, user_id: str, lease: str) -> None:
        """An attempt counts as a turn of the minute: the model may have been asked before the table could say no."""
        if not self._quotas.turns_per_minute:
            return
        now = time.time()
        update = {
            "UpdateExpression": "SET #expires = :expires ADD #turns :one, #refused :lease",
            "ConditionExpression": "NOT contains(#refused, :own)",
            "ExpressionAttributeNames": {
                "#turns": _windows(now)[0],
                "#refused": f"refused#{int(now) // MINUTE_S}",
                "#expires": keys.EXPIRES,
            },
            "ExpressionAttributeValues": {
                ":one": {"N": "1"},
                ":lease": {"SS": [lease]},
                ":own": {"S": lease},
                ":expires": {"N": str(int(now) + _KEPT_S)},
            },
        }
        with suppress(ConditionFailed):  # counted before, by a request whose reply was lost
            await self._update(user_id, update)

    def _entry(self, lease: str, now: float) -> dict[str, Any]:
        turns_now, tokens_now = _windows(now)
        quotas = self._quotas
        names = {"#turns": turns_now, "#expires": keys.EXPIRES, "#leases": "leases"}
        values: dict[str, Any] = {
            ":one": {"N": "1"},
            ":expires": {"N": str(int(now) + _KEPT_S)},
            ":lease": {"SS": [lease]},
            ":own": {"S": lease},
        }
        # A repeat of this update fails, and counts nothing twice.
        asked = ["NOT contains(#leases, :own)"]
        # The limits themselves settle the race of many turns at once: the update that meets one at its edge fails.
        if quotas.streams:
            asked.append("(attribute_not_exists(#leases) OR size(#leases) < :streams)")
            values[":streams"] = {"N": str(quotas.streams)}
        if quotas.turns_per_minute:
            asked.append("(attribute_not_exists(#turns) OR #turns < :turns)")
            values[":turns"] = {"N": str(quotas.turns_per_minute)}
        if quotas.tokens_per_day:
            asked.append("(attribute_not_exists(#tokens) OR #tokens < :tokens)")
            names["#tokens"] = tokens_now
            values[":tokens"] = {"N": str(quotas.tokens_per_day)}
        return {
            "UpdateExpression": "SET #expires = :expires ADD #turns :one, #leases :lease",
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
            _, turn_id, *_ = lease.split(" ")
            if _until(lease) > time.time():
                page = await self._aws.call(DYNAMODB, "Query", turns.status_query(self._table, turn_id, user_id))
                view = turns.view(page["Items"])
                if view is not None and not view.log_over:
                    continue
            dead.append(lease)
        return dead

    async def _remove(self, user_id: str, name: str, leases: list[str]) -> None:
        """No condition: a lease that is not there any more changes nothing."""
        await self._update(
            user_id,
            {
                "UpdateExpression": "DELETE #leases :leases",
                "ExpressionAttributeNames": {"#leases": name},
                "ExpressionAttributeValues": {":leases": {"SS": leases}},
            },
        )

    async def _release(self, user_id: str, lease: str, tokens: int) -> None:
        now = time.time()
        update = {
            "UpdateExpression": "SET #expires = :expires ADD #tokens :tokens DELETE #leases :lease",
            # The tokens are counted where the lease is removed, so that a repeat counts nothing.
            "ConditionExpression": "contains(#leases, :own)",
            "ExpressionAttributeNames": {"#expires": keys.EXPIRES, "#tokens": _windows(now)[1], "#leases": "leases"},
            "ExpressionAttributeValues": {
                ":expires": {"N": str(int(now) + _KEPT_S)},
                ":tokens": {"N": str(tokens)},
                ":lease": {"SS": [lease]},
                ":own": {"S": lease},
            },
            "ReturnValues": "ALL_NEW",
        }
        try:
            left = (await self._update(user_id, update)).get("Attributes", {})
        except ConditionFailed:
            return  # given back before, by a request whose reply was lost, or taken for dead, or never given
        await self._tidy(user_id, _past(left, now), [one for one in _leases(left) if _until(one) <= now])

    async def _tidy(self, user_id: str, past: list[str], expired: list[str]) -> None:
        """Removes what nothing counts in any more, once it is worth a write."""
        if len(past) + len(expired) < _TIDY_FROM:
            return
        steps, values = [], {}
        if past:
            steps.append(f"REMOVE {', '.join(f'#past{index}' for index in range(len(past)))}")
        if expired:
            steps.append("DELETE #leases :expired")
            values = {"ExpressionAttributeValues": {":expired": {"SS": expired}}}
        names = {f"#past{index}": name for index, name in enumerate(past)} | ({"#leases": "leases"} if expired else {})
        await self._update(user_id, {"UpdateExpression": " ".join(steps), "ExpressionAttributeNames": names, **values})

    async def _update(self, user_id: str, update: Mapping[str, Any]) -> Mapping[str, Any]:
        key = {keys.PK: {"S": keys.user_pk(user_id)}, keys.SK: {"S": keys.QUOTA}}
        return await self._aws.call(DYNAMODB, "UpdateItem", {"TableName": self._table, "Key": key, **update})


_TIDY_FROM: Final = 20  # windows and leases of the past in the item before they are removed, in one write for them all


def new_lease(head: TurnHead, seconds: float) -> str:
    """The name of a run's place among its user's streams; the turn is over after so long at the latest."""
    return f"{int(time.time() + seconds):010d} {head.turn_id} {head.owner}"


def resume_lease() -> str:
    """The name of a resume's place: it is over when the longest turn is."""
    return f"{int(time.time() + _LONGEST_S):010d} {new_id()}"


def _until(lease: str) -> int:
    return int(lease.partition(" ")[0])


def _windows(now: float) -> tuple[str, str]:
    """The attributes that count this minute's turns and this day's tokens."""
    return f"turns#{int(now) // MINUTE_S}", f"tokens#{int(now) // DAY_S}"


def _past(item: Iterable[str], now: float) -> list[str]:
    """Windows that no instance counts in any more, its clock a window behind included."""
    lengths = {"turns": MINUTE_S, "refused": MINUTE_S, "tokens": DAY_S}
    found = (_WINDOW.fullmatch(name) for name in item)
    return [match[0] for match in found if match and (int(match[2]) + 2) * lengths[match[1]] <= now]


def _leases(item: Mapping[str, Any]) -> list[str]:
    found: list[str] = item.get("leases", {}).get("SS", [])
    return found


def _number(item: Mapping[str, Any], name: str) -> int:
    return int(item[name]["N"]) if name in item else 0
