"""Nothing of a person is left in the browser once they signed out, or somebody else signed in; what was under way is saved."""

import base64
import json
import threading
from collections.abc import Callable, Iterator, Sequence

import httpx2
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect

from local.model.script import ScriptedModel, Step, done, finish, token, usage, wait_for
from local.system import LocalSystem
from tests.e2e.web.sign_in_page import SignInPage
from tests.e2e.web.window import Window
from tests.oidc import OidcProvider

END: Sequence[Step] = (finish(), usage(3, 4), done())

EVERYTHING = """async () => {
    const kept = [...Object.entries(localStorage), ...Object.entries(sessionStorage), document.cookie];
    const rows = await new Promise((resolve) => {
        const opening = indexedDB.open('chat-outbox');
        opening.onsuccess = () => {
            const names = [...opening.result.objectStoreNames];
            if (!names.length) return resolve([]);
            const all = opening.result.transaction(names).objectStore(names[0]).getAll();
            all.onsuccess = () => { opening.result.close(); resolve(all.result) };
        };
    });
    const boxes = [...document.querySelectorAll('input, textarea, select')].map((box) => box.value);
    return JSON.stringify([kept, rows, boxes, document.title, document.body.innerText, location.href, history.state]);
}"""

Tab = Callable[[], Window]


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context()
    yield context
    context.close()


@pytest.fixture
def open_tab(context: BrowserContext, guarded: LocalSystem, model: ScriptedModel, sign_in_page: SignInPage) -> Tab:
    """Another tab of the same browser."""
    return lambda: Window.on(context, guarded.url).open("/new")


def sign_in(window: Window, name: str = "Alice Example") -> None:
    window.press("Sign in")
    expect(window.page.get_by_text(name)).to_be_visible()


def expect_signed_out(window: Window) -> None:
    expect(window.page.get_by_role("button", name="Sign in")).to_be_visible()


def sign_out(window: Window) -> None:
    """Presses it, and goes the whole way: to the issuer, and back."""
    window.press("Sign out")
    window.page.wait_for_url("**/")
    expect_signed_out(window)


def expect_nothing_of(secret: str, page: Page) -> None:
    """Nothing that can be read or is kept has the secret in it; what is removed from the database has a moment for that."""
    page.wait_for_function(f"async () => !(await ({EVERYTHING})()).includes({secret!r})", timeout=5_000)
    assert secret not in page.evaluate(EVERYTHING)


def subject_of(request: Request) -> str | None:
    """Who a request is from."""
    header = request.headers.get("authorization")
    if header is None:
        return None
    part = header.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))["sub"])


@pytest.fixture
def alices_api(guarded: LocalSystem, shared_page: SignInPage) -> Iterator[httpx2.Client]:
    headers = {"authorization": f"Bearer {shared_page.provider.token('alice', ['team-blue'])}"}
    with httpx2.Client(base_url=guarded.url, headers=headers) as client:
        yield client


def stored_by(api: httpx2.Client, title: str) -> list[str]:
    """The messages of the chat of that title, once its answer is stored."""
    for _ in range(100):
        for item in api.get("/api/conversations").json()["items"]:
            if item["title"] != title:
                continue
            messages = api.get(f"/api/conversations/{item['id']}").json()["messages"]
            if messages[-1]["role"] == "assistant" and messages[-1]["status"] != "streaming":
                return [message["content"] for message in messages if message["parentId"]]
        threading.Event().wait(0.1)
    raise AssertionError(f"{title!r} was not stored")


def test_who_signs_out_while_an_answer_streams_leaves_nothing_to_the_next_person_in_that_tab(
    open_tab: Tab, sign_in_page: SignInPage, model: ScriptedModel, alices_api: httpx2.Client
) -> None:
    go = threading.Event()
    model.plays(token("SECRET one, "), wait_for(go), token("SECRET two."), *END)
    window = open_tab()
    sign_in(window)
    window.say("SECRET question")
    expect(window.answers.last).to_have_text("SECRET one,")
    window.box.fill("SECRET draft")
    sign_out(window)
    expect_nothing_of("SECRET", window.page)

    asked: list[tuple[str, str | None]] = []
    window.page.on("request", lambda request: asked.append((request.method, subject_of(request))))
    sign_in_page.person = "bob"
    sign_in(window, "Bob Example")
    assert window.path == "/new"
    expect(window.box).to_have_value("")
    go.set()
    assert stored_by(alices_api, "SECRET question") == ["SECRET question", "SECRET one, SECRET two."]
    window.say("Bob's own")
    window.until_stored()
    expect_nothing_of("SECRET", window.page)
    assert {who for _, who in asked} <= {None, "bob"}


