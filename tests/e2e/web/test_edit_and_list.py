"""Editing, versions, regenerating, copying; renaming, deleting, exporting and searching."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import expect

from local.model.script import ScriptedModel, done, finish, token, usage
from tests.e2e.web.window import Open, Window


def answers(model: ScriptedModel, *texts: str) -> None:
    for text in texts:
        model.plays(token(text), finish(), usage(3, 4), done())


def stored_chat(open_window: Open, model: ScriptedModel, question: str, answer: str) -> Window:
    answers(model, answer)
    window = open_window()
    window.say(question)
    window.until_stored()
    return window


def test_an_edit_makes_a_branch_and_both_can_be_shown(open_window: Open, model: ScriptedModel, api: httpx2.Client) -> None:
    window = stored_chat(open_window, model, "Name a colour", "Red.")
    answers(model, "Oak.")
    window.box.press("ArrowUp")
    editor = window.page.get_by_role("textbox", name="Edit your message")
    expect(editor).to_be_focused()
    editor.fill("Name a tree")
    editor.press("Enter")
    expect(window.answers.last).to_have_text("Oak.")
    expect(window.box).to_be_focused()
    expect(window.questions).to_have_text(["Name a tree"])
    window.until_over()

    window.press("Previous version")
    expect(window.questions).to_have_text(["Name a colour"])
    expect(window.answers.last).to_have_text("Red.")
    answers(model, "Blue, then.")
    window.say("Another one")
    expect(window.answers.last).to_have_text("Blue, then.")
    window.until_over()
    assert "Name a tree" not in json.dumps(model.requests[-1].body), "the model is asked the branch on screen"

    stored = api.get(f"/api/conversations/{window.conversation_id}").json()["messages"]
    by_content = {one["content"]: one for one in stored}
    assert by_content["Name a tree"]["parentId"] == by_content["Name a colour"]["parentId"]
    assert by_content["Another one"]["parentId"] == by_content["Red."]["id"]


def test_editing_the_question_of_a_long_answer_brings_it_into_view_and_its_new_answer_after_it(
    open_window: Open, model: ScriptedModel
) -> None:
    long = "\n\n".join(f"Paragraph {number} of an answer." for number in range(60))
    window = stored_chat(open_window, model, "At length, please", long)
    expect(window.page.get_by_text("Paragraph 59 of an answer.")).to_be_in_viewport()
    answers(model, f"{long}\n\nThe end of it.")
    window.box.press("ArrowUp")
    editor = window.page.get_by_role("textbox", name="Edit your message")
    expect(editor).to_be_focused()
    expect(editor).to_be_in_viewport()
    editor.press("End")
    editor.type(" now")
    expect(editor).to_be_in_viewport()
    editor.press("Enter")
    expect(window.page.get_by_text("The end of it.")).to_be_in_viewport()


def test_regenerating_gives_a_second_version_of_the_answer(open_window: Open, model: ScriptedModel) -> None:
    window = stored_chat(open_window, model, "Say something", "Something.")
    answers(model, "Something else.")
    window.press("Regenerate")
    expect(window.answers.last).to_have_text("Something else.")
    expect(window.page.get_by_text("2 / 2")).to_be_visible()
    window.press("Previous version")
    expect(window.answers.last).to_have_text("Something.")
    window.page.reload()
    expect(window.answers.last).to_have_text("Something.")
    expect(window.page.get_by_text("1 / 2")).to_be_visible()


def test_what_was_written_in_the_first_version_is_shown_again_with_and_without_a_memory_of_it(
    open_window: Open, model: ScriptedModel
) -> None:
    window = stored_chat(open_window, model, "Say something", "Something.")
    answers(model, "Something else.")
    window.press("Regenerate")
    expect(window.answers.last).to_have_text("Something else.")
    window.until_over()
    window.press("Previous version")
    for number in range(3):
        answers(model, f"Answer {number}.")
        window.say(f"Question {number}")
        expect(window.answers.last).to_have_text(f"Answer {number}.")
        window.until_over()
    path = window.path
    for forget in ("() => {}", "() => localStorage.clear()"):
        window.run(forget)
        window.page.reload()
        expect(window.answers.last).to_have_text("Answer 2.")
    answers(model, "After all.")
    window.say("And on")
    expect(window.answers.last).to_have_text("After all.")
    assert "Question 2" in json.dumps(model.requests[-1].body), "the model is asked the branch on screen"
    assert window.path == path


def test_another_tabs_chats_titles_and_deletions_appear_without_a_reload(open_window: Open, model: ScriptedModel) -> None:
    there = open_window()
    here = stored_chat(open_window, model, "Written elsewhere", "Fine.")
    link = there.chats.get_by_role("link", name="Written elsewhere")
    expect(link).to_be_visible()
    link.click()
    expect(there.answers.last).to_have_text("Fine.")

    answers(model, "More of it.")
    here.say("Go on")
    expect(there.answers.last).to_have_text("More of it.")

    here.chats.get_by_role("button", name=re.compile("Actions for")).first.click()
    here.page.get_by_role("menuitem", name="Rename").click()
    here.page.get_by_role("textbox", name="New title").fill("Called otherwise")
    here.page.get_by_role("textbox", name="New title").press("Enter")
    expect(there.chats.get_by_role("link", name="Called otherwise")).to_be_visible()
    expect(there.page.get_by_role("heading", level=1)).to_have_text("Called otherwise")

    here.chats.get_by_role("button", name=re.compile("Actions for")).first.click()
    here.page.get_by_role("menuitem", name="Delete").click()
    expect(there.chats.get_by_role("link", name="Called otherwise")).to_have_count(0)


def test_a_fresh_visit_lists_the_chats_by_itself(open_window: Open, model: ScriptedModel) -> None:
    window = stored_chat(open_window, model, "In the list", "Fine.")
    window.run("() => localStorage.clear()")
    window.open("/new")
    expect(window.chats.get_by_role("link", name="In the list")).to_be_visible()


def test_copying_takes_the_markdown(open_window: Open, model: ScriptedModel) -> None:
    window = stored_chat(open_window, model, "Be bold", "**Bold.**")
    window.press("Copy")
    assert window.run("() => navigator.clipboard.readText()") == "**Bold.**"


def test_rename_export_delete_and_undo(open_window: Open, model: ScriptedModel, api: httpx2.Client, tmp_path: Path) -> None:
    window = stored_chat(open_window, model, "To be renamed", "Fine.")
    conversation_id = window.conversation_id
    actions = window.chats.get_by_role("button", name=re.compile("Actions for (To be renamed|A better title)"))
    item = window.chats.get_by_role("link", name="A better title")

    actions.click()
    window.page.get_by_role("menuitem", name="Rename").click()
    box = window.page.get_by_role("textbox", name="New title")
    box.fill("A better title")
    with window.page.expect_response(lambda response: response.request.method == "PATCH"):
        box.press("Enter")
    expect(item).to_be_visible()
    expect(window.page.get_by_role("heading", level=1)).to_have_text("A better title")
    assert api.get(f"/api/conversations/{conversation_id}").json()["title"] == "A better title"

    actions.click()
    with window.page.expect_download() as download:
        window.page.get_by_role("menuitem", name="Export").click()
    exported = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert [one["content"] for one in exported["messages"]][1:] == ["To be renamed", "Fine."]

    actions.click()
    window.page.get_by_role("menuitem", name="Delete").click()
    expect(item).to_have_count(0)
    assert window.path == "/new"
    window.press("Undo")
    expect(item).to_be_visible()
    assert api.get(f"/api/conversations/{conversation_id}").status_code == 200

    actions.click()
    window.page.get_by_role("menuitem", name="Delete").click()
    expect(item).to_have_count(0)
    window.page.reload()  # whoever leaves the page has had the time for an undo
    while api.get(f"/api/conversations/{conversation_id}").status_code != 404:
        time.sleep(0.05)  # the request outlives the page that sent it
    expect(item).to_have_count(0)


def test_the_search_finds_by_title(open_window: Open, model: ScriptedModel) -> None:
    window = stored_chat(open_window, model, "Zebra crossings", "Striped.")
    window.page.keyboard.press("Control+k")
    search = window.page.get_by_role("searchbox", name="Search chats")
    expect(search).to_be_focused()
    search.fill("zebra")
    expect(window.chats.get_by_role("listitem")).to_have_count(1)
    search.fill("no such thing")
    expect(window.page.get_by_text("No chat is called “no such thing”.")).to_be_visible()
    search.press("Escape")
    expect(window.chats.get_by_role("link", name="Zebra crossings")).to_be_visible()


@pytest.mark.slow
def test_the_list_goes_on_as_far_as_it_is_scrolled(open_window: Open, model: ScriptedModel, api: httpx2.Client) -> None:
    def store(number: int) -> None:
        body = {"messages": [{"role": "user", "content": f"One of many, {number}"}]}
        assert '"complete"' in api.post("/api/chat", json=body).text

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(store, range(45)))
    while sum("One of many" in one["title"] for one in api.get("/api/conversations?limit=100").json()["items"]) < 45:
        time.sleep(0.1)  # the last of them are on their way through the queue
    window = open_window()
    window.chats.hover()
    many = window.chats.get_by_role("link", name="One of many")
    expect(many.first).to_be_visible()
    assert many.count() <= 40
    window.page.wait_for_function("""() => {
        const list = document.querySelector('.chats');
        list.scrollTop = list.scrollHeight;
        return !list.innerText.includes('Load more');
    }""")
    expect(many).to_have_count(45)


def test_a_chat_that_is_not_there_says_so_and_offers_a_way_on(open_window: Open) -> None:
    window = open_window("/chat/01890000-0000-7000-8000-000000000000")
    expect(window.page.get_by_text("This chat is not there.")).to_be_visible()
    window.page.get_by_role("link", name="Start a new chat").click()
    expect(window.box).to_be_visible()
