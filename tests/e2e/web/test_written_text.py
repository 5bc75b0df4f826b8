"""What is written in an answer: emphasis in every script, formulas, code that hangs the highlighter; and all of it on paper."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Route, expect

from infra.edge_rules import content_security_policy
from local.model.script import ScriptedModel, done, finish, token, tokens, usage, wait_for
from local.system import LocalSystem
from tests.e2e.web.window import Open, Window

EMPHASIS = "**注意：**正文\n\n含**「重点」**内容\n\n**“공개 문서”**는\n\n**わ〜い！**です。"
FORMULAS = r"""Let \( x_1 \) and $y^2$ be numbers; it costs $5 and $10.

\[
\begin{aligned}
a &= \frac{b}{c} \\
  &= \fcolorbox{red}{white}{d}
\end{aligned}
\]

$$\sum_{i=1}^{n} i$$

`\(code\)`"""


def play(model: ScriptedModel, text: str) -> None:
    pieces = [text[at : at + 5] for at in range(0, len(text), 5)]
    model.plays(*[token(piece) for piece in pieces], finish(), usage(3, 4), done())


def test_emphasis_beside_cjk_punctuation_is_bold(open_window: Open, model: ScriptedModel) -> None:
    play(model, EMPHASIS)
    window = open_window()
    window.say("Emphasise")
    window.until_stored()
    expect(window.answers.last.locator("strong")).to_have_text(["注意：", "「重点」", "“공개 문서”", "わ〜い！"])
    window.page.reload()
    expect(window.answers.last.locator("strong")).to_have_text(["注意：", "「重点」", "“공개 문서”", "わ〜い！"])
    expect(window.answers.last).not_to_contain_text("*")


def test_formulas_are_shown_under_the_policy_of_the_deployed_site_and_copied_as_written(
    open_window: Open, context: BrowserContext, model: ScriptedModel
) -> None:
    policy = content_security_policy([]).replace("; upgrade-insecure-requests", "")

    def with_policy(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, headers={**response.headers, "content-security-policy": policy})

    context.route(lambda url: "/api/" not in url, with_policy)
    play(model, FORMULAS)
    window = open_window()
    window.say("Compute")
    window.until_stored()
    maths = window.answers.last.locator("math")
    expect(maths).to_have_count(4)
    expect(maths.nth(0)).to_have_attribute("alttext", "x_1")
    boxes = maths.evaluate_all("all => all.map((one) => one.getBoundingClientRect()).map(({ width, height }) => [width, height])")
    assert all(width > 5 and height > 5 for width, height in boxes), boxes
    expect(window.answers.last).to_contain_text("it costs $5 and $10.")
    expect(window.answers.last.locator("code")).to_have_text(r"\(code\)")
    assert window.foreign == [], "nothing is fetched from elsewhere"
    assert [one for one in window.problems if "Content Security Policy" in one] == []
    window.press("Copy")
    assert window.run("() => navigator.clipboard.readText()") == FORMULAS


def test_mathematics_is_loaded_by_a_formula_and_by_nothing_else(open_window: Open, model: ScriptedModel) -> None:
    play(model, "It costs $5 and $10, or **more**.")
    window = open_window()
    loaded: list[str] = []
    window.page.on("request", lambda request: loaded.append(request.url))
    window.say("How much?")
    window.until_stored()
    assert not [url for url in loaded if "mathematics" in url]
    play(model, r"\(x\)")
    window.say("And in general?")
    expect(window.answers.last.locator("math")).to_be_visible()
    assert [url for url in loaded if "mathematics" in url]


def test_a_formula_shows_no_mark_while_it_arrives_and_while_what_shows_it_is_loaded(
    open_window: Open, context: BrowserContext, model: ScriptedModel
) -> None:
    go, more = threading.Event(), threading.Event()
    held: list[Route] = []
    context.route("**/assets/mathematics-*.js", lambda route: held.append(route))
    model.plays(token(r"So \(x_1"), wait_for(go), tokens(r" + y_2\)", " is"), wait_for(more), finish(), usage(3, 4), done())
    window = open_window()
    window.say("Slowly")
    expect(window.answers.last).to_have_text("So")
    while not held:
        window.page.wait_for_timeout(20)
    held[0].continue_()
    expect(window.answers.last.locator(".formula-open")).to_be_visible()
    expect(window.answers.last).to_have_text("So")
    go.set()
    expect(window.answers.last.locator("math")).to_have_attribute("alttext", "x_1 + y_2")
    more.set()
    window.until_stored()


def test_a_block_that_hangs_the_highlighter_is_left_plain_and_those_after_it_are_coloured(
    open_window: Open, context: BrowserContext, model: ScriptedModel
) -> None:
    def hangs(route: Route) -> None:
        response = route.fetch()
        trap = "self.addEventListener('message', ({ data }) => { while (data.code?.includes('HANGS')); });\n"
        route.fulfill(response=response, body=trap + response.text())

    context.route("**/assets/highlight.worker-*.js", hangs)
    play(model, "```python\nHANGS = 1\n```\n\nand\n\n```python\ndef f(): ...\n```\n")
    window = open_window()
    window.say("Code")
    window.until_stored()
    blocks = window.answers.last.locator("pre")
    expect(blocks.nth(1).locator(".hljs-keyword")).to_have_text("def", timeout=20_000)
    expect(blocks.nth(0)).to_have_text("HANGS = 1\n", use_inner_text=True)
    play(model, "```js\nconst a = 1;\n```")
    window.say("More")
    expect(window.answers.last.locator(".hljs-keyword")).to_have_text("const", timeout=20_000)


@pytest.mark.parametrize("pieces", [("```py", "thon\ndef f():\n    pass\n```\n"), ("```p", "ython\n", "def f(): ...", "\n```\n")])
def test_a_language_that_comes_in_two_reads_colours_its_block(
    open_window: Open, model: ScriptedModel, pieces: tuple[str, ...]
) -> None:
    model.plays(tokens(*pieces, delay_s=0.15), finish(), usage(3, 4), done())
    window = open_window()
    window.say("Code in pieces")
    expect(window.answers.last.locator(".hljs-keyword").first).to_have_text("def")
    window.until_stored()


# --- on paper ---


@pytest.fixture
def dark_window(browser: Browser, stack: LocalSystem) -> Iterator[Window]:
    context = browser.new_context(viewport={"width": 700, "height": 600}, color_scheme="dark")
    yield Window.on(context, stack.url)
    context.close()


def test_a_long_chat_is_printed_to_its_end_and_without_what_is_pressed(
    dark_window: Window, model: ScriptedModel, tmp_path: Path
) -> None:
    window = dark_window.open()
    paragraphs = [
        f"Paragraph {number} of a long answer, with words enough to fill a line or two of it.\n\n" for number in range(120)
    ]
    wide = "```python\n" + "very_long_line = " + " + ".join(f"name_{at}" for at in range(60)) + "\n```\n\n"
    model.plays(*[token(one) for one in paragraphs], token(wide), tokens("The", " end."), finish(), usage(3, 4), done())
    window.say("Tell me at length")
    window.until_stored()
    window.until_over()
    window.page.emulate_media(media="print")
    seen = window.run("""() => {
        const shown = (one) => one.checkVisibility() && one.getBoundingClientRect().height > 0;
        const root = document.documentElement;
        return {
            paragraphs: [...document.querySelectorAll('.prose p')].filter(shown).length,
            controls: [...document.querySelectorAll('button, textarea, input, select, nav, .status')].filter(shown).length,
            scrolled: [...document.querySelectorAll('.page, .page :not(.hidden)')].filter((one) => shown(one)
                && one.scrollHeight > one.clientHeight + 1 && getComputedStyle(one).overflowY !== 'visible'
                && getComputedStyle(one).display !== 'inline').map((one) => one.className),
            ground: getComputedStyle(document.body).backgroundColor,
            ink: getComputedStyle(document.querySelector('.prose p')).color,
            tooWide: root.scrollWidth > root.clientWidth,
            height: root.scrollHeight,
        };
    }""")
    assert seen["paragraphs"] >= 121
    assert (seen["controls"], seen["scrolled"], seen["tooWide"]) == (0, [], False)
    assert (seen["ground"], seen["ink"]) == ("rgb(255, 255, 255)", "rgb(0, 0, 0)"), "ink on paper, whatever the theme"
    pdf = window.page.pdf(path=tmp_path / "chat.pdf", format="A4")
    assert pdf.count(b"/Type /Page\n") + pdf.count(b"/Type/Page\n") + pdf.count(b"/Type /Page ") >= 4, "pages, not a screenful"
