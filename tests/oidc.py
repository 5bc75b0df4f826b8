"""An OIDC provider on loopback for tests: real discovery and JWKS over HTTP, tokens signed by keys made here.

with OidcProvider() as provider:
    settings = AuthSettings(provider.issuer, provider.audience)
    token = provider.token("alice", ["team"])       # any claim can be overridden; None leaves it out
    provider.rotate(); provider.down = True; provider.hits["/jwks"]
    provider.answers.clear()                        # every request waits until provider.answers.set()
"""

import json
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

DISCOVERY = "/.well-known/openid-configuration"
JWKS = "/jwks"
_spare: list[rsa.RSAPrivateKey] = []  # of providers that are gone: making one takes longer than most tests


class OidcProvider:
    """One issuer. `hits` counts requests by path; `down` makes it answer 503; `discovery` and `keys` may be altered at will."""

    audience = "chat-client"

    def __init__(self) -> None:
        self.hits: Counter[str] = Counter()
        self.down = False
        self.answers = Event()
        self.answers.set()
        self.keys: list[dict[str, Any]] = []
        self._made: list[rsa.RSAPrivateKey] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        self.discovery: dict[str, Any] = {"issuer": self.issuer, "jwks_uri": self.issuer + JWKS}
        self.rotate()

    def __enter__(self) -> Self:
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.answers.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        _spare.extend(self._made)

    def rotate(self) -> None:
        """A new key takes the place of the old one."""
        self.key = _spare.pop() if _spare else rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._made.append(self.key)
        self.kid = f"key-{time.monotonic_ns()}"
        public = json.loads(RSAAlgorithm.to_jwk(self.key.public_key()))
        self.keys = [{**public, "kid": self.kid, "use": "sig", "alg": "RS256"}]

    def add_elliptic_key(self) -> tuple[ec.EllipticCurvePrivateKey, str]:
        """A second key, of another kind, beside the first."""
        key = ec.generate_private_key(ec.SECP256R1())
        public = json.loads(ECAlgorithm.to_jwk(key.public_key()))
        self.keys.append({**public, "kid": "elliptic", "use": "sig", "alg": "ES256"})
        return key, "elliptic"

    def claims(self, sub: str = "alice", workspaces: list[str] | None = None, **overrides: Any) -> dict[str, Any]:
        """The claims of a good access token; an override of None leaves the claim out."""
        now = int(time.time())
        good = {"iss": self.issuer, "aud": self.audience, "sub": sub, "exp": now + 600, "iat": now, "workspaces": workspaces}
        return {name: value for name, value in {**good, **overrides}.items() if value is not None}

    def token(self, sub: str = "alice", workspaces: list[str] | None = None, **overrides: Any) -> str:
        """A signed access token."""
        return jwt.encode(self.claims(sub, workspaces, **overrides), self.key, "RS256", headers={"kid": self.kid})

    def public_pem(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _handler_of(provider: OidcProvider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.hits[self.path] += 1
            provider.answers.wait(10)
            documents: dict[str, Any] = {DISCOVERY: provider.discovery, JWKS: {"keys": provider.keys}}
            body = json.dumps(documents.get(self.path, {})).encode()
            self.send_response(503 if provider.down else 200 if self.path in documents else 404)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
            """A test's output is its own."""

    return Handler
