"""Bearer tokens: an OIDC access token is checked locally, against keys that are fetched rarely and kept through an outage.

    verifier = TokenVerifier(settings)
    caller = verifier.verify(header)             # CPU only; raises NeedKeys when the token's key is not at hand
    verifier.refresh()                           # one HTTP round trip at most, none within the cool-down

PyJWT does the cryptography. Its own PyJWKClient is not used: it asks the issuer again for every unknown key id, so a flood of
forged tokens becomes a flood of requests.
"""

import hashlib
import json
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import jwt

from functions.common.access import LOCAL_CALLER, MAX_WORKSPACES, Caller

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA")
COOL_DOWN_S: Final = 30.0  # at most one fetch of the keys per this
KEYS_FRESH_S: Final = 3600.0  # after this the keys are fetched anew, off the path of the request
_FETCH_TIMEOUT_S: Final = 3.0
_MAX_JWKS_BYTES: Final = 512 * 1024
_MAX_TOKEN_CHARS: Final = 16 * 1024
_MAX_SUB_CHARS: Final = 255  # OpenID Connect Core section 2: sub "MUST NOT exceed 255 ASCII characters"
_LEEWAY_S: Final = 5
_SEEN_S: Final = (
    300.0  # a token that held is checked again after this: a signature takes 0.3 ms, and a client sends many requests
)
_MOST_SEEN: Final = 1000


class Unauthenticated(Exception):
    """The request carries no token that this server accepts. Why is for the log, not for the caller."""


class NeedKeys(Exception):
    """The token names a key that is not at hand: `refresh` once, then verify again."""


class IssuerUnavailable(Exception):
    """No keys were ever fetched and the issuer does not answer."""


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """Who signs the tokens. No `issuer` means that authentication is off, which only a loopback server may be."""

    issuer: str | None
    audience: str | None
    workspaces_claim: str = "workspaces"

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "AuthSettings":
        """Raises ValueError when half of a provider is given, or none where a stranger could reach the server."""
        issuer, audience = env.get("OIDC_ISSUER") or None, env.get("OIDC_AUDIENCE") or None
        if bool(issuer) != bool(audience):
            raise ValueError("OIDC_ISSUER and OIDC_AUDIENCE go together: set both, or neither to run without sign-in on loopback")
        if issuer is None and "AWS_LAMBDA_FUNCTION_NAME" in env:
            raise ValueError("OIDC_ISSUER is not set: a deployed function does not run without sign-in")
        if issuer and not (issuer.startswith("https://") or _is_loopback_url(issuer)):
            raise ValueError("OIDC_ISSUER must be an https URL (http only on loopback)")
        return cls(issuer, audience, env.get("WORKSPACES_CLAIM") or "workspaces")


class _Seen(NamedTuple):
    """A token that held: its caller, and the time until which that need not be checked again."""

    caller: Caller
    until: float


