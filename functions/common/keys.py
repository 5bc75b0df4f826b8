"""Keys and attribute names of the two tables.

`conversations`: `CONV#<id>` holds `META` and one `MSG#<depth>#<message id>` per message, so a query
reads parents before children; and one `MID#<message id>` per message, which keeps an id from standing at two depths.
`turns`: `TURN#<turn id>#<user>` holds `TURN` (the claim), `STOP`, `RECEIPT` (what persist answers) and `EVENTS#<first event id>`
(the checkpoints); `CONV#<id>` / `DELETED` remembers a deleted conversation; `USER#<user>` holds `QUOTA` (what counts against the
user's quotas) and `USAGE#<day>#<shard>` (what a day's turns cost).
The user is part of a turn's key, so another user's turn cannot be found, claimed or stopped: it is not there.
"""

import time
from typing import Final, NamedTuple
from zlib import crc32

from functions.common.ids import is_uuid

PK: Final = "pk"
SK: Final = "sk"
EXPIRES: Final = "expires_at"  # the turns table's TTL attribute, epoch seconds

META: Final = "META"
ACTIVITY_INDEX: Final = "by_activity"  # sparse: workspace_id → activity, newest last

TURN: Final = "TURN"
STOP: Final = "STOP"
RECEIPT: Final = "RECEIPT"
DELETED: Final = "DELETED"
EVENTS_PREFIX: Final = "EVENTS#"
OWNER: Final = "owner"  # on a claim and a checkpoint: the run of the turn that wrote it
QUEUED: Final = "queued"  # on a claim and a checkpoint: the queue holds the turn's beginning and its settling
LOST: Final = "lost"  # on a sealed claim: the answer was not saved, and the same turn may be sent again
ANEW: Final = "anew"  # on a claim: it was taken over from a run whose answer is lost
FORGOTTEN: Final = "forgotten"  # on a claim whose conversation was deleted: the turn is as good as absent
QUOTA: Final = "QUOTA"
USAGE_PREFIX: Final = "USAGE#"
# Every kind of item in the turns table, by how its sort key begins. All expire, and whoever meets one asks whether it has.
TURNS_KINDS: Final = (TURN, STOP, RECEIPT, EVENTS_PREFIX, DELETED, QUOTA, USAGE_PREFIX)

TURN_TTL_S: Final = 24 * 3600  # docs/api.md: a turn can be replayed for 24 h
# Longer than a record can wait: 4 days in the queue, 14 in the dead-letter queue, and a redrive after that.
TOMBSTONE_TTL_S: Final = 60 * 24 * 3600
USAGE_TTL_S: Final = 70 * 24 * 3600  # this month and the one before
# A user's turns of one day are summed in this many items, so that two that end together seldom write the same one.
USAGE_SHARDS: Final = 16
MAX_DEPTH: Final = 999_999


class Key(NamedTuple):
    pk: str
    sk: str


def conversation_pk(conversation_id: str) -> str:
    return f"CONV#{conversation_id}"


def meta_key(conversation_id: str) -> Key:
    return Key(conversation_pk(conversation_id), META)


def message_sk(depth: int, message_id: str) -> str:
    return f"MSG#{order_key(depth)}#{message_id}"


def depths(first: int, last: int) -> tuple[str, str]:
    """The bounds of the sort keys of all messages between two depths, both included."""
    return f"MSG#{order_key(max(first, 0))}#", f"MSG#{order_key(last)}#~"  # "~" sorts behind every character of an id


def message_key(conversation_id: str, depth: int, message_id: str) -> Key:
    return Key(conversation_pk(conversation_id), message_sk(depth, message_id))


def message_id_key(conversation_id: str, message_id: str) -> Key:
    """The item that says at which depth a message's id stands. It sorts between `META` and the messages."""
    return Key(conversation_pk(conversation_id), f"MID#{message_id}")


def order_key(depth: int) -> str:
    """The depth in the tree, zero-padded so that text sorts as numbers do."""
    return f"{depth:06d}"


def parse_message_sk(sk: str) -> tuple[str, str]:
    """`(order key, message id)` of a message's sort key; raises ValueError for any other text."""
    prefix, _, rest = sk.partition("#")
    order, _, message_id = rest.partition("#")
    if prefix != "MSG" or len(order) != 6 or not (order.isascii() and order.isdigit()) or not is_uuid(message_id):
        raise ValueError("not a message's sort key")
    return order, message_id


def activity(updated_at: str, conversation_id: str) -> str:
    """The index's sort key: unique, and ordered by time."""
    return f"{updated_at}#{conversation_id}"


def turn_pk(turn_id: str, user_id: str) -> str:
    return f"TURN#{turn_id}#{user_id}"


def events_sk(first_event_id: int) -> str:
    return f"{EVENTS_PREFIX}{first_event_id:08d}"


def user_pk(user_id: str) -> str:
    return f"USER#{user_id}"


def usage_key(user_id: str, day: str, turn_id: str) -> Key:
    """The item that sums, among others, this turn of a UTC day (`2026-11-22`). The same turn always finds the same one."""
    return Key(user_pk(user_id), f"{USAGE_PREFIX}{day}#{crc32(turn_id.encode()) % USAGE_SHARDS:02d}")


def tombstone_key(conversation_id: str) -> Key:
    return Key(conversation_pk(conversation_id), DELETED)


def expires_in(seconds: int) -> int:
    return int(time.time()) + seconds
