"""What one turn of 30 s asks of the small table: counted by the stub, not by the product."""

from typing import Final, NamedTuple

from bench.contenders import Contender, Stage
from bench.load import control, stream_once
from infra.resources import TURNS

_TURN_S: Final = 30.0
_PACE_S: Final = 0.05
_READS: Final = {"Query": 1, "GetItem": 1}
_WRITES: Final = {"PutItem": 1, "UpdateItem": 1, "TransactWriteItems": 2}  # the seal: the last checkpoint and the status


class TableUse(NamedTuple):
    """Items read and written."""

    reads: int
    writes: int


async def table_use(on: Stage, contender: Contender) -> TableUse:
    """Of a turn that streams for 30 s, on a stub that nobody else uses meanwhile."""
    await on.pace(0.3, _PACE_S, round(_TURN_S / _PACE_S))
    await control(on.aws.port, "/control", {"delay_s": on.aws_s})
    await stream_once(contender.target)
    counts = await control(on.aws.port, "/counts")

    def items(worth: dict[str, int]) -> int:
        return sum(int(counts.get(f"{operation} {TURNS.name}", 0)) * each for operation, each in worth.items())

    return TableUse(items(_READS), items(_WRITES))
