"""The tables and the queue as plain values: the CDK stack and the local run both build theirs from these."""

from dataclasses import dataclass, field
from typing import Final

from functions.common import keys


@dataclass(frozen=True, slots=True)
class Index:
    """A global secondary index on string keys that projects every attribute."""

    name: str
    partition_key: str
    sort_key: str


@dataclass(frozen=True, slots=True)
class Table:
    """An on-demand table on string keys."""

    name: str
    partition_key: str = keys.PK
    sort_key: str = keys.SK
    indexes: tuple[Index, ...] = field(default=())
    ttl_attribute: str | None = None


@dataclass(frozen=True, slots=True)
class Queue:
    """A standard queue with a dead-letter queue. Times in seconds."""

    name: str
    visibility_timeout_s: int
    max_receive_count: int
    retention_s: int
    dead_letter_retention_s: int
    batch_size: int


CONVERSATIONS: Final = Table(
    name="conversations", indexes=(Index(keys.ACTIVITY_INDEX, partition_key="workspace_id", sort_key="activity"),)
)
TURNS: Final = Table(name="turns", ttl_attribute=keys.EXPIRES)

FUNCTION_S: Final = 900  # the longest Lambda lets a function run, and so the longest turn
ALIAS: Final = "live"  # of chat_stream: the version behind its URL
PERSIST_TIMEOUT_S: Final = 30
MEMORY_MB: Final = 512  # of persist and conversations; that of chat_stream is a setting
PERSIST: Final = Queue(
    name="persist",
    visibility_timeout_s=6 * PERSIST_TIMEOUT_S,  # AWS: at least six times the function's timeout
    max_receive_count=5,
    retention_s=4 * 24 * 3600,
    dead_letter_retention_s=14 * 24 * 3600,
    batch_size=10,
)
SETTLE_DELAY_S: Final = 900  # the longest a function can live, and the longest SQS can delay
