"""CPU per token: what the relay's process spent, user and system, over the tokens that came out of it."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from bench.contenders import Contender, Stage, in_turn
from bench.goals import PACED_DELAY_S, Samples
from bench.load import Stream, StreamFailed, stream_many, stream_once

ANSWER_TOKENS: Final = 2_000
PACED_STREAMS: Final = 50
_SETTLE_S: Final = 0.15


async def burst(on: Stage, contenders: Sequence[Contender], rounds: int, answers: int) -> Samples:
    """Microseconds a token by contender: answers of 2,000 tokens one after the other, all that the relay can take at once."""

    async def load(contender: Contender) -> list[Stream]:
        return [await stream_once(contender.target) for _ in range(answers)]

    await on.pace(0.0, 0.0, ANSWER_TOKENS)
    return await _rounds(contenders, rounds, load, ANSWER_TOKENS)


async def paced(on: Stage, contenders: Sequence[Contender], rounds: int, seconds: float) -> Samples:
    """Microseconds a token by contender: 50 streams side by side, 100 tokens a second each."""

    async def load(contender: Contender) -> list[Stream]:
        return await stream_many(contender.target, PACED_STREAMS, over_s=1.0)

    tokens = round(seconds / PACED_DELAY_S)
    await on.pace(0.3, PACED_DELAY_S, tokens)
    return await _rounds(contenders, rounds, load, tokens)


Load = Callable[[Contender], Awaitable[list[Stream]]]


async def _rounds(contenders: Sequence[Contender], rounds: int, load: Load, tokens: int) -> Samples:
    spent: Samples = {contender.name: [] for contender in contenders}
    for number in range(rounds):
        for contender in in_turn(contenders, number):
            spent[contender.name].append(await _cost_us(contender, load, tokens))
    return spent


async def _cost_us(contender: Contender, load: Load, tokens: int) -> float:
    """Raises StreamFailed for a stream that did not bring all its tokens."""
    gc.collect()
    before = contender.process.cpu_s()
    streams = await load(contender)
    if short := [stream.tokens for stream in streams if stream.tokens != tokens]:
        raise StreamFailed(f"{contender.name}: {len(short)} of {len(streams)} streams brought not {tokens} tokens but {short[0]}")
    await asyncio.sleep(_SETTLE_S)  # what a relay does after its last byte is its cost too
    return (contender.process.cpu_s() - before) / sum(stream.tokens for stream in streams) * 1e6
