"""`make bench-web`: the client's figures, in a real browser over the local system, beside their goals (docs/client.md)."""

import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Page, expect, sync_playwright

from local.model.script import ScriptedModel, done, finish, token, tokens, usage
from local.system import LocalSystem
from tests.e2e.web.conftest import FLAGS
from tests.e2e.web.main_thread import Row, main_thread
from tests.e2e.web.window import Window

PASSAGES: Final = 7
ROOT: Final = Path(__file__).parents[3]

# React reports commits to this hook; a function component that worked carries the flag 1 (ReactFiberFlags: PerformedWork).
RENDERS: Final = """
window.commits = [];
const worked = (fiber, found) => {
    for (let one = fiber; one; one = one.sibling) {
        const renders = typeof one.type === 'function' || typeof one.type?.type === 'function';
        if (renders && one.flags & 1 && one.alternate) found.push(1);
        if (!one.alternate || one.child !== one.alternate.child) worked(one.child, found);
    }
    return found;
};
window.__REACT_DEVTOOLS_GLOBAL_HOOK__ = { supportsFiber: true, inject: () => 1, onCommitFiberUnmount() {},
    onCommitFiberRoot: (_, root) => window.commits.push(worked(root.current, []).length) };
"""

PASSAGE: Final = """
const replace = history.replaceState.bind(history);
history.replaceState = (...args) => {
    replace(...args);
    if (!location.pathname.startsWith('/chat/')) return;
    const began = performance.now();
    requestAnimationFrame(() => setTimeout(() => { window.passage = performance.now() - began; }));
};
window.frames_seen = window.frames_without = 0;
const look = () => {
    const [asked, last] = ['.user .bubble', ':last-child .prose'].map((one) => document.querySelector(`.message${one}`));
    const there = asked && last?.innerText;
    if (there) window.frames_seen++;
    else if (window.frames_seen) window.frames_without++;
    requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""


def main() -> int:
    chromium = shutil.which("chromium")
    if chromium is None:
        print("chromium is needed for these figures and was not found (Debian: apt install chromium)", file=sys.stderr)
        return 1
    with ScriptedModel() as model, sync_playwright() as playwright:
        env = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "none", "DEFAULT_MODEL": "test", "MODELS": "test"}
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        with LocalSystem(env) as stack:
            rows = [
                *renders(browser, stack.url, model),
                *main_thread(browser, stack.url, model),
                *passages(browser, stack.url, model),
            ]
        browser.close()
    missed = 0
    for name, value, goal, holds in rows:
        missed += not holds
        print(f"{name:<62} {value:>16}   goal {goal:<8} {'' if holds else 'MISSED'}")
    print(subprocess.run(["node", "web/scripts/budget.mjs"], cwd=ROOT, capture_output=True, text=True, check=True).stdout, end="")
    return 1 if missed else 0


def renders(browser: Browser, url: str, model: ScriptedModel) -> list[Row]:
    page = opened(browser, url, RENDERS)
    model.plays(
        *(token(f"word{number} ") for number in range(3)), tokens(*["word "] * 200, delay_s=0.05), finish(), usage(5, 203), done()
    )
    ask(page, "Plain words")
    expect(page.locator(".message.assistant .prose").last).to_contain_text("word2")
    page.wait_for_function("() => document.querySelector('.message:last-child .prose').innerText.length > 150")
    page.evaluate("() => { window.commits.length = 0; }")
    page.wait_for_function("() => document.querySelector('.message:last-child .prose').innerText.length > 600")
    commits = page.evaluate("() => window.commits")
    page.context.close()
    return [(f"components rendered per token (most, over {len(commits)} commits)", str(max(commits)), "1", max(commits) == 1)]


def passages(browser: Browser, url: str, model: ScriptedModel) -> list[Row]:
    model.always_plays(tokens(*["word "] * 40, delay_s=0.01), finish(), usage(5, 40), done())
    times, seen, without = [], 0, 0
    for number in range(PASSAGES):
        page = opened(browser, url, PASSAGE)
        ask(page, f"Passage {number}")
        page.wait_for_function("() => window.passage")
        page.wait_for_timeout(200)
        times.append(float(page.evaluate("() => window.passage")))
        seen += int(page.evaluate("() => window.frames_seen"))
        without += int(page.evaluate("() => window.frames_without"))
        page.context.close()
    middle, most = statistics.median(times), max(times)
    return [
        ("/new → /chat/{id}, to the frame after (median, most)", f"{middle:.0f}, {most:.0f} ms", "< 50 ms", most < 50),
        (f"frames without the messages, of {seen} around {PASSAGES} passages", str(without), "0", without == 0 and seen > 0),
    ]


def opened(browser: Browser, url: str, script: str) -> Page:
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    context.add_init_script(script)
    window = Window.on(context, url).open()
    expect(window.box).to_be_visible()
    return window.page


def ask(page: Page, text: str) -> None:
    page.locator("#message").fill(text)
    page.locator("#message").press("Enter")


if __name__ == "__main__":
    sys.exit(main())
