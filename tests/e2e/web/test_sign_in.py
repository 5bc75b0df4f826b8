"""Sign-in by code flow with PKCE, against a provider on loopback that checks the proof; renewal; workspaces of the token."""

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlparse

import pytest
from playwright.sync_api import Browser, expect

from local.model.script import ScriptedModel, done, finish, token, usage
from local.system import LocalSystem
from tests.e2e.web.window import Window
from tests.oidc import DISCOVERY, JWKS, OidcProvider


class SignInPage:
    """What OidcProvider lacks for a browser: the page that sends a code back, and the exchange of the code for tokens.

    `first` alters the answer to the first exchange of a code; `first_claims` the claims of the access token in it.
    """

    def __init__(self, provider: OidcProvider) -> None:
        self.provider = provider
        self.asked: dict[str, str] = {}
        self.exchanges = 0
        self.renewals = 0
        self.first: dict[str, Any] = {}
        self.first_claims: dict[str, Any] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self.issuer = provider.issuer = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def document(self, path: str) -> dict[str, Any] | None:
        at = self.issuer
        documents: dict[str, dict[str, Any]] = {
            DISCOVERY: {
                "issuer": at,
                "jwks_uri": at + JWKS,
                "authorization_endpoint": f"{at}/authorize",
                "token_endpoint": f"{at}/token",
            },
            JWKS: {"keys": self.provider.keys},
        }
        return documents.get(path)

    def authorize(self, query: dict[str, str]) -> str:
        self.asked = query
        return f"{query['redirect_uri']}?{urlencode({'code': 'one-time', 'state': query['state']})}"

    def exchange(self, form: dict[str, str]) -> dict[str, Any] | None:
        """Tokens for a code, if the verifier is the one whose challenge came with its request (RFC 7636 section 4.6)."""
        if form["grant_type"] == "refresh_token":
            self.renewals += 1
            return self._tokens() if form["refresh_token"] == "for later" else None
        self.exchanges += 1
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        if base64.urlsafe_b64encode(digest).decode().rstrip("=") != self.asked["code_challenge"]:
            return None
        tokens = {**self._tokens(**self.first_claims), **self.first}
        self.first, self.first_claims = {}, {}
        return tokens

    def _tokens(self, **claims: Any) -> dict[str, Any]:
        return {
            "access_token": self.provider.token("alice", ["team-blue"], **claims),
            "id_token": self.provider.token("alice", aud=self.provider.audience, name="Alice Example"),
            "token_type": "Bearer",
            "expires_in": 600,
        }


def _handler_of(page: SignInPage) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlparse(self.path)
            if parts.path == "/authorize":
                self.send_response(302)
                self.send_header("location", page.authorize(dict(parse_qsl(parts.query))))
                self.end_headers()
            else:
                self._answer(page.document(parts.path))

        def do_POST(self) -> None:
            form = dict(parse_qsl(self.rfile.read(int(self.headers["content-length"])).decode()))
            self._answer(page.exchange(form))

        def _answer(self, document: dict[str, Any] | None) -> None:
            body = json.dumps(document or {"error": "invalid_grant"}).encode()
            self.send_response(200 if document else 400)
            for name, value in (("content-type", "application/json"), ("access-control-allow-origin", "*")):
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
            """A test's output is its own."""

    return Handler


@pytest.fixture(scope="module")
def shared_page() -> Iterator[SignInPage]:
    with OidcProvider() as provider:
        page = SignInPage(provider)
        yield page
        page.close()


@pytest.fixture
def sign_in_page(shared_page: SignInPage) -> SignInPage:
    shared_page.exchanges = shared_page.renewals = 0
    return shared_page


@pytest.fixture(scope="module")
def guarded(browser: Browser, shared_model: ScriptedModel, shared_page: SignInPage) -> Iterator[LocalSystem]:
    """The system with sign-in; `browser` comes first so that nothing is started where there is none."""
    env = {
        "OPENAI_BASE_URL": shared_model.url,
        "OPENAI_API_KEY": "none",
        "OIDC_ISSUER": shared_page.issuer,
        "OIDC_AUDIENCE": OidcProvider.audience,
        "CHAT_STRICT_EDGE": "1",
    }
    with LocalSystem(env) as system:
        yield system


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
