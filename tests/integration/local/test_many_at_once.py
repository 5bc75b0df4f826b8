"""`make run` under fifty people at once. How long they wait is a figure of bench/; why they once waited is held here."""

import asyncio
import os
from pathlib import Path

import pytest

from bench.figures.many import TURNS, seconds
from local.system import LocalSystem

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads the time of processes from /proc"),
]


def test_the_embedded_aws_costs_no_more_than_what_it_serves() -> None:
    """Seconds of CPU, not of a clock: a busy machine changes both sides alike. The second fifty cost what the first did."""
    env = {"FAKE_LLM_DELAY_MS": "28", "FAKE_LLM_TOKENS": "50", "CHAT_QUOTA_STREAMS": "0", "CHAT_QUOTA_TURNS_PER_MINUTE": "0"}
    with LocalSystem(env) as system:
        for _ in range(2):
            before = {name: cpu_s(pid) for name, pid in system.pids.items()}
            asyncio.run(seconds(system.url, TURNS))
            spent = {name: cpu_s(pid) - before[name] for name, pid in system.pids.items()}
            assert spent["aws"] < 2.5 * spent["chat_stream"], spent


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
