"""Whoever reads or meets an expired item of the turns table does as if there were none: DynamoDB deletes one within days only.

Every kind of item, expired, lies before every method that asks the table. What the method says and what the tables hold
afterwards must be as with an empty table.
"""

import asyncio
import inspect
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from functions.chat_stream.quota import QuotaTable
from functions.chat_stream.turns_table import Ended, TurnsTable
from functions.common import keys
from functions.common.events import Token, to_log
from functions.common.quotas import Quotas
from functions.common.records import Record
from functions.conversations.store import Store
from infra.resources import CONVERSATIONS, TURNS
from tests.integration.persist.persist_world import (
    CONVERSATION,
    ToMoto,
    World,
    finished,
    head,
    persist_world,
    settling,
    started,
)

OURS = head(2, owner="this run", title=None)
DAY = "2026-11-22"
QUOTAS = Quotas(streams=1, turns_per_minute=1, tokens_per_day=1, resumes=1)
PK = keys.turn_pk(OURS.turn_id, OURS.user_id)
VOLATILE = {"at", keys.EXPIRES}
Item = dict[str, Any]
Reader = Callable[[World], object]


def items(now: float) -> dict[str, Item]:
    """One item of each kind as it was written then, as much in this run's way as it can be; some kinds in two forms."""
    minute, day = int(now) // 60, int(now) // 86400
    counted = {f"turns#{minute}": 99, f"turns#{minute + 1}": 99, f"tokens#{day}": 99}
    claim = {
        "status": "complete",
        "digest": "another",
        "owner": "another run",
        "durable": True,
        "queued": True,
        "workspace_id": "w",
    }
    usage = keys.usage_key(OURS.user_id, DAY, OURS.turn_id)
    receipt = {"pk": PK, "sk": keys.RECEIPT, "owner": "another run", "workspace_id": "acme", "conversation_id": CONVERSATION}
    later = f"{int(now) + 600:010d}"
    return {
        keys.TURN: {"pk": PK, "sk": keys.TURN, **claim},
        f"{keys.TURN} forgotten": {"pk": PK, "sk": keys.TURN, **claim, "forgotten": True},
        keys.STOP: {"pk": PK, "sk": keys.STOP},
        keys.RECEIPT: {**receipt, "digest": "another", "answer_status": "complete"},
        f"{keys.RECEIPT} of this request": {**receipt, "digest": OURS.digest, "answer_status": "complete", "answer_chars": 3},
        f"{keys.RECEIPT} refused": {**receipt, "digest": OURS.digest, "refused": "conversation_not_found"},
        keys.EVENTS_PREFIX: {
            "pk": PK,
            "sk": keys.events_sk(1),
            "events": to_log([Token("old")] * 9),
            "last": 9,
            "owner": OURS.owner,
        },
        keys.DELETED: {"pk": keys.conversation_pk(CONVERSATION), "sk": keys.DELETED},
        keys.QUOTA: {
            "pk": keys.user_pk(OURS.user_id),
            "sk": keys.QUOTA,
            **counted,
            "leases": {f"{later} {OURS.turn_id} another run"},
            "resumes": {f"{later} x"},
        },
        keys.USAGE_PREFIX: {"pk": usage.pk, "sk": usage.sk, "turns": 7, "input_tokens": 7, "output_tokens": 7},
    }


def of_chat(method: Callable[[TurnsTable], Any]) -> Reader:
    return lambda world: asyncio.run(method(TurnsTable(ToMoto(world), TURNS.name)))


def of_quota(method: Callable[[QuotaTable], Any]) -> Reader:
    return lambda world: asyncio.run(method(QuotaTable(ToMoto(world), TURNS.name, QUOTAS)))


def of_conversations(method: Callable[[Store], object]) -> Reader:
    return lambda world: method(Store(world.raw, CONVERSATIONS.name, TURNS.name))


def of_persist(record: Record) -> Reader:
    return lambda world: len(world.deliver(record))


def lease() -> str:
    return f"{int(time.time()) + 900:010d} {OURS.turn_id} this run"


