"""persist: how much one worker stores, what a message costs it, and how soon a reader is told that his turn is stored."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

from bench.contenders import Contender, Stage
from bench.load import control, stream_once
from bench.processes import OUT, ROOT, other_core, pinned, relay_core
from functions.common.ids import new_id

_MODULE: Final = "bench.servers.persister"
_PACE_S: Final = 0.02
_TOKENS: Final = 30
PERSIST: Final = "persist"


class Storing(NamedTuple):
    """Of one worker with batches of `batch` messages."""

    batch: int
    per_second: float
    cpu_us: float


def storing(on: Stage, messages: int, batch: int, rounds: int) -> dict[str, Storing]:
    """Of persist, and of the same calls with nothing of persist around them: by boto3, and in persist's own way (the floor).

    Medians over the rounds, each a process of its own.
    """
    told: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        for name, found in {PERSIST: _run(on, "store", messages, batch), **_run(on, "alone", messages, batch)}.items():
            told.setdefault(name, []).append(found)
    return {name: _median(batch, found) for name, found in told.items()}


def _run(on: Stage, mode: str, messages: int, batch: int) -> Any:
    command = [sys.executable, "-m", _MODULE, mode, str(messages), str(batch)]
    env = on.environment(on.aws) | {"POWERTOOLS_TRACE_DISABLED": "true", "POWERTOOLS_METRICS_DISABLED": "false"}
    with pinned(relay_core()):
        done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, check=True)  # noqa: S603 - our own command
    return json.loads(done.stdout.splitlines()[-1])  # its metrics come before


def _median(batch: int, found: Sequence[Mapping[str, float]]) -> Storing:
    return Storing(
        batch,
        median(one["messages"] / one["seconds"] for one in found),
        median(one["cpu_s"] / one["messages"] * 1e6 for one in found),
    )


async def lag_ms(on: Stage, contender: Contender, turns: int) -> list[float]:
    """From SQS's delivery of a turn's beginning to persist, until `conversationCreated` is at the client; a sample a turn."""
    await on.pace(0.05, _PACE_S, _TOKENS)
    await control(on.aws.port, "/control", {"delay_s": on.aws_s, "receipts": False})
    seen: dict[str, float] = {}
    with _pump(on) as told:
        for _ in range(turns):
            turn_id = new_id()
            stream = await stream_once(contender.target.asking(turnId=turn_id))
            if stream.created_at is not None:
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
