"""`make run` under fifty people at once: each is answered as if alone, and the embedded AWS is not what they wait for."""

import asyncio
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from functions.common.sse import SSEDecoder
from local.system import LocalSystem

TURNS = 50
ANSWER = {"FAKE_LLM_TTFT_MS": "100", "FAKE_LLM_DELAY_MS": "28", "FAKE_LLM_TOKENS": "50"}  # 1.5 s
UNLIMITED = {"QUOTA_STREAMS": "0", "QUOTA_TURNS_PER_MINUTE": "0"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def system() -> Iterator[LocalSystem]:
    with LocalSystem({**ANSWER, **UNLIMITED}) as started:
        yield started


async def turn(client: httpx2.AsyncClient) -> Any:
    """The last event of a turn."""
    decoder, last = SSEDecoder(), None
    async with client.stream("POST", "/api/chat", json={"messages": [{"role": "user", "content": "hi"}]}) as response:
        async for piece in response.aiter_raw():
            for message in decoder.feed(piece):
                last = json.loads(message.data)
    return last


async def seconds(system: LocalSystem, turns: int) -> float:
    """How long so many turns at once take, until the last of them is over and stored."""
    limits = httpx2.Limits(max_connections=turns)
    async with httpx2.AsyncClient(base_url=system.url, timeout=60, trust_env=False, limits=limits) as client:
        began = time.monotonic()
        lasts = await asyncio.gather(*(turn(client) for _ in range(turns)))
        took = time.monotonic() - began
    assert [(last["type"], last.get("persistPending")) for last in lasts] == [("complete", None)] * turns
    return took


def test_fifty_turns_at_once_take_hardly_longer_than_one(system: LocalSystem) -> None:
    """Of three rounds the best counts: what else the machine does is not the system's slowness."""
    ratios = []
    for _ in range(3):
        alone = asyncio.run(seconds(system, 1))
        ratios.append(asyncio.run(seconds(system, TURNS)) / alone)
        if ratios[-1] <= 1.5:
            return
    pytest.fail(f"the last of {TURNS} turns ended after {min(ratios):.2f} times the length of an answer")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads the time of processes from /proc")
def test_the_embedded_aws_costs_no_more_than_what_it_serves(system: LocalSystem) -> None:
    """Seconds of CPU, of which a busy machine takes nothing; the second fifty as the first, for tables do not slow it down."""
    for _ in range(2):
        before = {name: cpu_s(pid) for name, pid in system.pids.items()}
        asyncio.run(seconds(system, TURNS))
        spent = {name: cpu_s(pid) - before[name] for name, pid in system.pids.items()}
        assert spent["aws"] < 2.5 * spent["chat_stream"], spent


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
