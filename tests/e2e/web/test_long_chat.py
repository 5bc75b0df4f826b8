"""A long chat: its end at once, its beginning as the reader scrolls up, its place on screen kept, and every word still found."""

import httpx2
import pytest
from playwright.sync_api import Page, expect

from functions.common.ids import new_id
from local.model.script import ScriptedModel, done, finish, token, usage
from tests.e2e.web.window import Open

MESSAGES = 240


@pytest.fixture
def long_chat(model: ScriptedModel, api: httpx2.Client) -> str:
    """Stored by turns that send a part of the branch each, as a client does."""
    model.always_plays(token("An answer of a few words."), finish(), usage(3, 4), done())
    conversation_id, parent, depth = "", "", 0
    for start in range(0, MESSAGES, 80):
        roles = ("user", "assistant")
        new = [
            {"id": new_id(), "role": roles[number % 2], "content": f"Message {number}.\n\n" + "Some words of it. " * 12}
            for number in range(start, start + 79)
        ]
        stored = [{"id": parent, "role": "assistant", "content": "…", "orderKey": f"{depth - 1:06d}"}] if parent else []
        turn_id = new_id()
        body = {"messages": [*stored, *new], "turnId": turn_id, **({"parentId": parent} if parent else {})}
        with api.stream("POST", f"/api/chat/{conversation_id}".rstrip("/"), json=body) as response:
            text = response.read().decode()
        assert '"complete"' in text, text
        conversation_id = conversation_id or text.split('"conversationId":"')[1].split('"')[0]
        parent, depth = turn_id, depth + 80
    return conversation_id


def top_of(page: Page, text: str) -> float:
    return float(page.get_by_text(text).first.evaluate("(element) => element.getBoundingClientRect().top"))


def test_a_long_chat_shows_its_end_at_once_and_its_beginning_as_its_reader_scrolls_up(open_window: Open, long_chat: str) -> None:
    window = open_window().open(f"/chat/{long_chat}")
    expect(window.page.get_by_text(f"Message {MESSAGES - 2}.")).to_be_in_viewport()
    assert window.page.locator(".message").count() == 50
    beginning = window.page.locator(".message").get_by_text("Message 0.")
    window.page.locator(".scroller").hover()
    for _ in range(200):
        window.page.mouse.wheel(0, -2_000)
        if beginning.count():
            break
        window.page.wait_for_timeout(20)
    expect(beginning).to_have_count(1)
    assert window.page.locator(".message").count() == MESSAGES
    assert window.asked.count(("GET", f"/api/conversations/{long_chat}")) == 5
    assert window.problems == []


def test_what_is_read_stays_in_its_place_when_earlier_messages_come_in_above_it(open_window: Open, long_chat: str) -> None:
    window = open_window()
    window.page.add_init_script("window.IntersectionObserver = class { observe() {} disconnect() {} }")  # by the button alone
    window.open(f"/chat/{long_chat}")
    earlier = window.page.get_by_role("button", name="Show earlier messages")
    expect(earlier).to_have_count(1)
    window.run("() => { document.querySelector('.scroller').scrollTop = 40 }")
    window.page.wait_for_timeout(300)
    first = f"Message {MESSAGES - 50}."
    before = top_of(window.page, first)
    earlier.evaluate("(button) => button.click()")
    expect(window.page.locator(".message")).to_have_count(100)
    window.page.wait_for_timeout(300)
    assert top_of(window.page, first) == pytest.approx(before, abs=4)


def test_words_far_up_are_found_in_the_page_and_printed(open_window: Open, long_chat: str) -> None:
    window = open_window().open(f"/chat/{long_chat}")
    expect(window.page.get_by_text(f"Message {MESSAGES - 2}.")).to_be_in_viewport()
    assert window.run("() => window.find('Message 192.', false, true)") is True
    window.page.emulate_media(media="print")
    shown = "() => [...document.querySelectorAll('.message')].map((one) => getComputedStyle(one).contentVisibility)"
    assert set(window.run(shown)) == {"visible"}
