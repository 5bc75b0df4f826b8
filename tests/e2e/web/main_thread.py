"""What an answer costs the page's main thread, beside what the same costs a page that does less: the floors.

CPU time is the browser's own account of the thread (CDP `Performance.getMetrics`, TaskDuration by thread ticks: scripts, style,
layout, paint and all else the browser does there). The longest task is taken from a trace, by CPU time as well, and named.
"""

import json
import statistics
import time
from typing import Any, Final

from playwright.sync_api import Browser

from local.model.script import ScriptedModel, Step, done, finish, tokens, usage
from tests.e2e.web.plain_page import PlainPage

TOKENS: Final = 2_000
FLOOR_TOKENS: Final = 300
PER_SECOND: Final = 100
THROTTLING: Final = 4
RUNS: Final = 3
READY: Final = "document.getElementById('message') !== null"
STORED: Final = "location.pathname.startsWith('/chat/')"

Row = tuple[str, str, str, bool]

IDLE: Final = f"setTimeout(() => {{ window.over = true; }}, {1000 * FLOOR_TOKENS / PER_SECOND:.0f}); 0"
# The same stream, fetched as the client does and thrown away: `%d` is how many ms lie between two reads.
DISCARD: Final = """(async () => {
    const message = { id: crypto.randomUUID(), role: 'user', content: 'x' };
    const body = JSON.stringify({ turnId: crypto.randomUUID(), budId: 'default', parentId: null, messages: [message] });
    const response = await fetch('/api/chat', { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    const reader = response.body.getReader();
    while (!(await reader.read()).done) await new Promise((resolve) => setTimeout(resolve, %d));
    window.over = true;
})(); 0"""
# The least a page can do to show it: one paragraph that grows and is kept in view, 80 ms between two changes, no network.
PLAIN_TEXT: Final = """(async () => {
    document.body.innerHTML = '<div style="height: 100vh; overflow-y: auto"><p></p></div>';
    const text = document.querySelector('p');
    for (let left = %d; left > 0; left -= 8) {
        text.append('some eight words of an answer that grows ');
        text.parentNode.scrollTop = 1e9;
        await new Promise((resolve) => setTimeout(resolve, 80));
    }
    window.over = true;
})(); 0"""


