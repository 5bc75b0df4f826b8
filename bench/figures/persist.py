"""persist: how much one worker stores, what a message costs it, and how soon a reader is told that his turn is stored."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench.contenders import Contender, Stage
from bench.goals import Samples
from bench.load import StreamFailed, control, stream_once
from bench.processes import OUT, ROOT, other_core, pinned, relay_core
from functions.common.ids import new_id

_MODULE: Final = "bench.servers.persister"
_PACE_S: Final = 0.02
_TOKENS: Final = 30


def storing(on: Stage, messages: int, batch: int, rounds: int) -> Samples:
    """Of one worker with batches of `batch` messages, a sample a round, each of a process of its own.

    `per_second_{batch}` and `cpu_us_{batch}` are persist's; with `_boto3` and `_direct` behind them they are of the same calls
    with nothing of persist around them, by boto3 and in persist's own way (the floor).
    """
    told: Samples = {}
    for _ in range(rounds):
        for name, found in {"": _run(on, "store", messages, batch), **_run(on, "alone", messages, batch)}.items():
            end = f"{batch}_{name}" if name else str(batch)
            told.setdefault(f"per_second_{end}", []).append(found["messages"] / found["seconds"])
            told.setdefault(f"cpu_us_{end}", []).append(found["cpu_s"] / found["messages"] * 1e6)
    return told


def _run(on: Stage, mode: str, messages: int, batch: int) -> Any:
    command = [sys.executable, "-m", _MODULE, mode, str(messages), str(batch)]
    env = on.environment(on.aws) | {"POWERTOOLS_TRACE_DISABLED": "true", "POWERTOOLS_METRICS_DISABLED": "false"}
    with pinned(relay_core()):
        done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, check=True)  # noqa: S603 - our own command
    return json.loads(done.stdout.splitlines()[-1])  # its metrics come before


async def lag_ms(on: Stage, contender: Contender, turns: int) -> list[float]:
    """From SQS's delivery of a turn's beginning to persist, until `conversationCreated` is at the client; a sample a turn.

    Raises StreamFailed.
    """
    await on.pace(0.05, _PACE_S, _TOKENS)
    await control(on.aws.port, "/control", {"delay_s": on.aws_s, "receipts": False})
    seen: dict[str, float] = {}
    with _pump(on) as told:
        for _ in range(turns):
            turn_id = new_id()
            stream = await stream_once(contender.target.asking(turnId=turn_id))
            if stream.created_at is None:
                raise StreamFailed(f"{contender.name}: a stream ended without `conversationCreated`")
            seen[turn_id] = stream.created_at
        delivered = _delivered(told)
    await control(on.aws.port, "/control", {"delay_s": on.aws_s})
    return [(seen[turn_id] - delivered[turn_id]) * 1000 for turn_id in seen]


@contextmanager
def _pump(on: Stage) -> Iterator[Path]:
    """persist on the stub's queue, beside the load; the file that it tells its deliveries in."""
    told = OUT / "logs" / "persister.jsonl"
    env = on.environment(on.aws) | {"POWERTOOLS_TRACE_DISABLED": "true", "POWERTOOLS_METRICS_DISABLED": "false"}
    with told.open("wb") as output, pinned(other_core()):
        process = subprocess.Popen([sys.executable, "-m", _MODULE, "pump"], cwd=ROOT, env=env, stdout=output)  # noqa: S603
    try:
        yield told
    finally:
        process.kill()
        process.wait()


def _delivered(told: Path) -> dict[str, float]:
    """By turn; the lines of the metrics left out."""
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    return {turn_id: at for line in lines if "_aws" not in line and "level" not in line for turn_id, at in line.items()}
