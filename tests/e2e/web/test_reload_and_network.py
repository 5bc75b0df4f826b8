"""A turn outlives the page: reloads at every phase, a stop from another tab, a network that goes and comes."""

import threading
from collections.abc import Sequence

import httpx2
import pytest
from playwright.sync_api import BrowserContext, Route, expect

from local.model.script import ScriptedModel, Step, done, finish, reasoning, status, token, usage, wait_for
from tests.e2e.web.window import Open

END: Sequence[Step] = (finish(), usage(3, 4), done())


def test_a_reload_before_the_request_reached_the_server_sends_it_again(
    open_window: Open, context: BrowserContext, model: ScriptedModel
) -> None:
    model.plays(token("Here after all."), *END)
    window = open_window()
    held: list[Route] = []
    window.page.route("**/api/chat", lambda route: held.append(route))
    with window.page.expect_request("**/api/chat"):  # it is held; without the wait it might leave after `unroute`
        window.say("Never arrived")
    window.page.wait_for_function("() => (sessionStorage.getItem('chat.new') ?? '').includes('Never arrived')")
    assert held
    window.page.unroute("**/api/chat")
    window.page.reload()

    expect(window.questions.last).to_have_text("Never arrived")
    window.until_stored()
    expect(window.answers.last).to_have_text("Here after all.")
    assert len(model.requests) > 0


@pytest.mark.parametrize("phase", ["before the first token", "in mid-answer"])
def test_a_reload_on_new_resumes_the_answer(phase: str, open_window: Open, model: ScriptedModel, api: httpx2.Client) -> None:
    go = threading.Event()
    first: Sequence[Step] = [token("One, ")] if phase == "in mid-answer" else []
    model.plays(*first, wait_for(go), token("two, three."), *END)
    window = open_window()
    asked = len(model.requests)
    window.say(f"Count, reload {phase}")
    if first:
        expect(window.answers.last).to_have_text("One,")
    else:
        window.page.wait_for_function("() => document.querySelector('.waiting')")
    window.page.reload()
    expect(window.questions.last).to_have_text(f"Count, reload {phase}")
    if first:
        expect(window.answers.last).to_have_text("One,")
    go.set()

    expect(window.answers.last).to_have_text("One, two, three." if first else "two, three.")
    stored = api.get(f"/api/conversations/{window.conversation_id}").json()
    assert [one["role"] for one in stored["messages"]] == ["assistant", "user", "assistant"], "stored once"
    assert len(model.requests) == asked + 1, "the model was asked once"


def test_a_reload_of_a_stored_chat_in_mid_answer_resumes_it(open_window: Open, model: ScriptedModel) -> None:
    window = open_window()
    window.say("First")
    window.until_stored()
    go = threading.Event()
    model.plays(reasoning("Let me think. "), token("Half of it, "), wait_for(go), token("and the rest."), *END)
    window.say("Second")
    expect(window.answers.last).to_have_text("Half of it,")
    window.page.reload()
    expect(window.questions).to_have_count(2)
    expect(window.answers.last).to_have_text("Half of it,")
    go.set()

    expect(window.answers.last).to_have_text("Half of it, and the rest.")
    window.until_over()
    window.page.get_by_text("Reasoning").click()
    expect(window.page.get_by_text("Let me think.")).to_be_visible()


def test_a_reload_after_the_end_shows_the_same_chat(open_window: Open) -> None:
    window = open_window()
    window.say("All said")
    window.until_stored()
    before = window.page.locator(".messages").inner_text()
    window.page.reload()

    expect(window.page.locator(".messages")).to_have_text(before, use_inner_text=True)
    window.open("/new")
    expect(window.questions).to_have_count(0)


def test_what_is_half_written_survives_a_reload_and_the_passage(open_window: Open) -> None:
    window = open_window()
    window.box.fill("Half a thou")
    window.page.reload()
    expect(window.box).to_have_value("Half a thou")
    window.say("A whole one")
    window.box.fill("The next one")
    window.until_stored()
    window.page.reload()
    expect(window.questions.last).to_have_text("A whole one")
    expect(window.box).to_have_value("The next one")
    window.open("/new")
    expect(window.box).to_have_value("")


