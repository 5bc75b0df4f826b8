"""Memory: a relay that has answered once, and the same with 200 streams open."""

import asyncio
from typing import Final, NamedTuple

from bench.contenders import Contender, Stage
from bench.load import stream_many, stream_once

STREAMS: Final = 200
_PACE_S: Final = 0.02
_OPEN_OVER_S: Final = 2.0
_LOOK_S: Final = 0.1


class Memory(NamedTuple):
    """MB."""

    idle_mb: float
    open_mb: float


async def memory(on: Stage, contender: Contender, seconds: float) -> Memory:
    """Of a process just started; the highest it comes to while all streams are open, 50 tokens a second each."""
    await on.pace(0.0, 0.001, 20)
    await stream_once(contender.target)
    idle = contender.process.memory_mb()
    await on.pace(0.1, _PACE_S, round((seconds + _OPEN_OVER_S) / _PACE_S))
    streams = asyncio.ensure_future(stream_many(contender.target, STREAMS, _OPEN_OVER_S))
    highest = idle
    while not streams.done():
        highest = max(highest, contender.process.memory_mb())
        await asyncio.wait({streams}, timeout=_LOOK_S)
    streams.result()
    return Memory(idle, highest)