def test_who_signs_out_is_signed_out_in_every_tab_and_leaves_nothing_in_any(
    open_tab: Tab, model: ScriptedModel, alices_api: httpx2.Client
) -> None:
    go = threading.Event()
    model.plays(token("SECRET one, "), wait_for(go), token("SECRET two."), *END)
    first, second = open_tab(), open_tab()
    for window in (first, second):
        sign_in(window)
    second.say("SECRET elsewhere")
    expect(second.answers.last).to_have_text("SECRET one,")
    second.box.fill("SECRET draft")
    sign_out(first)
    expect_signed_out(second)
    for window in (first, second):
        expect_nothing_of("SECRET", window.page)
    go.set()
    assert stored_by(alices_api, "SECRET elsewhere") == ["SECRET elsewhere", "SECRET one, SECRET two."]


def test_who_signs_in_in_another_tab_ends_the_session_of_who_was_there(open_tab: Tab, sign_in_page: SignInPage) -> None:
    alices = open_tab()
    sign_in(alices)
    alices.say("SECRET question")
    alices.until_stored()
    sign_in_page.person, sign_in_page.known = "bob", ""
    bobs = open_tab()
    sign_in(bobs, "Bob Example")

    expect_signed_out(alices)
    expect(bobs.page.get_by_text("Bob Example")).to_be_visible()
    for window in (alices, bobs):
        expect_nothing_of("SECRET", window.page)
    bobs.page.reload()
    expect(bobs.page.get_by_text("Bob Example")).to_be_visible()


def test_a_tab_that_was_closed_before_the_sign_out_is_signed_out_when_it_is_opened_again(
    open_tab: Tab, context: BrowserContext, guarded: LocalSystem
) -> None:
    first, second = open_tab(), open_tab()
    for window in (first, second):
        sign_in(window)
    second.say("SECRET question")
    second.until_stored()
    kept = second.run("() => JSON.stringify(sessionStorage)")
    second.page.close()
    sign_out(first)

    page = context.new_page()
    page.goto(guarded.url + "/icon.svg")
    page.evaluate("(kept) => Object.entries(JSON.parse(kept)).forEach((entry) => sessionStorage.setItem(...entry))", kept)
    page.goto(guarded.url + "/new")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    expect_nothing_of("SECRET", page)
    assert "access_token" not in page.evaluate(EVERYTHING)


def test_signing_out_without_a_network_leaves_nothing_and_the_next_sign_in_asks_who_is_there(
    open_tab: Tab, context: BrowserContext, sign_in_page: SignInPage
) -> None:
    window = open_tab()
    sign_in(window)
    window.say("SECRET and stored")
    window.until_stored()
    window.until_over()
    context.set_offline(True)
    window.say("SECRET and unsent")
    expect(window.page.get_by_text("One message is not saved yet. Signing out deletes it.")).to_be_visible()
    window.press("Sign out")
    expect_signed_out(window)
    expect(window.page.get_by_text("The sign-in page could not be reached")).to_be_visible()
    expect_nothing_of("SECRET", window.page)

    context.set_offline(False)
    assert sign_in_page.known == "alice", "the issuer has not heard of it"
    sign_in_page.person = "bob"
    sign_in(window, "Bob Example")
    assert sign_in_page.asked["prompt"] == "login"
    expect_nothing_of("SECRET", window.page)