def answer(count: int, delay_s: float) -> tuple[Step, ...]:
    """Markdown as models write it: paragraphs, lists, code, about `count` tokens."""
    sentence = "These are some words of **an answer** that goes on for quite a while,"
    paragraph = [*sentence.split(" "), "\n\n"]
    items = ["- ", "one ", "item\n", "- ", "another `item`\n", "\n"]
    code = ["```python\n", *["total ", "+= ", "1\n"] * 6, "```\n\n"]
    unit = [*(f"{word} " for word in paragraph[:-1]), "\n\n"] * 4 + items + code
    words = (unit * (count // len(unit) + 1))[:count]
    return (tokens(*words, delay_s=delay_s), finish(), usage(5, count), done())


def main_thread(browser: Browser, url: str, model: ScriptedModel) -> list[Row]:
    floors = {
        "floor: an idle page, as long": (IDLE, False),
        "floor: the stream discarded, a read each 80 ms": (DISCARD % 80, True),
        "floor: the stream discarded, read at once": (DISCARD % 0, True),
        "floor: plain text that grows, each 80 ms": (PLAIN_TEXT % FLOOR_TOKENS, False),
    }
    works: list[float] = []
    longest: list[tuple[float, str]] = []
    floor_works: dict[str, list[float]] = {name: [] for name in floors}
    for _ in range(RUNS):  # taking turns, so that what else the machine does falls on all of them
        for name, (script, asks) in floors.items():
            if asks:
                model.plays(*answer(FLOOR_TOKENS, 1 / PER_SECOND))
            floor_works[name].append(bare_work_ms(browser, url, script))
        works.append(work_ms(browser, url, model))
        longest.append(longest_task(browser, url, model))
    work, (task_ms, task) = statistics.median(works), statistics.median_low(longest)
    goal = f"main-thread CPU per token, {THROTTLING}× throttled, {TOKENS} at {PER_SECOND}/s"
    most = max(ms for ms, _ in longest)
    return [
        (goal, f"{work:.2f} ms", "≤ 2 ms", work <= 2),
        *((f"  {name}", f"{statistics.median(values):.2f} ms", "–", True) for name, values in floor_works.items()),
        (f"longest task (CPU; median of {RUNS}), {THROTTLING}× throttled", f"{task_ms:.0f} ms", "≤ 50 ms", task_ms <= 50),
        (f"  it was {task}", f"most {most:.0f} ms", "–", True),
    ]


def bare_work_ms(browser: Browser, url: str, script: str) -> float:
    """CPU of one token's share, in ms, on a page of the same server that only runs `script`."""
    page = PlainPage(browser)
    page.goto(f"{url}/new")
    time.sleep(1)
    page.send("Emulation.setCPUThrottlingRate", {"rate": THROTTLING})

    def run() -> None:
        page.run(script)
        time.sleep(FLOOR_TOKENS / PER_SECOND)
        page.until("window.over === true")

    work = page.measured(run)["TaskDuration"]
    page.close()
    return 1000 * work / FLOOR_TOKENS


def warm_page(browser: Browser, url: str, model: ScriptedModel) -> PlainPage:
    """On /new, throttled; it has seen an answer before, as a page that is in use has."""
    page = PlainPage(browser)
    page.goto(f"{url}/new")
    page.until(READY)
    page.ask("Warm up")
    page.until(STORED)
    page.goto(f"{url}/new")
    page.until(f"{READY} && !{STORED}")
    page.send("Emulation.setCPUThrottlingRate", {"rate": THROTTLING})
    model.plays(*answer(TOKENS, 1 / PER_SECOND))
    time.sleep(1)
    return page


def whole_answer(page: PlainPage) -> None:
    page.ask("At length")
    time.sleep(TOKENS / PER_SECOND)
    page.until(STORED)


def work_ms(browser: Browser, url: str, model: ScriptedModel) -> float:
    """CPU of the page's main thread for one token of a whole answer, from the key that sends to the passage; in ms."""
    page = warm_page(browser, url, model)
    work = page.measured(lambda: whole_answer(page))["TaskDuration"]
    page.close()
    return 1000 * work / TOKENS


def longest_task(browser: Browser, url: str, model: ScriptedModel) -> tuple[float, str]:
    """The main thread's longest task during such an answer: its CPU time in ms, and what most of it was spent on."""
    page = warm_page(browser, url, model)
    browser.start_tracing(categories=["toplevel", "devtools.timeline", "__metadata"])
    whole_answer(page)
    events = json.loads(browser.stop_tracing())["traceEvents"]
    page.close()
    return longest_of(events)


def longest_of(events: list[dict[str, Any]]) -> tuple[float, str]:
    names = {(one["pid"], one["tid"]): one["args"]["name"] for one in events if one["name"] == "thread_name"}
    spans = [one for one in events if one["ph"] == "X" and names.get((one["pid"], one["tid"])) == "CrRendererMain"]
    task = max((one for one in spans if one["name"].endswith("RunTask")), key=lambda one: one.get("tdur", 0))
    inside = [
        one
        for one in spans
        if (one["pid"], one["tid"]) == (task["pid"], task["tid"])
        and task["ts"] <= one["ts"] < task["ts"] + task["dur"]
        and not one["name"].endswith("RunTask")
    ]
    parts = sorted(inside, key=lambda one: one.get("tdur", 0), reverse=True)[:3]
    said = [f"{one['name']} {one['args'].get('data', {}).get('type', '')}".strip() for one in parts]
    return task.get("tdur", 0) / 1000, ", ".join(said) or "the browser's own"
