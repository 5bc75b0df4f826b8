"""Typing, what is stored, and how a page is laid out: in Chromium and WebKit, on a desktop and a phone, by keys and by touch."""

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser
from selenium.webdriver import WebKitGTK

from local.model.script import ScriptedModel, done, finish, token, usage, wait_for
from local.system import LocalSystem
from tests.e2e.web.screens import (
    ANSWERS,
    BOX,
    DESKTOP,
    PHONE,
    QUESTIONS,
    ChromiumScreen,
    Screen,
    WebKitScreen,
    click,
    focus_box,
    missing_for_webkit,
    say,
    send,
    until,
    until_stored,
    webkit,
)

END = (finish(), usage(3, 4), done())
EVERYWHERE = ["chromium desktop", "chromium phone", "webkit desktop", "webkit phone"]
PHONES = ["chromium phone", "webkit phone"]


@pytest.fixture(scope="module")
def webkit_driver() -> Iterator[WebKitGTK]:
    if missing := "; ".join(missing_for_webkit()):
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    with webkit() as driver:
        yield driver


@pytest.fixture(params=EVERYWHERE)
def screen(request: pytest.FixtureRequest, browser: Browser, stack: LocalSystem) -> Iterator[Screen]:
    """A page in each browser, as a desktop has it and as a phone has it; a phone in Chromium is used by touch."""
    engine, form = request.param.split()
    touch = form == "phone"
    width, height = size = PHONE if touch else DESKTOP
    if engine == "webkit":
        yield WebKitScreen(request.getfixturevalue("webkit_driver"), stack.url, size)
        return
    context = browser.new_context(viewport={"width": width, "height": height}, has_touch=touch, is_mobile=touch)
    problems: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield ChromiumScreen(page, stack.url, touch)
    context.close()
    assert problems == []


on = pytest.mark.parametrize


# --- typing ---


def test_what_is_typed_is_sent_and_answered(screen: Screen, model: ScriptedModel) -> None:
    model.plays(token("Yes, "), token("**indeed**."), *END)
    screen.open("/new")
    say(screen, "Is it so?")
    until(screen, ANSWERS, ["Yes, indeed."])
    until(screen, f"{BOX}.value", "")


def test_a_second_line_can_be_written(screen: Screen, model: ScriptedModel) -> None:
    screen.open("/new")
    focus_box(screen)
    screen.type("one")
    one_line = screen.run(f"{BOX}.offsetHeight")
    for line in ("two", "three"):
        screen.press("Enter" if screen.touch else "Shift+Enter")
        screen.type(line)
    assert screen.run(f"{BOX}.value") == "one\ntwo\nthree"
    assert screen.run(QUESTIONS) == []
    assert screen.run(f"{BOX}.offsetHeight") > one_line * 1.8, "the box grows with its text"
    send(screen)
    until(screen, QUESTIONS, ["one\ntwo\nthree"])
    until(screen, f"{BOX}.offsetHeight", one_line)


def test_the_key_that_ends_a_composition_sends_nothing(screen: Screen) -> None:
    screen.open("/new")
    focus_box(screen)
    screen.type("nihon")
    # As Safari tells it: the composition is over, and the key's code says that the input method had it.
    screen.run(f"""(() => {{
        const told = {{ bubbles: true, cancelable: true }};
        {BOX}.dispatchEvent(new CompositionEvent('compositionend', {{ ...told, data: '日本' }}));
        {BOX}.dispatchEvent(new KeyboardEvent('keydown', {{ ...told, key: 'Enter', code: 'Enter', keyCode: 229 }}));
    }})()""")
    assert screen.run(QUESTIONS) == []
    assert screen.run(f"{BOX}.value") == "nihon"


