"""Answers that are not stored yet: their text so far, read from the turn that makes them.

The conversations table holds a placeholder for such an answer. Its turn's checkpoints hold the text, and, from the moment the
client saw `complete`, the final status and the usage, so a reader never has to wait for persist.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from functions.common.events import Complete, Event, Failed, is_terminal
from functions.common.keys import PK, SK, conversation_pk
from functions.common.turns import INTERRUPTED, STREAMING, TurnView
from functions.conversations.store import Store
from functions.conversations.views import Row

MAX_TURNS: Final = 10  # how many turns one request reads: the newest of them
READING_S: Final = 4.0  # a request must come to its end also where a read takes seconds
LONGEST_TURN_S: Final = 900  # a function lives no longer, so neither does a turn


def with_text_so_far(store: Store, rows: Sequence[Row], logger: Logger) -> Sequence[Row]:
    """The rows, each placeholder among them filled in. When the turns table fails, what is stored is shown as it is."""
    waiting = [index for index, row in enumerate(rows) if _is_placeholder(row)]
    if not waiting:
        return rows
    shown = [_without_turn(row) if _is_placeholder(row) else row for row in rows]
    newest = sorted(waiting, key=lambda index: rows[index]["created_at"], reverse=True)[:MAX_TURNS]
    end = time.monotonic() + READING_S
    try:
        for index in newest:
            if time.monotonic() > end:
                logger.warning("the turns table is slow: some answers under way are shown without their text")
                break
            shown[index] = _filled(store, rows[index])
    except (ClientError, BotoCoreError, ResponseParserError):
        # One failure ends it: each further read could wait for the same timeout.
        logger.warning("the turns table does not answer: answers under way are shown without their text", exc_info=True)
    return shown


def _is_placeholder(row: Row) -> bool:
    return row["status"] == STREAMING or "content" not in row


def _without_turn(row: Row) -> Row:
    """A placeholder whose turn cannot be read: not streaming any more once no turn can have lived so long."""
    oldest = datetime.now(UTC) - timedelta(seconds=LONGEST_TURN_S)
    if row["status"] == STREAMING and datetime.fromisoformat(row["created_at"]) < oldest:
        return {**row, "status": INTERRUPTED}
    return row


def _filled(store: Store, row: Row) -> Row:
    view = store.turn(row["turn_id"], row["user_id"]) if "turn_id" in row and "user_id" in row else None
    if view is None:
        return _without_turn(row)
    end = _ending(view)
    if view.over and end is None:
        # The turn is over but its log has no end: the last checkpoint was lost, or persist has stored the answer since.
        stored = store.message(row[PK].removeprefix(conversation_pk("")), row[SK])
        if stored is not None and not _is_placeholder(stored):
            return stored
    return _overlaid(row, view, end)


def _ending(view: TurnView) -> Event | None:
    last = view.checkpoints[-1].events[-1] if view.checkpoints and view.checkpoints[-1].events else None
    return last if last is not None and is_terminal(last) else None


def _overlaid(row: Row, view: TurnView, end: Event | None) -> Row:
    content, reasoning = view.text
    filled = {**row, "content": content, "reasoning": reasoning, "status": view.status}
    if isinstance(end, Failed):
        return {**filled, "status": "failed", "error": end.code}
    if isinstance(end, Complete):
        filled["status"] = end.status
        if end.finish_reason is not None:
            filled["finish_reason"] = end.finish_reason
        if end.usage is not None:
            filled["usage"] = end.usage.model_dump_json()
    return filled
