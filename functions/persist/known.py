"""What the tables say before a batch is written: whose conversations these are, and whose turns."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from functions.common import keys
from functions.common.keys import Key
from functions.common.records import Record, SettleTurn, TurnFinished, TurnHead, TurnStarted
from functions.common.turns import is_live
from functions.persist.errors import Poison
from functions.persist.job import Outcome, outcome_of_refusal
from functions.persist.pace import Pace
from functions.persist.receipts import other_run
from functions.persist.store import MAX_READS, Store

Item = Mapping[str, Any]


class Known:
    """The items read. It only spares writes and fills in the workspace: every write still asks for itself."""

    def __init__(self, items: Mapping[Key, Item], created: Mapping[str, str]) -> None:
        self._items = items
        self._created = created  # by this very batch: conversation → workspace

    def settled_already(self, record: Record) -> Outcome | None:
        """How a record ended that has nothing to write, None for all others."""
        turn = record.turn
        # The claim was put before the turn's first byte left; another request's record may still have been quicker through the
        # queue than that of the request which owns the turn.
        claim = self._live(_turn_key(turn, keys.TURN))
        if not _same_request(claim, turn):
            return Outcome.DUPLICATE
        if isinstance(record, TurnFinished) and other_run(claim, turn):
            return Outcome.OTHER_RUN
        if not isinstance(record, SettleTurn):
            return None
        receipt = self._live(_turn_key(turn, keys.RECEIPT))
        if not _same_request(receipt, turn):
            return Outcome.DUPLICATE
        if "refused" in receipt:
            return outcome_of_refusal(receipt["refused"]["S"])
        return Outcome.REPEATED if "answer_status" in receipt else None

    def begun(self, turn: TurnHead) -> bool:
        """Whether the turn's beginning is stored: only that names the conversation on the receipt."""
        receipt = self._live(_turn_key(turn, keys.RECEIPT))
        return "conversation_id" in receipt and _same_request(receipt, turn)

    def claimed(self, turn: TurnHead) -> bool:
        """Whether a run holds the turn's claim."""
        return bool(self._live(_turn_key(turn, keys.TURN)))

    def workspace_of(self, turn: TurnHead) -> str | None:
        """The workspace the turn's conversation must be in, None when the turn must be refused.

        A turn that does not name one gets what META says, if the turn's user may touch it. Raises Poison when the record makes
        a conversation and does not say where.
        """
        if turn.new and turn.workspace_id is None:
            raise Poison("workspace_missing")
        wanted = turn.workspace_id or self._workspace_stored(turn.conversation_id)
        return wanted if turn.workspaces is None or wanted in turn.workspaces else None

    def _workspace_stored(self, conversation_id: str) -> str | None:
        meta = self._items.get(keys.meta_key(conversation_id))
        if meta is None:
            return self._created.get(conversation_id)
        return None if "deleted_at" in meta else str(meta["workspace_id"]["S"])

    def _live(self, key: Key) -> Item:
        item = self._items.get(key, {})
        # DynamoDB deletes an expired item late: until then it is as good as gone.
        return item if item and is_live(item, time.time()) else {}


def read_known(records: Sequence[Record], store: Store, pace: Pace) -> Known:
    """One BatchGetItem for the batch: each turn's claim, the receipt where the turn's beginning can be stored already, META where
    the workspace is not named.
    """
    wanted: dict[Key, None] = {}  # in order, and each key once
    for record in records:
        turn = record.turn
        wanted[_turn_key(turn, keys.TURN)] = None
        if not isinstance(record, TurnStarted):
            wanted[_turn_key(turn, keys.RECEIPT)] = None
        if turn.workspace_id is None:
            wanted[keys.meta_key(turn.conversation_id)] = None
    distinct = list(wanted)
    items: dict[Key, Item] = {}
    for start in range(0, len(distinct), MAX_READS):
        some = distinct[start : start + MAX_READS]
        items |= pace.patiently(lambda some=some: store.read(some))  # type: ignore[misc]
    created = {record.turn.conversation_id: record.turn.workspace_id or "" for record in records if record.turn.new}
    return Known(items, created)


def _turn_key(turn: TurnHead, sk: str) -> Key:
    return Key(keys.turn_pk(turn.turn_id, turn.user_id), sk)


def _same_request(item: Item, turn: TurnHead) -> bool:
    return "digest" not in item or item["digest"]["S"] == turn.digest
