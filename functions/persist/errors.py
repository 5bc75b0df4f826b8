"""Why a record could not be stored. Each error knows its code (for the log) and whether trying again at once may help.

PersistError
├── Poison          not one of our records; it will end in the dead-letter queue
├── StillStreaming  a turn is alive although its settling is due: stored so far, to be settled again later
├── OutOfTime       the invocation ends before the record's turn came
├── Unavailable     DynamoDB is busy, or the network is
├── Rejected        DynamoDB will never take this write
└── Cancelled       a transaction was cancelled, with a reason per write
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

CONDITION_FAILED: Final = "ConditionalCheckFailed"
NO_REASON: Final = "None"

# The API reference of TransactWriteItems, "Cancellation reason codes", and "Programmatic error handling with DynamoDB".
RETRYABLE_REASONS: Final = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})
RETRYABLE_ERRORS: Final = frozenset(
    {
        "InternalServerError",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ThrottlingException",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)


class PersistError(Exception):
    """Carries a code and nothing else: Powertools puts the text of a record's error into its results."""

    retryable = False

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Poison(PersistError):
    pass


class StillStreaming(PersistError):
    def __init__(self) -> None:
        super().__init__("still_streaming")


class OutOfTime(PersistError):
    def __init__(self) -> None:
        super().__init__("out_of_time")


class Unavailable(PersistError):
    retryable = True


class Rejected(PersistError):
    pass


class Reason(NamedTuple):
    """What one write of a cancelled transaction met. `item` is what lies there, where the write asked to see it."""

    code: str
    item: Mapping[str, Any]


class Cancelled(PersistError):
    """The transaction wrote nothing; `reasons` are in the order of its writes."""

    def __init__(self, reasons: Sequence[Reason]) -> None:
        super().__init__("cancelled")
        self.reasons = reasons
