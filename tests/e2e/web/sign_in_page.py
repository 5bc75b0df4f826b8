"""A provider's sign-in page on loopback, for browsers: code flow with a checked proof, renewal, sign-out, revocation."""

import base64
import hashlib
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlparse

from tests.oidc import DISCOVERY, JWKS, OidcProvider


class SignInPage:
    """What OidcProvider lacks for a browser: the page that sends a code back, the exchange of the code for tokens, and sign-out.

    `person` is who signs in when asked; `known` is who is still signed in here, and so is not asked. `first` alters the answer to
    the first exchange of a code; `first_claims` the claims of the access token in it. `left` are the sign-outs, as their queries,
    `revoked` the tokens that were taken back.
    """

    def __init__(self, provider: OidcProvider) -> None:
        self.provider = provider
        self.begin_again()
        self.asked: dict[str, str] = {}
        self.first: dict[str, Any] = {}
        self.first_claims: dict[str, Any] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self.issuer = provider.issuer = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def begin_again(self) -> None:
        """As for the first test: nobody is signed in, and nothing has been asked."""
        self.person, self.known = "alice", ""
        self.exchanges = self.renewals = 0
        self.left: list[dict[str, str]] = []
        self.revoked: list[str] = []

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
                "end_session_endpoint": f"{at}/end",
                "revocation_endpoint": f"{at}/revoke",
            },
            JWKS: {"keys": self.provider.keys},
        }
        return documents.get(path)

    def authorize(self, query: dict[str, str]) -> str:
        self.asked = query
        if not self.known or query.get("prompt") == "login":
            self.known = self.person
        return f"{query['redirect_uri']}?{urlencode({'code': 'one-time', 'state': query['state']})}"

    def end(self, query: dict[str, str]) -> str:
        self.left.append(query)
        self.known = ""
        return query.get("post_logout_redirect_uri") or query["logout_uri"]

    def exchange(self, form: dict[str, str]) -> dict[str, Any] | None:
        """Tokens for a code, if the verifier is the one whose challenge came with its request (RFC 7636 section 4.6)."""
        if "token" in form:
            self.revoked.append(form["token"])
            return {"revoked": True}
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
            "access_token": self.provider.token(self.known, ["team-blue"], **claims),
            "id_token": self.provider.token(self.known, aud=self.provider.audience, name=f"{self.known.title()} Example"),
            "token_type": "Bearer",
            "expires_in": 600,
        }


def _handler_of(page: SignInPage) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlparse(self.path)
            query = dict(parse_qsl(parts.query))
            if parts.path in ("/authorize", "/end", "/logout"):
                self.send_response(302)
                self.send_header("location", page.authorize(query) if parts.path == "/authorize" else page.end(query))
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
