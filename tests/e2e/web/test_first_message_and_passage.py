"""The first message, and the passage from /new to the stored conversation, watched frame by frame."""

import threading

import httpx2
from playwright.sync_api import expect

from local.model.script import ScriptedModel, done, finish, token, tokens, usage, wait_for
from tests.e2e.web.window import Open

# Notes at every animation frame what is on screen: how long the visible text of the messages is, and where the page is.
SAMPLER = """() => {
    window.frames_seen = [];
    window.list_node = document.querySelector('.messages');
    window.nodes = [...document.querySelectorAll('.message')];
    const look = (time) => {
        const list = document.querySelector('.messages');
        const rect = list?.getBoundingClientRect();
        window.frames_seen.push({
            time, path: location.pathname,
            messages: document.querySelectorAll('.message').length,
            text: [...document.querySelectorAll('.message')].map((one) => one.innerText.length),
            visible: !!rect && rect.height > 0,
            same: list === window.list_node && window.nodes.every((node) => node.isConnected),
            scroll: document.querySelector('.scroller')?.scrollTop,
            focus: document.activeElement?.id,
        });
        if (!window.sampling_over) requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
}"""


def test_new_asks_the_server_for_nothing_but_its_assistants_and_the_list_before_the_first_message(open_window: Open) -> None:
    window = open_window()
    expect(window.page.get_by_text("What would you like to know?")).to_be_visible()
    expect(window.box).to_be_focused()
    window.page.wait_for_load_state("networkidle")

    assert set(window.asked) <= {("GET", "/api/buds"), ("GET", "/api/conversations")}
    assert window.foreign == []


def test_the_first_message_becomes_a_stored_conversation(open_window: Open, model: ScriptedModel, api: httpx2.Client) -> None:
    go = threading.Event()
    model.plays(token("Hel"), wait_for(go), token("lo *there*."), finish(), usage(3, 4), done())
    window = open_window()
    window.say("Is anyone there?")
    expect(window.answers.last).to_have_text("Hel")
    assert window.path == "/new"
    go.set()

    stored = api.get(f"/api/conversations/{window.conversation_id}").json()
    assert [(one["role"], one["content"]) for one in stored["messages"]] == [
        ("assistant", "Hello! What would you like to know?"),
        ("user", "Is anyone there?"),
        ("assistant", "Hello *there*."),
    ]
    expect(window.answers.last).to_have_text("Hello there.")
    expect(window.chats.get_by_role("link", name="Is anyone there?")).to_be_visible()
    window.page.go_back()
    assert window.page.url == "about:blank", "the passage replaced /new"


def test_sending_shows_the_message_and_a_place_for_the_answer_before_any_network(open_window: Open) -> None:
    window = open_window()
    window.box.fill("At once")
    shown = window.run("""() => new Promise((resolve) => {
        let asked = null;
        const fetched = window.fetch;
        window.fetch = (...args) => { asked ??= document.querySelectorAll('.message').length; return fetched(...args); };
        const before = document.querySelectorAll('.message').length;
        document.querySelector('form').requestSubmit();
        requestAnimationFrame(() => resolve({ before, frame: document.querySelectorAll('.message').length, asked }));
    })""")

    assert shown["frame"] == shown["before"] + 2
    assert shown["asked"] in (None, shown["frame"]), "the request did not go out before the messages were there"
    window.until_stored()


def test_the_passage_has_no_frame_without_the_messages_and_keeps_nodes_scroll_and_focus(
    open_window: Open, model: ScriptedModel
) -> None:
    go = threading.Event()
    paragraphs = [f"Paragraph {number} of a long answer.\n\n" for number in range(40)]
    model.plays(*[token(one) for one in paragraphs], wait_for(go), tokens("The", " end."), finish(), usage(3, 4), done())
    window = open_window()
    window.say("Tell me at length")
    expect(window.answers.last).to_contain_text("Paragraph 39")
    window.box.fill("half a thought")
    window.run("() => document.querySelector('#message').setSelectionRange(2, 6)")
    window.page.locator(".scroller").hover()
    window.page.mouse.wheel(0, -300)
    window.page.wait_for_function("() => document.querySelector('.to-end')")
    window.run(SAMPLER)
    scroll = window.run("() => document.querySelector('.scroller').scrollTop")
    go.set()
    window.until_stored()
    window.until_over()
    expect(window.answers.last).to_contain_text("The end.")
    frames = window.run("() => { window.sampling_over = true; return window.frames_seen; }")

    assert {"/new", window.path} == {frame["path"] for frame in frames}
    assert all(frame["messages"] == 3 and frame["visible"] and frame["same"] and min(frame["text"]) > 5 for frame in frames)
    assert {frame["scroll"] for frame in frames} == {scroll}
    assert {frame["focus"] for frame in frames} == {"message"}
    assert window.run("() => [message.selectionStart, message.selectionEnd]") == [2, 6]
    assert window.box.input_value() == "half a thought"