def test_escape_stops_and_the_arrow_up_edits(screen: Screen, model: ScriptedModel) -> None:
    never = threading.Event()
    screen.open("/new")
    say(screen, "First")
    model.plays(token("On and on"), wait_for(never), *END)
    focus_box(screen)
    screen.type("Second")
    screen.press("Control+Enter")  # a keyboard's way to send where Enter does not
    until(screen, f"{ANSWERS}.at(-1)", "On and on")
    screen.press("Escape")
    until(screen, "document.querySelector('.note')?.textContent", "You stopped this answer.")
    never.set()
    focus_box(screen)
    screen.press("ArrowUp")
    until(screen, "document.activeElement.value", "Second")
    screen.press("Escape")
    until(screen, "document.querySelector('.editor') === null")


# --- what is stored ---


def test_what_is_half_written_is_there_after_a_reload_until_it_is_sent(screen: Screen) -> None:
    screen.open("/new")
    focus_box(screen)
    screen.type("Half a thought")
    until(screen, "Object.values({ ...sessionStorage }).some((one) => one.includes('Half a thought'))")
    screen.reload()
    until(screen, f"{BOX}?.value", "Half a thought")
    focus_box(screen)
    send(screen)
    until_stored(screen)
    screen.reload()
    until(screen, QUESTIONS, ["Half a thought"])
    assert screen.run(f"{BOX}.value") == ""


def test_an_answer_under_way_goes_on_after_a_reload(screen: Screen, model: ScriptedModel) -> None:
    go = threading.Event()
    model.plays(token("One, "), wait_for(go), token("two."), *END)
    screen.open("/new")
    focus_box(screen)
    screen.type("Count")
    screen.press("Control+Enter")
    until(screen, ANSWERS, ["One,"])
    screen.reload()
    until(screen, QUESTIONS, ["Count"])
    until(screen, ANSWERS, ["One,"])
    go.set()
    until(screen, ANSWERS, ["One, two."])


def test_a_chat_is_in_the_list_after_a_reload_and_opens_from_it(screen: Screen) -> None:
    screen.open("/new")
    say(screen, "To be found again")
    path = screen.run("location.pathname")
    screen.reload()
    link = f"document.querySelector('nav a[href=\"{path}\"]')"
    until(screen, f"{link}?.textContent.trim()", "To be found again")
    screen.run("document.querySelector('a[href=\"/new\"]').click()")
    until(screen, "location.pathname", "/new")
    screen.run(f"{link}.click()")
    until(screen, QUESTIONS, ["To be found again"])


# --- layout ---

WIDE = f"""# A_heading_without_a_single_blank_{"x" * 80}

A word without end: {"w" * 300} and https://example.org/{"path/" * 60}

**注意：**{"長い文章です。" * 30}

```python
line = {" + ".join(f"name_{at}" for at in range(60))}
```

| {" | ".join(f"column {at}" for at in range(12))} |
|{"---|" * 12}
| {" | ".join(f"value_{at}_{'v' * 12}" for at in range(12))} |

\\[ {" + ".join(f"a_{{{at}}}" for at in range(60))} \\]

1. one
   - two
     - three {"z" * 200}

The end.
"""

FRAMES = "html, body, .page, main, .chat, .scroller, .messages, .prose, .part, .foot, .composer"
OVERFLOWING = f"""[...document.querySelectorAll('{FRAMES}')]
    .filter((one) => one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 0).map((one) => one.className || one.tagName)"""
COMPOSER = f"""document.querySelector('.composer') !== null && (() => {{
    const {{ left, top, right, bottom }} = document.querySelector('.composer').getBoundingClientRect();
    const inside = left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight;
    return inside && document.elementFromPoint((left + right) / 2, (top + bottom) / 2) === {BOX};
}})()"""


