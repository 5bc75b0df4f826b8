"""`python -m bench`: every figure of docs/performance.md, side by side in one run; a table at the end."""

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from bench import peers, report
from bench.artefacts import artefacts, packages
from bench.contenders import Contender, Stage, product, relay, stage
from bench.figures import cold_start, cpu, latency, many, memory, persist, table
from bench.goals import PRODUCT, SLOW, Samples
from bench.load import StreamFailed, stream_once
from bench.processes import OUT, Unmeasurable, check_machine, other_core, pinned
from infra.package.uv import PackagingError

_AWS_S: Final = 0.005
_SLOW_AWS_S: Final = 2.0
PARTS: Final = ("memory", "latency", "cpu", "cold", "persist", "table", "many")


@dataclass(frozen=True, slots=True)
class Effort:
    """How often each figure is measured, and for how long."""

    latency: int = 30
    slow: int = 30
    burst: int = 7
    paced: int = 4
    paced_s: float = 10.0
    memory_s: float = 27.0  # and 2 s to open the streams: answers of 1,450 tokens
    cold: int = 7
    persist_rounds: int = 3
    persist_messages: int = 3_000
    lag: int = 20
    many: int = 5


QUICK: Final = Effort(10, 5, 2, 1, 3.0, 2.0, 2, 1, 1_000, 6, 2)


class Run:
    """One run, with its samples so far: by figure and contender, one a round."""

    def __init__(self, on: Stage, effort: Effort, with_peers: bool) -> None:
        self._on = on
        self._effort = effort
        self._with_peers = with_peers
        self.samples: dict[str, Samples] = {}

    def of(self, parts: Sequence[str]) -> None:
        if {"memory", "latency", "cpu"} & set(parts):
            with self._contenders() as contenders:
                asyncio.run(self._relays(contenders, parts))
        if "cold" in parts:
            self._cold()
        if {"persist", "table"} & set(parts):
            self._storage(parts)
        if "many" in parts:
            _say(f"{many.TURNS} turns at once on `make run`: {self._effort.many} rounds")
            self.samples["many_s"] = many.at_once(self._effort.many)

    @contextmanager
    def _contenders(self) -> Iterator[list[Contender]]:
        on = self._on
        made = [relay(on, "floor"), product(on, on.aws), relay(on, "parsed"), relay(on, "database_first")]
        try:
            if self._with_peers:
                made += peers.all_of_them(on)
            made.append(product(on, on.slow_aws, SLOW))
            for contender in made:
                contender.process.wait_until_ready()
            yield made
        finally:
            for contender in made:
                contender.process.end()

    async def _relays(self, contenders: list[Contender], parts: Sequence[str]) -> None:
        on, effort, samples = self._on, self._effort, self.samples
        *quick, slow = contenders
        rivals = [contender for contender in contenders if contender.name != "database_first"]
        if "memory" in parts:
            for contender in rivals:
                _say(f"memory: {contender.name}, {memory.STREAMS} streams")
                found = await memory.memory(on, contender, effort.memory_s)
                samples.setdefault("memory_idle_mb", {})[contender.name] = [found.idle_mb]
                samples.setdefault("memory_200_mb", {})[contender.name] = [found.open_mb]
        if "latency" in parts:
            await on.pace(0.0, 0.0, 20)
            for contender in contenders:
                await stream_once(contender.target)
            _say(f"time to the first token: {effort.latency} rounds")
            samples["added_ttft_ms"] = await latency.added_ttft(on, quick, effort.latency)
            _say(f"the same with SQS and DynamoDB at {_SLOW_AWS_S:g} s")
            pair = [next(contender for contender in quick if contender.name == PRODUCT), slow]
            samples["added_ttft_left_ms"] = await latency.added_ttft_left(on, pair, effort.slow, between_s=0.3)
        if "cpu" in parts:
            _say(f"CPU per token, burst: {effort.burst} rounds")
            samples["cpu_burst_us"] = await cpu.burst(on, [one for one in rivals if one is not slow], effort.burst, answers=3)
            _say(f"CPU per token, {cpu.PACED_STREAMS} streams of {effort.paced_s:g} s: {effort.paced} rounds")
            samples["cpu_paced_us"] = await cpu.paced(on, rivals, effort.paced, effort.paced_s)

    def _cold(self) -> None:
        _say("the packages")
        self.samples["zip_mb"] = {name: [package.zip.stat().st_size / 1e6] for name, package in packages().items()}
        made = artefacts()
        _say(f"cold starts: {self._effort.cold} rounds")
        found = asyncio.run(cold_start.cold_starts(self._on, made, self._effort.cold))
        self.samples["cold_start_ms"] = found._asdict()

    def _storage(self, parts: Sequence[str]) -> None:
        on, effort = self._on, self._effort
        if "persist" in parts:
            told = self.samples["persist"] = {}
            for batch in (10, 100):
                _say(f"persist: {effort.persist_messages} messages in batches of {batch}")
                told |= persist.storing(on, effort.persist_messages, batch, effort.persist_rounds)
        contender = product(on, on.aws)
        with contender.process:
            asyncio.run(stream_once(contender.target))
            if "persist" in parts:
                _say(f"from SQS to `conversationCreated`: {effort.lag} turns")
                told["lag_ms"] = asyncio.run(persist.lag_ms(on, contender, effort.lag))
            if "table" in parts:
                _say("the small table: a turn of 30 s")
                use = asyncio.run(table.table_use(on, contender))
                self.samples["table_30_s"] = {name: [count] for name, count in use._asdict().items()}


_began = time.monotonic()


def _say(what: str) -> None:
    print(f"[{time.monotonic() - _began:4.0f} s] {what}", file=sys.stderr, flush=True)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two minutes: enough to see a fault, too little for a claim")
    parser.add_argument("--peers", action="store_true", help="LiteLLM's proxy and the Vercel AI SDK too, from .tools/bench")
    parser.add_argument("--only", choices=PARTS, action="append", help="a part by itself; may be given again")
    given = parser.parse_args(arguments)
    try:
        check_machine()
        if given.peers:
            peers.install()
        with stage(_AWS_S, _SLOW_AWS_S) as on, pinned(other_core()):
            about = report.machine() | (peers.versions() if given.peers else {}) | ({"quick": "yes"} if given.quick else {})
            run = Run(on, QUICK if given.quick else Effort(), given.peers)
            run.of(given.only or PARTS)
    except (Unmeasurable, PackagingError, StreamFailed) as error:
        sys.exit(f"bench: {error}")
    print(report.write(run.samples, about))
    _say(f"both tables and the JSON are in {OUT}")


if __name__ == "__main__":
    main(sys.argv[1:])