class TokenVerifier:
    """Says who a token speaks for. Safe to share between threads."""

    def __init__(self, settings: AuthSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] | None = None
        self._tried_at: float | None = None
        self._fetched_at = 0.0
        self._lock = threading.Lock()
        self._seen: dict[bytes, _Seen] = {}

    def verify(self, authorization: str | None) -> Caller:
        """The caller of an `Authorization` header; raises Unauthenticated or NeedKeys. No I/O."""
        if self._settings.issuer is None:
            return LOCAL_CALLER
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > _MAX_TOKEN_CHARS:
            raise Unauthenticated("no bearer token")
        digest = hashlib.sha256(token.encode()).digest()
        if (seen := self._seen.get(digest)) is None or seen.until <= time.time():
            seen = self._check(token)
            if len(self._seen) >= _MOST_SEEN:
                self._seen.clear()
            self._seen[digest] = seen
        return seen.caller

    def _check(self, token: str) -> "_Seen":
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in ALGORITHMS:
                raise Unauthenticated("algorithm")
            claims = self._decode(token, self._key(header.get("kid")))
        except jwt.InvalidTokenError as error:
            raise Unauthenticated(type(error).__name__) from None
        return _Seen(self._caller(claims), min(int(claims["exp"]), time.time() + _SEEN_S))

    @property
    def stale(self) -> bool:
        """Whether the keys are old enough to be fetched anew, beside the request that noticed."""
        return self._keys is not None and self._clock() - self._fetched_at > KEYS_FRESH_S and not self._cooling()

    def refresh(self) -> None:
        """Fetches the issuer's keys, unless that was tried within the cool-down; keeps the old ones when it fails.

        Raises IssuerUnavailable only while there are no keys at all. Blocking: keep it off an event loop.
        """
        with self._lock:
            if not self._cooling():
                self._tried_at = self._clock()
                try:
                    self._keys = self._fetch()
                    self._seen.clear()  # a key may be gone
                    self._fetched_at = self._clock()
                except (OSError, ValueError, KeyError, jwt.PyJWTError) as error:
                    if self._keys is None:
                        raise IssuerUnavailable(type(error).__name__) from error
            if self._keys is None:
                raise IssuerUnavailable("cooling down")

    def _cooling(self) -> bool:
        return self._tried_at is not None and self._clock() - self._tried_at < COOL_DOWN_S

    def _key(self, kid: object) -> jwt.PyJWK:
        if self._keys is None:
            raise NeedKeys
        if isinstance(kid, str) and (key := self._keys.get(kid)):
            return key
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        if self._cooling():
            raise Unauthenticated("unknown key")
        raise NeedKeys

    def _decode(self, token: str, key: jwt.PyJWK) -> dict[str, Any]:
        # PyJWK pins the algorithm to the key's own, so HS256 with the public key as its secret is refused.
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            issuer=self._settings.issuer,
            leeway=_LEEWAY_S,
            options={"require": ["exp", "iss", "sub"], "verify_aud": False},
        )
        audiences = claims.get("aud", [])
        audiences = [audiences] if isinstance(audiences, str) else audiences
        if self._settings.audience not in [*audiences, claims.get("client_id")]:
            raise Unauthenticated("audience")
        # An id token proves a sign-in to the client and is no key to the API. Cognito says `token_use`; others put the claims
        # of OpenID Connect Core section 2 and 3.1.3.6 in.
        if claims.get("token_use", "access") != "access" or {"nonce", "at_hash", "c_hash"} & claims.keys():
            raise Unauthenticated("not an access token")
        return claims

    def _caller(self, claims: Mapping[str, Any]) -> Caller:
        sub = claims["sub"]
        if not isinstance(sub, str) or not 0 < len(sub) <= _MAX_SUB_CHARS:
            raise Unauthenticated("sub")
        claimed = claims.get(self._settings.workspaces_claim, [])
        if not isinstance(claimed, list) or len(claimed) > MAX_WORKSPACES or not all(isinstance(name, str) for name in claimed):
            raise Unauthenticated("workspaces")
        return Caller(sub, frozenset(name for name in claimed if name))

    def _fetch(self) -> dict[str, jwt.PyJWK]:
        issuer = self._settings.issuer or ""
        discovery = _get_json(issuer.rstrip("/") + "/.well-known/openid-configuration")
        if discovery["issuer"] != issuer:
            raise ValueError("the discovery document names another issuer")
        keys = {}
        for raw in _get_json(discovery["jwks_uri"])["keys"]:
            if raw.get("use", "sig") != "sig":
                continue
            try:
                key = jwt.PyJWK(raw)
            except jwt.PyJWTError:
                continue  # a kind of key this library does not know; the others still count
            if key.algorithm_name in ALGORITHMS:
                keys[raw.get("kid", "")] = key
        if not keys:
            raise ValueError("the issuer publishes no usable key")
        return keys


def warm() -> None:
    """Makes now what the first fetch would make, a TLS context with the machine's certificates: 40 ms. Opens no connection."""
    urllib.request.install_opener(urllib.request.build_opener())


def _get_json(url: str) -> Any:
    if not (url.startswith("https://") or _is_loopback_url(url)):
        raise ValueError("not an https URL")
    with urllib.request.urlopen(url, timeout=_FETCH_TIMEOUT_S) as response:  # noqa: S310 - the scheme is checked above
        return json.loads(response.read(_MAX_JWKS_BYTES))


def _is_loopback_url(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "http://localhost:", "http://[::1]:", "http://127.0.0.1/", "http://localhost/"))