CHAT: dict[str, Callable[[TurnsTable], Any]] = {
    "claim": lambda table: table.claim(OURS),
    "holds": lambda table: table.holds(OURS),
    "withdraw": lambda table: table.withdraw(OURS),
    "checkpoint": lambda table: table.checkpoint(OURS, 1, [Token("new")], queued=True),
    "carry_out": lambda table: table.carry_out(table.seal(OURS, 1, [Token("a"), Token("b")], Ended("complete", durable=True))),
    "news": lambda table: table.news(OURS),
    "stop": lambda table: table.stop(OURS.turn_id, OURS.user_id, OURS.owner),
    "status": lambda table: table.status(OURS.turn_id, OURS.user_id),
    "deleted": lambda table: table.deleted(OURS.turn_id, OURS.user_id),
    "read": lambda table: table.read(OURS.turn_id, OURS.user_id),
}
QUOTA: dict[str, Callable[[QuotaTable], Any]] = {
    "admit": lambda table: table.admit(OURS.user_id, lease()),
    "enter": lambda table: table.enter(OURS.user_id, lease()),
}
CONVERSATIONS_STORE: dict[str, Callable[[Store], object]] = {
    "turn": lambda store: store.turn(OURS.turn_id, OURS.user_id),
    "usage": lambda store: sorted(
        store.usage(OURS.user_id, f"{keys.USAGE_PREFIX}{DAY[:8]}01", f"{keys.USAGE_PREFIX}{DAY[:8]}32")
    ),
    "ask_to_stop": lambda store: store.ask_to_stop(OURS.turn_id, OURS.user_id),
    "forget_turn": lambda store: store.forget_turn(OURS.turn_id, OURS.user_id),
}
RECORDS: dict[str, Record] = {"started": started(OURS), "finished": finished(OURS), "settled": settling(OURS)}
READERS: dict[str, Reader] = {
    **{f"chat_stream: {name}": of_chat(method) for name, method in CHAT.items()},
    **{f"chat_stream: {name}": of_quota(method) for name, method in QUOTA.items()},
    **{f"conversations: {name}": of_conversations(method) for name, method in CONVERSATIONS_STORE.items()},
    **{f"persist: {name}": of_persist(record) for name, record in RECORDS.items()},
}
# These ask about nothing: they write on a running turn's own claim, make what another method writes, or take away.
OTHERS = {"heartbeat", "seal", "release", "leave", "bury", "checkpoint_keys", "erase_checkpoints"}


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with persist_world() as made:
        yield made


def put(world: World, item: Item, expires_in: int) -> None:
    def typed(value: object) -> Mapping[str, Any]:
        if isinstance(value, bool):
            return {"BOOL": value}
        if isinstance(value, int):
            return {"N": str(value)}
        return {"SS": sorted(value)} if isinstance(value, set) else {"S": str(value)}

    told = {**item, "at": int(time.time() * 1000), keys.EXPIRES: int(time.time()) + expires_in}
    world.raw.put_item(TableName=TURNS.name, Item={name: typed(value) for name, value in told.items()})


KINDS = list(items(0))
THREE_DAYS_S = 3 * 24 * 3600  # no kind that says for how long it means something means it longer


def seen(world: World, reader: Reader, item: Item | None = None, expires_in: int = -1) -> tuple[str, str, set[str]]:
    """What the method says, and what counts in the two tables afterwards, less what says when."""
    world.clear()
    if item is not None:
        put(world, item, expires_in)
    try:
        said = repr(reader(world))
    except Exception as error:  # noqa: BLE001 - what it raises is its answer
        said = type(error).__name__
    stored = world.scan()
    live = [row for row in stored[TURNS.name] if row[keys.EXPIRES] > time.time()]
    # What a quota's item still holds of windows and leases that are over is counted by nobody.
    return said, text_of(stored[CONVERSATIONS.name]), {text_of(row) for row in live if row["sk"] != keys.QUOTA}


def text_of(stored: object) -> str:
    def lasting(value: Any) -> Any:
        return {name: part for name, part in value.items() if name not in VOLATILE} if isinstance(value, dict) else value

    return json.dumps(
        [lasting(row) for row in stored] if isinstance(stored, list) else lasting(stored), sort_keys=True, default=sorted
    )


@pytest.fixture(scope="module")
def as_with_none(world: World) -> dict[str, tuple[str, str, set[str]]]:
    """Of each method, with empty tables."""
    return {name: seen(world, reader) for name, reader in READERS.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_an_expired_item_is_as_good_as_none_to_whoever_asks(
    world: World, as_with_none: dict[str, tuple[str, str, set[str]]], kind: str
) -> None:
    expired = items(time.time() - THREE_DAYS_S)[kind]
    for name, reader in READERS.items():
        assert seen(world, reader, expired) == as_with_none[name], name


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_item_matters_while_it_has_not_expired(
    world: World, as_with_none: dict[str, tuple[str, str, set[str]]], kind: str
) -> None:
    """Or the sweep could not fail."""

    def matters(name: str, reader: Reader) -> bool:
        live = items(time.time())[kind]
        said, stored, counts = seen(world, reader, live, expires_in=600)
        return (said, stored, counts - {text_of(live)}) != as_with_none[name]

    assert any(matters(name, reader) for name, reader in READERS.items())


def test_the_sweep_has_every_kind_of_item_and_every_method_that_asks_the_table() -> None:
    assert {kind.partition(" ")[0] for kind in KINDS} == set(keys.TURNS_KINDS)
    chat = {name for kind in (TurnsTable, QuotaTable) for name in vars(kind) if not name.startswith("_")}
    reading = {
        name
        for name, method in vars(Store).items()
        if not name.startswith("_") and inspect.isfunction(method) and "self._turns" in inspect.getsource(method)
    }
    assert chat | reading == {*CHAT, *QUOTA, *CONVERSATIONS_STORE, *OTHERS}
