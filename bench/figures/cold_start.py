"""Cold starts: from the start of the process to the first token at the client, the model answering at once.

Nothing of Lambda's own is in it (placing, unpacking, the adapter): both functions would have the same of it.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from bench.artefacts import Artefacts
from bench.contenders import Stage
from bench.load import Stream, Target, connect, control, post
from bench.processes import Process
from functions.chat_stream.snapshot import AFTER, BEFORE

_POLL_S: Final = 0.001
_START_S: Final = 30.0


class ColdStarts(NamedTuple):
    """Milliseconds, a sample a round. `queued` is when the queue had the turn's beginning: AWS's SDK is at work by then."""

    naive: list[float]
    product: list[float]
    queued: list[float]
    restored: list[float]


async def cold_starts(on: Stage, made: Artefacts, rounds: int) -> ColdStarts:
    """The naive function, the product, and the product after a snapshot, in turn; the first round only warms the disk's cache."""
    env = on.product_environment(on.aws) | {"AWS_LAMBDA_FUNCTION_NAME": "chat"}
    await on.pace(0.0, 0.01, 30)
    samples = ColdStarts([], [], [], [])
    for number in range(rounds + 1):
        naive = await _cold(lambda: made.start_naive(on.environment(on.aws)), Target)
        await control(on.aws.port, "/queued")
        product = await _cold(lambda: made.start_product(env), on.product_target)
        queued = (await control(on.aws.port, "/queued"))["at_ms"] - product.began * 1000
        restored = await _restored(on, made.start_product(env))
        if number:
            samples.naive.append((naive.first - naive.began) * 1000)
            samples.product.append((product.first - product.began) * 1000)
            samples.queued.append(queued)
            samples.restored.append(restored)
    return samples


class _Cold(NamedTuple):
    began: float
    first: float


async def _cold(start: Callable[[], Process], target: Callable[[int], Target]) -> _Cold:
    process = start()
    try:
        stream = await _once_it_listens(target(process.port), process)
        stream.ask(target(process.port).request())
        await stream.started
        await stream.ended
        return _Cold(process.began, stream.asked_at + stream.ttft_s)
    finally:
        process.end()


async def _restored(on: Stage, process: Process) -> float:
    """The first request after the snapshot's hooks: clients made, no connection open, no key fetched."""
    try:
        (await _once_it_listens(Target(process.port), process)).leave()
        for hook in (BEFORE, AFTER):
            await post(process.port, hook)
        target = on.product_target(process.port)
        stream = await connect(target)
        stream.ask(target.request())
        await stream.started
        await stream.ended
        return stream.ttft_s * 1000
    finally:
        process.end()


async def _once_it_listens(target: Target, process: Process) -> Stream:
    end = time.monotonic() + _START_S
    while True:
        try:
            return await connect(target)
        except ConnectionRefusedError:
            if time.monotonic() > end:
                process.wait_until_ready(0)
        await asyncio.sleep(_POLL_S)