@on(("screen", "width"), [(one, None) for one in EVERYWHERE] + [(one, 320) for one in PHONES], indirect=["screen"])
def test_nothing_scrolls_sideways_and_the_box_is_in_view(screen: Screen, model: ScriptedModel, width: int | None) -> None:
    model.plays(token(WIDE), *END)
    screen.open("/new")
    if width:
        screen.resize(width, 480)
    until(screen, COMPOSER)
    assert screen.run(OVERFLOWING) == []
    say(screen, f"Wide, please: {'q' * 200}")
    until(screen, "document.querySelectorAll('.prose math').length", 1)
    until(screen, f"{ANSWERS}.at(-1).endsWith('The end.')")
    assert screen.run(OVERFLOWING) == []
    until(screen, COMPOSER)
    for inner in ("pre", ".table", ".formula"):
        assert screen.run(f"document.querySelector('.prose {inner}').getBoundingClientRect().right <= innerWidth"), inner


def test_a_long_answer_ends_in_view_and_its_beginning_can_be_scrolled_to(screen: Screen, model: ScriptedModel) -> None:
    model.plays(*[token(f"Paragraph {at}.\n\n") for at in range(80)], *END)
    screen.open("/new")
    say(screen, "At length")

    def in_view(which: str) -> str:
        return f"""(() => {{
            const {{ top, bottom }} = [...document.querySelectorAll('.prose p')].at({which}).getBoundingClientRect();
            return top >= 0 && bottom <= document.querySelector('.composer').getBoundingClientRect().top;
        }})()"""

    until(screen, in_view("-1"))
    screen.run("document.querySelector('.scroller').scrollTo(0, 0)")
    until(screen, in_view("0"))
    click(screen, "Go to the latest message")
    until(screen, in_view("-1"))


@on("screen", PHONES, indirect=True)
def test_the_box_and_the_end_are_in_view_when_a_keyboard_takes_half_of_a_phone(screen: Screen, model: ScriptedModel) -> None:
    model.plays(token("Short."), *END)
    screen.open("/new")
    say(screen, "Hello")
    focus_box(screen)
    screen.resize(PHONE[0], 300)
    until(screen, COMPOSER)
    screen.type("line " * 60)
    until(screen, COMPOSER)
    assert screen.run(OVERFLOWING) == []


@on("screen", ["chromium phone"], indirect=True)
def test_on_touch_nothing_has_to_be_pointed_at_to_be_seen(screen: Screen, model: ScriptedModel) -> None:
    screen.open("/new")
    for text in ("First", "Second"):
        model.plays(token("```js\nconst a = 1;\n```"), *END)
        say(screen, text)
    click(screen, "Open the list of chats")
    until(screen, "getComputedStyle(document.querySelector('.list-layer')).opacity", "1")
    hidden: Any = screen.run("""[...document.querySelectorAll('button, a, input, select, textarea')].filter((one) => {
        for (let at = one; at; at = at.parentElement) if (getComputedStyle(at).opacity === '0') return true;
        return false;
    }).map((one) => one.getAttribute('aria-label') ?? one.textContent)""")
    assert hidden == []
    small: Any = screen.run("""[...document.querySelectorAll('button, select, nav a')].filter((one) => {
        const { width, height } = one.getBoundingClientRect();
        return width > 0 && (width < 24 || height < 24);
    }).map((one) => one.getAttribute('aria-label') ?? one.textContent)""")
    assert small == [], "a finger needs 24 by 24 pixels (WCAG 2.5.8)"


# --- what each engine draws ---


def test_emphasis_formulas_and_colours_are_drawn(screen: Screen, model: ScriptedModel) -> None:
    model.plays(token("**注意：**正文 \\( \\frac{x_1}{2} \\) costs $5 and $10\n\n```js\nconst a = 1;\n```"), *END)
    screen.open("/new")
    say(screen, "Draw")
    until(screen, "document.querySelector('.prose strong')?.textContent", "注意：")
    until(screen, "document.querySelector('.prose .hljs-keyword')?.textContent", "const")
    until(screen, "document.querySelector('.prose math')?.getBoundingClientRect().height > 20")
    assert "costs $5 and $10" in screen.run(ANSWERS)[0]
