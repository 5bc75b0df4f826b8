"""Sign-in by code flow with PKCE, against a provider on loopback that checks the proof; renewal; workspaces of the token."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Route, expect

from local.model.script import ScriptedModel, done, finish, token, usage
from local.system import LocalSystem
from tests.e2e.web.sign_in_page import SignInPage
from tests.e2e.web.window import Window


@pytest.fixture
def window(browser: Browser, guarded: LocalSystem, model: ScriptedModel) -> Iterator[Window]:
    """A tab in which nobody is signed in yet."""
    context = browser.new_context()
    yield Window.on(context, guarded.url).open("/new")
    context.close()


def sign_in(window: Window) -> None:
    window.press("Sign in")
    expect(window.page.get_by_text("Alice Example")).to_be_visible()


def test_signing_in_comes_back_to_the_chat_and_offers_the_tokens_workspaces(window: Window, sign_in_page: SignInPage) -> None:
    sign_in(window)
    assert window.path == "/new"
    assert sign_in_page.asked["code_challenge_method"] == "S256"
    window.say("Mine")
    window.until_stored()

    window.page.reload()
    expect(window.questions.last).to_have_text("Mine")
    assert sign_in_page.exchanges == 1, "the session of the tab is kept"
    window.page.get_by_role("combobox", name="Workspace").select_option("team-blue")
    expect(window.chats.get_by_role("link", name="Mine")).to_have_count(0)
    window.say("Ours")
    window.until_stored()
    expect(window.chats.get_by_role("link", name="Ours")).to_be_visible()
    window.page.get_by_role("combobox", name="Workspace").select_option("Personal")
    expect(window.chats.get_by_role("link", name="Mine")).to_be_visible()
    expect(window.chats.get_by_role("link", name="Ours")).to_have_count(0)
    window.press("Sign out")
    expect(window.page.get_by_role("button", name="Sign in")).to_be_visible()


@pytest.mark.parametrize(
    ("first", "claims"),
    [
        pytest.param({"expires_in": 62}, {}, id="when it nears its end"),
        pytest.param({}, {"exp": int(time.time()) - 600}, id="when the server refuses it"),
    ],
)
def test_a_session_is_renewed_without_a_word(
    window: Window, sign_in_page: SignInPage, first: dict[str, Any], claims: dict[str, Any]
) -> None:
    sign_in_page.first = {**first, "refresh_token": "for later"}
    sign_in_page.first_claims = claims
    window.press("Sign in")
    with window.page.expect_response(lambda response: "grant_type=refresh_token" in (response.request.post_data or "")):
        expect(window.page.get_by_text("Alice Example")).to_be_visible()
    window.say("Still here")
    window.until_stored()

    assert (sign_in_page.exchanges, sign_in_page.renewals) == (1, 1)


def test_a_message_that_met_the_end_of_the_session_goes_out_after_the_next_sign_in(window: Window, model: ScriptedModel) -> None:
    sign_in(window)
    refusal = {"type": "about:blank", "title": "Unauthorized", "status": 401, "code": "unauthenticated"}
    window.page.route("**/api/chat", lambda route: route.fulfill(status=401, json=refusal))
    window.box.fill("Too late?")
    window.box.press("Enter")
    expect(window.page.get_by_role("button", name="Sign in")).to_be_visible()
    window.page.unroute("**/api/chat")
    model.plays(token("Just in time."), finish(), usage(3, 4), done())
    sign_in(window)

    expect(window.questions.last).to_have_text("Too late?")
    expect(window.answers.last).to_have_text("Just in time.")
    window.until_stored()


def test_a_renewal_that_meets_no_network_signs_nobody_out(window: Window, sign_in_page: SignInPage) -> None:
    sign_in_page.first = {"refresh_token": "for later"}
    sign_in_page.first_claims = {"exp": int(time.time()) - 600}  # the server refuses the token: it has to be renewed
    asleep = 3
    renewals: list[str] = []

    def wake_up(route: Route) -> None:
        if route.request.method == "POST" and "refresh_token" in (route.request.post_data or ""):
            renewals.append(route.request.url)
        if 0 < len(renewals) <= asleep:
            route.abort("internetdisconnected")
        else:
            route.continue_()

    window.page.route(f"{sign_in_page.issuer}/**", wake_up)
    window.press("Sign in")
    window.say("After a sleep")
    window.until_stored()

    assert len(renewals) > asleep
    expect(window.page.get_by_text("Alice Example")).to_be_visible()
    assert sign_in_page.exchanges == 1


REFUSED = """for (const name of ['localStorage', 'sessionStorage', 'indexedDB'])
    Object.defineProperty(window, name, {get() { throw new DOMException('refused', 'SecurityError') }})"""
NO_ROOM = "Storage.prototype.setItem = () => { throw new DOMException('no room', 'QuotaExceededError') }"


@pytest.mark.parametrize("storage", [pytest.param(REFUSED, id="refused"), pytest.param(NO_ROOM, id="full")])
def test_signing_in_works_where_the_browser_keeps_nothing(
    storage: str, browser: Browser, guarded: LocalSystem, sign_in_page: SignInPage, model: ScriptedModel
) -> None:
    context = browser.new_context()
    context.add_init_script(f"if (location.origin === {guarded.url!r}) {{ {storage} }}")
    window = Window.on(context, guarded.url).open("/new")
    sign_in(window)
    window.say("Kept by the server alone")
    window.until_stored()
    window.press("Sign out")
    expect(window.page.get_by_role("button", name="Sign in")).to_be_visible()
    context.close()
