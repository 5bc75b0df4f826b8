"""What is found in the browser's storage is not trusted: the page starts whatever it is, and says so where it cannot."""

import json
import threading

import pytest
from playwright.sync_api import BrowserContext, expect

from local.model.script import ScriptedModel, done, finish, token, usage, wait_for
from local.system import LocalSystem
from tests.e2e.web.window import Open, Window

NASTY = ['{"owner":""}', "[{}]", "null", "not JSON", "[]", '{"v":1,"owner":{},"value":{"draft":{"messages":null}}}']

SPOIL = """([text, row]) => new Promise((resolve) => {
    for (const storage of [localStorage, sessionStorage])
        for (const key of Object.keys(storage)) storage.setItem(key, text);
    for (const key of ['chat.new', 'chat.text..new', 'chat.text.new', 'chat.tokens']) sessionStorage.setItem(key, text);
    for (const key of ['chat.list.', 'chat.list..', 'chat.buds', 'chat.bud', 'chat.auth', 'chat.person', 'chat.workspace'])
        localStorage.setItem(key, text);
    const opening = indexedDB.open('chat-outbox');
    opening.onsuccess = () => {
        const change = opening.result.transaction('turns', 'readwrite');
        change.objectStore('turns').put({ ...row, turnId: 'spoiled' });
        change.oncomplete = () => { opening.result.close(); resolve() };
    };
})"""


@pytest.mark.parametrize("text", NASTY)
def test_the_page_starts_with_anything_in_its_storage(text: str, open_window: Open, model: ScriptedModel) -> None:
    window = open_window()
    window.say("Before")
    window.until_stored()
    window.box.fill("Half written")
    row = json.loads(text) if text.startswith("{") else {"owner": "", "over": False, "body": text, "messages": [text]}
    window.page.evaluate(SPOIL, [text, row])
    asked = len(model.requests)
    window.open("/new")

    expect(window.box).to_be_visible()
    expect(window.box).to_have_value("")
    window.say("After")
    window.until_stored()
    assert len(model.requests) == asked + 1, "nothing was sent but what was written here"


def test_a_page_that_cannot_start_says_so_and_offers_to_remove_what_it_keeps(context: BrowserContext, stack: LocalSystem) -> None:
    page = context.new_page()
    page.add_init_script("if (localStorage.getItem('broken')) crypto.getRandomValues = () => { throw new Error('broken') }")
    page.goto(stack.url + "/icon.svg")
    page.evaluate("() => localStorage.setItem('broken', 'yes')")
    page.goto(stack.url + "/new")
    expect(page.get_by_role("alert")).to_contain_text("The page could not start.")
    page.get_by_role("button", name="Remove and start again").click()

    expect(page.get_by_role("textbox", name="Message", exact=True)).to_be_visible()
    assert page.evaluate("() => localStorage.getItem('broken')") is None


def test_a_browser_that_calls_itself_offline_is_not_believed_while_the_server_answers(
    open_window: Open, context: BrowserContext, model: ScriptedModel
) -> None:
    context.add_init_script("Object.defineProperty(navigator, 'onLine', {get: () => false})")
    go = threading.Event()
    model.plays(token("It goes "), wait_for(go), token("on."), finish(), usage(3, 4), done())
    window: Window = open_window()
    window.say("Are you there?")
    expect(window.answers.last).to_have_text("It goes")
    window.page.wait_for_timeout(2_500)  # the page looks at its connections each second
    expect(window.page.get_by_text("You are offline.")).to_have_count(0)
    go.set()
    expect(window.answers.last).to_have_text("It goes on.")
    window.until_stored()
    assert not [path for _, path in window.asked if path.endswith("/stream")], "one connection was enough"
