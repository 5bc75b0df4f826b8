"""Sign-in by code flow with PKCE, against a provider on loopback that checks the proof; workspaces of the token."""

import base64
import hashlib
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlparse

import pytest
from playwright.sync_api import Browser, expect

from local.model.script import ScriptedModel
from local.system import LocalSystem
from tests.e2e.web.window import Window
from tests.oidc import DISCOVERY, JWKS, OidcProvider


class SignInPage:
    """What OidcProvider lacks for a browser: the page that sends a code back, and the exchange of the code for tokens."""

    def __init__(self, provider: OidcProvider) -> None:
        self.provider = provider
        self.asked: dict[str, str] = {}
        self.exchanges = 0
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
        """Tokens, if the verifier is the one whose challenge came with the code's request (RFC 7636 section 4.6)."""
        self.exchanges += 1
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        if base64.urlsafe_b64encode(digest).decode().rstrip("=") != self.asked["code_challenge"]:
            return None
        identity = self.provider.token("alice", aud=self.provider.audience, name="Alice Example")
        return {
            "access_token": self.provider.token("alice", ["team-blue"]),
            "id_token": identity,
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


@pytest.fixture
def sign_in_page() -> Iterator[SignInPage]:
    page = SignInPage(OidcProvider())
    yield page
    page.close()


def test_signing_in_comes_back_to_the_chat_and_offers_the_tokens_workspaces(
    browser: Browser, model: ScriptedModel, sign_in_page: SignInPage
) -> None:
    env = {
        "OPENAI_BASE_URL": model.url,
        "OPENAI_API_KEY": "none",
        "OIDC_ISSUER": sign_in_page.issuer,
        "OIDC_AUDIENCE": OidcProvider.audience,
    }
    context = browser.new_context()
    with LocalSystem(env) as system:
        window = Window.on(context, system.url).open("/new")
        window.page.get_by_role("button", name="Sign in").click()
        expect(window.page.get_by_text("Alice Example")).to_be_visible()
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
        window.page.get_by_role("button", name="Sign out").click()
        expect(window.page.get_by_role("button", name="Sign in")).to_be_visible()
    context.close()
