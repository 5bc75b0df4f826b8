"""What the client does when the system behind it breaks: a queue that refuses, storage that is late, a worker that is killed."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence

import httpx2
import pytest
from playwright.sync_api import expect

from local.aws_server import FAULTS
from local.model.script import ScriptedModel, Step, done, finish, token, usage, wait_for
from local.system import LocalSystem
from tests.e2e.web.window import Open, Window

END: Sequence[Step] = (finish(), usage(3, 4), done())
Break = Callable[..., None]


@pytest.fixture
def stored_chat(open_window: Open) -> Window:
    window = open_window()
    window.say("First")
    window.until_stored()
    window.until_over()
    return window


@pytest.fixture
def break_aws(stack: LocalSystem) -> Iterator[Break]:
    """Sets which services of the embedded AWS fail, and how; none once the test is over."""

    def now_break(**services: dict[str, float]) -> None:
        httpx2.put(stack.aws_endpoint + FAULTS, json=services).raise_for_status()

    yield now_break
    now_break()


@pytest.fixture
def late_storage(stack: LocalSystem) -> Iterator[threading.Event]:
    """Persist stands still until the event is set or the test is over."""
    go_on = threading.Event()
    stack.kill("persist", signal.SIGSTOP)

    def resume() -> None:
        go_on.wait()
        stack.kill("persist", signal.SIGCONT)

    resuming = threading.Thread(target=resume)
    resuming.start()
    yield go_on
    go_on.set()
    resuming.join()


def test_an_answer_that_could_not_be_saved_is_kept_and_goes_along_with_the_next_message(
    stored_chat: Window, model: ScriptedModel, break_aws: Break, api: httpx2.Client
) -> None:
    window = stored_chat
    break_aws(sqs={"error": 1.0})
    model.plays(token("Precious words."), *END)
    window.say("Second")
    expect(window.page.get_by_text("The answer could not be saved.")).to_be_visible(timeout=30_000)
    break_aws()
    window.page.reload()
    expect(window.questions.last).to_have_text("Second")
    expect(window.answers.last).to_have_text("Precious words.")

    model.plays(token("Third answer."), *END)
    window.say("Third")
    expect(window.answers.last).to_have_text("Third answer.")
    window.until_over()
    asked = [one["content"] for one in model.requests[-1].body["messages"]]
    assert asked[-3:] == ["Second", "Precious words.", "Third"]
    window.page.reload()
    expect(window.questions).to_have_text(["First", "Second", "Third"])
    stored = api.get(f"/api/conversations/{window.conversation_id}").json()["messages"]
    assert [one["content"] for one in stored][-4:] == ["Second", "Precious words.", "Third", "Third answer."]


def test_trying_again_after_nothing_was_saved_stores_the_question_once(
    stored_chat: Window, model: ScriptedModel, break_aws: Break, api: httpx2.Client
) -> None:
    window = stored_chat
    break_aws(sqs={"error": 1.0})
    window.say("Second")
    expect(window.page.get_by_text("The answer could not be saved.")).to_be_visible(timeout=30_000)
    break_aws()
    model.plays(token("Saved now."), *END)
    window.press("Try again")
    expect(window.answers.last).to_have_text("Saved now.")
    window.until_over()

    stored = api.get(f"/api/conversations/{window.conversation_id}").json()["messages"]
    assert [one["content"] for one in stored].count("Second") == 1
    assert stored[-1]["content"] == "Saved now."


def test_a_reload_between_the_answer_and_its_conversation_waits_for_it(
    open_window: Open, model: ScriptedModel, late_storage: threading.Event, api: httpx2.Client
) -> None:
    model.plays(token("Said, not stored."), *END)
    window = open_window()
    window.say("Stored late")
    expect(window.page.get_by_text("Saving this chat…")).to_be_visible(timeout=30_000)
    window.page.reload()
    expect(window.answers.last).to_have_text("Said, not stored.")
    assert window.path == "/new"
    late_storage.set()

    stored = api.get(f"/api/conversations/{window.conversation_id}").json()["messages"]
    assert [one["content"] for one in stored][1:] == ["Stored late", "Said, not stored."]
    expect(window.answers.last).to_have_text("Said, not stored.")
    assert len([one for one in model.requests if "Stored late" in str(one.body)]) == 1


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_worker_killed_in_mid_answer_leaves_its_text_marked_interrupted(
    stored_chat: Window, model: ScriptedModel, stack: LocalSystem, api: httpx2.Client
) -> None:
    """Slow: a turn is taken for dead after 15 s without a sign of life."""
    never = threading.Event()
    window = stored_chat
    model.plays(token("Half of an answer"), wait_for(never), *END)
    window.say("Second")
    expect(window.answers.last).to_have_text("Half of an answer")
    url = f"/api/conversations/{window.conversation_id}"
    while api.get(url).json()["messages"][-1].get("content") != "Half of an answer":
        window.page.wait_for_timeout(100)  # the checkpoint that holds the text is written once a second
    stack.kill_chat_worker()
    stack.wait_for_restart()
    never.set()
    window.page.reload()

    expect(window.answers.last).to_have_text("Half of an answer", timeout=20_000)
    expect(window.page.get_by_text("The answer was interrupted.")).to_be_visible(timeout=60_000)
    expect(window.answers.last).to_have_text("Half of an answer")
    model.plays(token("The whole answer."), *END)
    window.press("Try again")
    expect(window.answers.last).to_have_text("The whole answer.")
    window.until_over()
    window.page.reload()
    expect(window.page.get_by_text("2 / 2")).to_be_visible()
