"""Added time to the first token: through a relay, less the same upstream asked directly a moment before."""

import asyncio
from collections.abc import Sequence
from typing import Final

from bench.contenders import Contender, Stage, in_turn
from bench.goals import Samples
from bench.load import Stream, Target, connect

_MODEL_TTFT_S: Final = 0.05
_PACE_S: Final = 0.005
_TOKENS: Final = 20
_BETWEEN_S: Final = 0.02


async def added_ttft(on: Stage, contenders: Sequence[Contender], rounds: int) -> Samples:
    """Milliseconds by contender, one a round. Within a round each is asked once."""
    await on.pace(_MODEL_TTFT_S, _PACE_S, _TOKENS)
    added: Samples = {contender.name: [] for contender in contenders}
    for number in range(rounds):
        for contender in in_turn(contenders, number):
            direct = await _first(on.direct)
            relayed = await _first(contender.target)
            added[contender.name].append((relayed.ttft_s - direct.ttft_s) * 1000)
    return added


async def added_ttft_left(on: Stage, contenders: Sequence[Contender], rounds: int, between_s: float) -> Samples:
    """As above, where a stream may take long to end: each is left at its first token, and ends by itself."""
    await on.pace(_MODEL_TTFT_S, _PACE_S, _TOKENS)
    added: Samples = {contender.name: [] for contender in contenders}
    for number in range(rounds):
        for contender in in_turn(contenders, number):
            direct = await _first(on.direct)
            relayed = await _first(contender.target, leave=True)
            added[contender.name].append((relayed.ttft_s - direct.ttft_s) * 1000)
            await asyncio.sleep(between_s)
    return added


async def _first(target: Target, leave: bool = False) -> Stream:
    """A stream whose connection lay open for a moment, as kept ones do; read to its end unless it is to be left."""
    stream = await connect(target)
    await asyncio.sleep(_BETWEEN_S)
    stream.ask(target.request())
    await stream.started
    if leave:
        stream.leave()
    await stream.ended
    return stream
