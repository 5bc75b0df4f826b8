"""`make run` itself: how much longer the last of many turns at once takes than one alone."""

import asyncio
import json
import time
from typing import Any, Final

import httpx2

from bench.goals import Samples
from bench.load import StreamFailed
from functions.common.sse import SSEDecoder
from local.system import LocalSystem

TURNS: Final = 50
_ANSWER: Final = {"FAKE_LLM_TTFT_MS": "100", "FAKE_LLM_DELAY_MS": "28", "FAKE_LLM_TOKENS": "50"}  # 1.5 s
_UNLIMITED: Final = {"CHAT_QUOTA_STREAMS": "0", "CHAT_QUOTA_TURNS_PER_MINUTE": "0"}


def at_once(rounds: int) -> Samples:
    """Seconds of a turn alone and of `TURNS` at once, in turn, a sample of each a round. Raises StreamFailed."""
    told: Samples = {"alone": [], "at_once": []}
    with LocalSystem({**_ANSWER, **_UNLIMITED}) as system:
        asyncio.run(seconds(system.url, 1))  # what is made by a first turn
        for _ in range(rounds):
            told["alone"].append(asyncio.run(seconds(system.url, 1)))
            told["at_once"].append(asyncio.run(seconds(system.url, TURNS)))
    return told


async def seconds(url: str, turns: int) -> float:
    """How long so many turns at once take, to the end of the last, each stored. Raises StreamFailed."""
    limits = httpx2.Limits(max_connections=turns)
    async with httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False, limits=limits) as client:
        began = time.monotonic()
        lasts = await asyncio.gather(*(_turn(client) for _ in range(turns)))
        took = time.monotonic() - began
    for last in lasts:
        if last["type"] != "complete" or last.get("persistPending"):
            raise StreamFailed(f"of {turns} turns at once one ended with {last}")
    return took


async def _turn(client: httpx2.AsyncClient) -> Any:
    """The last event of a turn."""
    decoder, last = SSEDecoder(), None
    async with client.stream("POST", "/api/chat", json={"messages": [{"role": "user", "content": "hi"}]}) as response:
        async for piece in response.aiter_raw():
            for message in decoder.feed(piece):
                last = json.loads(message.data)
    return last