def test_a_message_that_met_the_end_of_a_session_is_not_sent_in_the_name_of_who_signs_in_next(
    open_tab: Tab, sign_in_page: SignInPage, model: ScriptedModel
) -> None:
    window = open_tab()
    sign_in(window)
    refusal = {"type": "about:blank", "title": "Unauthorized", "status": 401, "code": "unauthenticated"}
    window.page.route("**/api/chat", lambda route: route.fulfill(status=401, json=refusal))
    window.box.fill("SECRET question")
    window.box.press("Enter")
    expect_signed_out(window)
    assert "SECRET" not in window.page.content()
    expect(window.page.get_by_text("is kept in this browser for whoever wrote it")).to_be_visible()
    window.page.unroute("**/api/chat")
    sign_in_page.person, sign_in_page.known = "bob", ""
    requests = len(model.requests)
    sign_in(window, "Bob Example")

    expect_nothing_of("SECRET", window.page)
    window.say("Bob's own")
    window.until_stored()
    assert not [one for one in model.requests[requests:] if "SECRET" in str(one.body)]


def test_what_is_kept_after_the_end_of_a_session_can_be_deleted_without_signing_in(open_tab: Tab) -> None:
    window = open_tab()
    sign_in(window)
    window.page.route("**/api/chat", lambda route: route.fulfill(status=401, json={"code": "unauthenticated"}))
    window.box.fill("SECRET question")
    window.box.press("Enter")
    expect_signed_out(window)
    window.press("Delete it")
    expect(window.page.get_by_text("is kept in this browser")).to_have_count(0)
    expect_nothing_of("SECRET", window.page)


def test_signing_out_revokes_the_refresh_token_and_ends_the_issuers_session(open_tab: Tab, sign_in_page: SignInPage) -> None:
    sign_in_page.first = {"refresh_token": "for later"}
    window = open_tab()
    sign_in(window)
    sign_out(window)

    [left] = sign_in_page.left
    assert left["post_logout_redirect_uri"] == f"{window.url}/"
    assert left["id_token_hint"]
    assert sign_in_page.revoked == ["for later"]
    sign_in_page.person = "bob"
    sign_in(window, "Bob Example")


@pytest.fixture
def cognito(browser: Browser, shared_model: ScriptedModel, shared_page: SignInPage) -> Iterator[LocalSystem]:
    """The system with an issuer whose sign-out takes Cognito's names."""
    env = {
        "OPENAI_BASE_URL": shared_model.url, "OPENAI_API_KEY": "none", "OIDC_ISSUER": shared_page.issuer,
        "OIDC_AUDIENCE": OidcProvider.audience, "OIDC_LOGOUT_URL": f"{shared_page.issuer}/logout",
        "CHAT_STRICT_EDGE": "1",
    }  # fmt: skip
    with LocalSystem(env) as system:
        yield system


def test_signing_out_goes_by_the_issuers_own_names_where_it_has_some(
    cognito: LocalSystem, context: BrowserContext, sign_in_page: SignInPage, model: ScriptedModel
) -> None:
    window = Window.on(context, cognito.url).open("/new")
    sign_in(window)
    sign_out(window)

    assert sign_in_page.left == [{"client_id": OidcProvider.audience, "logout_uri": f"{window.url}/"}]


def test_a_failed_question_of_one_workspace_is_not_listed_in_another_and_goes_back_to_its_own(open_tab: Tab) -> None:
    window = open_tab()
    sign_in(window)
    refusal = {"type": "about:blank", "title": "Quota", "status": 429, "code": "quota_exceeded"}
    window.page.route("**/api/chat", lambda route: route.fulfill(status=429, json=refusal))
    window.box.fill("Private plans")
    window.box.press("Enter")
    expect(window.page.get_by_text("Your quota is used up for now.")).to_be_visible()
    window.page.unroute("**/api/chat")
    workspace = window.page.get_by_role("combobox", name="Workspace")
    workspace.select_option("team-blue")
    expect(window.questions).to_have_count(0)
    expect(window.chats.get_by_role("link", name="Private plans")).to_have_count(0)

    workspace.select_option("Personal")
    window.chats.get_by_role("link", name="Private plans").click()
    with window.page.expect_request("**/api/chat") as sent:
        window.press("Try again")
    assert "workspaceId" not in json.loads(sent.value.post_data or "")
    window.until_stored()
    workspace.select_option("team-blue")
    expect(window.chats.get_by_role("link", name="Private plans")).to_have_count(0)