def test_a_stop_from_another_tab_ends_the_answer_in_both(open_window: Open, model: ScriptedModel, api: httpx2.Client) -> None:
    never = threading.Event()
    window = open_window()
    window.say("Begin")
    window.until_stored()
    model.plays(token("On and on"), wait_for(never), *END)
    window.say("Go on")
    expect(window.answers.last).to_have_text("On and on")
    other = open_window(window.path)
    expect(other.answers.last).to_have_text("On and on")
    other.press("Stop")

    for tab in (other, window):
        expect(tab.page.get_by_text("You stopped this answer.")).to_be_visible()
        expect(tab.answers.last).to_have_text("On and on")
    never.set()
    stored = api.get(f"/api/conversations/{window.conversation_id}").json()
    assert stored["messages"][-1]["status"] == "stopped"


def test_escape_stops_at_once_here(open_window: Open, model: ScriptedModel) -> None:
    never = threading.Event()
    model.plays(token("Words"), wait_for(never), *END)
    window = open_window()
    window.say("Talk")
    expect(window.answers.last).to_have_text("Words")
    window.page.keyboard.press("Escape")

    expect(window.page.get_by_text("You stopped this answer.")).to_be_visible()
    never.set()
    window.until_stored()


def test_offline_in_mid_answer_and_back(open_window: Open, context: BrowserContext, model: ScriptedModel) -> None:
    go = threading.Event()
    model.plays(token("Before, "), wait_for(go), token("after."), *END)
    window = open_window()
    window.say("Through a tunnel")
    expect(window.answers.last).to_have_text("Before,")
    context.set_offline(True)
    expect(window.page.get_by_text("You are offline.")).to_be_visible()
    expect(window.answers.last).to_have_text("Before,")
    go.set()
    context.set_offline(False)

    expect(window.answers.last).to_have_text("Before, after.", timeout=20_000)
    window.until_stored()


def test_a_message_sent_offline_goes_out_when_the_network_is_back_even_after_the_tab_was_closed(
    open_window: Open, context: BrowserContext, model: ScriptedModel
) -> None:
    model.plays(token("You made it."), *END)
    window = open_window()
    context.set_offline(True)
    window.say("From the tunnel")
    expect(window.page.get_by_text("You are offline.")).to_be_visible()
    window.page.wait_for_function("""() => new Promise((resolve) => {
        const opening = indexedDB.open('chat-outbox');
        opening.onsuccess = () => {
            const all = opening.result.transaction('turns').objectStore('turns').getAll();
            all.onsuccess = () => resolve(all.result.length === 1);
        };
    })""")
    window.page.close()
    context.set_offline(False)
    again = open_window()

    link = again.chats.get_by_role("link", name="From the tunnel")
    link.click()
    expect(again.questions.last).to_have_text("From the tunnel")
    expect(again.answers.last).to_have_text("You made it.")
    again.until_stored()


def test_two_chats_stream_at_once_and_the_list_shows_which(open_window: Open, model: ScriptedModel) -> None:
    first, second = threading.Event(), threading.Event()
    window = open_window()
    model.plays(token("Apples "), wait_for(first), token("are red."), *END)
    window.say("About apples")
    expect(window.answers.last).to_have_text("Apples")
    window.page.get_by_role("link", name="New chat").click()
    expect(window.questions).to_have_count(0)
    model.plays(token("Pears "), wait_for(second), token("are green."), *END)
    window.say("About pears")
    expect(window.answers.last).to_have_text("Pears")
    apples = window.chats.get_by_role("link", name="About apples")
    expect(apples).to_contain_text("answer under way")
    apples.click()
    expect(window.answers.last).to_have_text("Apples")
    pears = window.chats.get_by_role("link", name="About pears")
    expect(pears).to_contain_text("answer under way")
    second.set()
    expect(pears).not_to_contain_text("answer under way")
    expect(window.answers.last).to_have_text("Apples")
    first.set()
    expect(window.answers.last).to_have_text("Apples are red.")
    pears.click()

    expect(window.answers.last).to_have_text("Pears are green.")


def test_a_failed_answer_keeps_the_question_and_trying_again_answers_it(
    open_window: Open, model: ScriptedModel, api: httpx2.Client
) -> None:
    window = open_window()
    window.say("Works")
    window.until_stored()
    model.plays(status(400))
    window.say("Fails first")
    expect(window.page.get_by_text("The model refused the request.")).to_be_visible()
    model.plays(token("Now it works."), *END)
    window.press("Try again")

    expect(window.answers.last).to_have_text("Now it works.")
    expect(window.questions).to_have_count(2)
    window.until_over()
    window.page.reload()
    expect(window.answers.last).to_have_text("Now it works.")
    expect(window.questions).to_have_count(2)
