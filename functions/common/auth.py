"""Bearer tokens: an OIDC access token is checked locally, against keys that are fetched rarely and kept through an outage.

    verifier = TokenVerifier(settings)
    caller = verifier.verify(header)             # CPU only; raises NeedKeys when the token's key is not at hand
    verifier.refresh()                           # waits for a fetch under way, or makes one; none within the cool-down
    caller = verifier.check(header)              # all of it, for who may block

PyJWT does the cryptography. Its own PyJWKClient is not used: it asks the issuer again for every unknown key id, so a flood of
forged tokens becomes a flood of requests.
"""

import hashlib
import json
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from http.client import HTTPException
from typing import Any, Final, NamedTuple

import jwt

from functions.common.access import LOCAL_CALLER, Caller
from functions.common.trust import ca_bundle, tls_context

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA")
COOL_DOWN_S: Final = 30.0  # at most one fetch of the keys per this
FIRST_COOL_DOWN_S: Final = 5.0  # … while there are none: nobody can sign in until then
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


class Refusal(StrEnum):
    """Why a token is not accepted: for the log and the metric, not for the caller."""

    NO_TOKEN = "no_token"  # noqa: S105 - a code
    MALFORMED = "malformed"
    WRONG_ALGORITHM = "wrong_algorithm"
    UNKNOWN_KEY = "unknown_key"
    BAD_SIGNATURE = "bad_signature"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    MISSING_CLAIM = "missing_claim"
    WRONG_ISSUER = "wrong_issuer"
    WRONG_AUDIENCE = "wrong_audience"
    NOT_AN_ACCESS_TOKEN = "not_an_access_token"  # noqa: S105
    BAD_SUBJECT = "bad_subject"
    BAD_WORKSPACES = "bad_workspaces"


class IssuerFault(StrEnum):
    """Why the issuer's keys could not be fetched."""

    UNREACHABLE = "issuer_unreachable"
    TIMED_OUT = "issuer_timed_out"
    UNTRUSTED = "issuer_untrusted"  # its certificate
    FAILED = "issuer_failed"  # an HTTP status that is an error
    MISCONFIGURED = "issuer_misconfigured"  # a document that names another issuer, leads to no https, or holds no usable key


_PYJWT: Final[Mapping[type[Exception], Refusal]] = {  # the nearest base class of an error counts
    jwt.InvalidTokenError: Refusal.MALFORMED,
    jwt.InvalidAlgorithmError: Refusal.WRONG_ALGORITHM,
    jwt.InvalidSignatureError: Refusal.BAD_SIGNATURE,
    jwt.ExpiredSignatureError: Refusal.EXPIRED,
    jwt.ImmatureSignatureError: Refusal.NOT_YET_VALID,
    jwt.MissingRequiredClaimError: Refusal.MISSING_CLAIM,
    jwt.InvalidIssuerError: Refusal.WRONG_ISSUER,
    jwt.exceptions.InvalidSubjectError: Refusal.BAD_SUBJECT,
}
# What PyJWT and the json module let through of a token made to break them: nested beyond Python's stack, numbers beyond a float.
_BROKEN: Final = (ValueError, TypeError, AttributeError, OverflowError, RecursionError)
_ACCESS_TYPES: Final = frozenset({"at+jwt", "application/at+jwt"})  # RFC 9068 section 2.1: says so itself
_PLAIN_TYPES: Final = frozenset({None, "jwt"})  # says nothing of its use
_OTHER_USES: Final = frozenset({"id", "refresh", "offline", "logout"})  # Keycloak's claim `typ`
_ID_TOKEN_CLAIMS: Final = frozenset({"nonce", "at_hash", "c_hash"})  # OpenID Connect Core sections 2 and 3.3.2.11


class Unauthenticated(Exception):
    """The request carries no token that this server accepts."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason)
        self.reason = reason


class NeedKeys(Exception):
    """The token names a key that is not at hand: `refresh` once, then verify again."""


class IssuerUnavailable(Exception):
    """No keys were ever fetched, and the issuer gave none."""

    def __init__(self, reason: IssuerFault) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """Who signs the tokens. No `issuer` means that authentication is off, which only a loopback server may be."""

    issuer: str | None
    audience: str | None
    workspaces_claim: str = "workspaces"
    ca_bundle: str | None = None

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
        return cls(issuer, audience, env.get("WORKSPACES_CLAIM") or "workspaces", ca_bundle(env))


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
        self._fault = IssuerFault.UNREACHABLE  # of the last fetch that failed
        self._fetched_at = 0.0
        self._lock = threading.Lock()
        self._seen: dict[bytes, _Seen] = {}
        self._opener: urllib.request.OpenerDirector | None = None

    def verify(self, authorization: str | None) -> Caller:
        """The caller of an `Authorization` header; raises Unauthenticated or NeedKeys. No I/O."""
        if self._settings.issuer is None:
            return LOCAL_CALLER
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated(Refusal.NO_TOKEN)
        if len(token) > _MAX_TOKEN_CHARS or not token.isascii():
            raise Unauthenticated(Refusal.MALFORMED)
        digest = hashlib.sha256(token.encode()).digest()
        if (seen := self._seen.get(digest)) is None or seen.until <= time.time():
            seen = self._check(token)
            if len(self._seen) >= _MOST_SEEN:
                self._seen.clear()
            self._seen[digest] = seen
        return seen.caller

    def check(self, authorization: str | None) -> Caller:
        """The same with what `verify` asks for: waits for the issuer's keys. Blocking; raises IssuerUnavailable, too."""
        try:
            return self.verify(authorization)
        except NeedKeys:
            self.refresh()
        try:
            return self.verify(authorization)
        except NeedKeys:  # the cool-down ended in between
            raise Unauthenticated(Refusal.UNKNOWN_KEY) from None

    def _check(self, token: str) -> "_Seen":
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.InvalidTokenError, *_BROKEN):
            raise Unauthenticated(Refusal.MALFORMED) from None
        if header.get("alg") not in ALGORITHMS:
            raise Unauthenticated(Refusal.WRONG_ALGORITHM)
        claims = self._decode(token, self._key(header.get("kid")))
        self._admit(header, claims)
        return _Seen(self._caller(claims), min(int(claims["exp"]), time.time() + _SEEN_S))

    @property
    def stale(self) -> bool:
        """Whether the keys are old enough to be fetched anew, beside the request that noticed."""
        return self._keys is not None and self._clock() - self._fetched_at > KEYS_FRESH_S and not self._cooling()

    def refresh(self) -> IssuerFault | None:
        """Fetches the issuer's keys, unless that was tried within the cool-down; keeps the old ones when it fails.

        Several callers at once share one fetch: the others wait for it. Returns why this caller's fetch failed, if it did.
        Raises IssuerUnavailable only while there are no keys at all. Blocking: keep it off an event loop.
        """
        with self._lock:
            fault = None if self._cooling() else self._try()
            if self._keys is None:
                raise IssuerUnavailable(self._fault)
            return fault

    def _try(self) -> IssuerFault | None:
        fault = None
        try:
            self._keys = self._fetch()
            self._seen.clear()  # a key may be gone
            self._fetched_at = self._clock()
        except (OSError, HTTPException, LookupError, jwt.PyJWTError, *_BROKEN) as error:
            fault = self._fault = _fault_of(error)
        # Only now: until the fetch is over, a token with an unknown key waits for it.
        self._tried_at = self._clock()
        return fault

    def _cooling(self) -> bool:
        seconds = FIRST_COOL_DOWN_S if self._keys is None else COOL_DOWN_S
        return self._tried_at is not None and self._clock() - self._tried_at < seconds

    def _key(self, kid: object) -> jwt.PyJWK:
        if self._keys is None:
            raise NeedKeys
        if isinstance(kid, str) and (key := self._keys.get(kid)):
            return key
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        if self._cooling():
            raise Unauthenticated(Refusal.UNKNOWN_KEY)
        raise NeedKeys

    def _decode(self, token: str, key: jwt.PyJWK) -> dict[str, Any]:
        # PyJWK pins the algorithm to the key's own, so HS256 with the public key as its secret is refused.
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                issuer=self._settings.issuer,
                leeway=_LEEWAY_S,
                options={"require": ["exp", "iss", "sub"], "verify_aud": False},
            )
        except jwt.InvalidTokenError as error:
            raise Unauthenticated(next(_PYJWT[kind] for kind in type(error).__mro__ if kind in _PYJWT)) from None
        except _BROKEN:
            raise Unauthenticated(Refusal.MALFORMED) from None
        return claims

    def _admit(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> None:
        """Whether it is an access token, and made for this API."""
        if not self._is_for_us(claims):
            raise Unauthenticated(Refusal.WRONG_AUDIENCE)
        if not _is_access_token(header, claims):
            raise Unauthenticated(Refusal.NOT_AN_ACCESS_TOKEN)

    def _is_for_us(self, claims: Mapping[str, Any]) -> bool:
        """RFC 7519 section 4.1.3. `client_id` names who asked for the token, not whom it is for: it stands in for the audience
        only where there is none, which is how Cognito's access tokens are.
        """
        if "aud" not in claims:
            return bool(claims.get("client_id") == self._settings.audience)
        given = claims["aud"]
        audiences = given if isinstance(given, list) else [given]
        return all(isinstance(one, str) for one in audiences) and self._settings.audience in audiences

    def _caller(self, claims: Mapping[str, Any]) -> Caller:
        sub = claims["sub"]
        if not isinstance(sub, str) or not 0 < len(sub) <= _MAX_SUB_CHARS:
            raise Unauthenticated(Refusal.BAD_SUBJECT)
        claimed = claims.get(self._settings.workspaces_claim, [])
        # However many there are (Cognito: a user is in up to 100 groups), they fit the longest token, and so a queue's record.
        if not isinstance(claimed, list) or not all(isinstance(name, str) for name in claimed):
            raise Unauthenticated(Refusal.BAD_WORKSPACES)
        return Caller(sub, frozenset(name for name in claimed if name))

    def warm(self) -> None:
        """Makes now what the first fetch would make, a TLS context with the certificates: 40 ms. Opens no connection."""
        if self._opener is None:
            tls = urllib.request.HTTPSHandler(context=tls_context(self._settings.ca_bundle))
            self._opener = urllib.request.build_opener(tls, _HttpsOnly)  # and urllib's own way through a proxy

    def _fetch(self) -> dict[str, jwt.PyJWK]:
        issuer = self._settings.issuer or ""
        discovery = self._get_json(issuer.rstrip("/") + "/.well-known/openid-configuration")
        if discovery["issuer"] != issuer:
            raise ValueError("the discovery document names another issuer")
        keys = {}
        for raw in self._get_json(discovery["jwks_uri"])["keys"]:
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

    def _get_json(self, url: str) -> Any:
        _check_scheme(url)
        self.warm()
        assert self._opener is not None  # noqa: S101 - just made
        end = time.monotonic() + _FETCH_TIMEOUT_S
        with self._opener.open(url, timeout=_FETCH_TIMEOUT_S) as response:
            body = b""
            while (part := response.read1(_MAX_JWKS_BYTES)) and len(body) < _MAX_JWKS_BYTES:
                body += part
                if time.monotonic() > end:  # the time-out above is of each read
                    raise TimeoutError
        return json.loads(body)


def _is_access_token(header: Mapping[str, Any], claims: Mapping[str, Any]) -> bool:
    """An id token proves a sign-in to the client and is no key to the API.

    Cognito says which it is in `token_use`, Keycloak in the claim `typ`, RFC 9068 in the header. Where nothing says so, a token
    with a claim that only an id token has is one.
    """
    if claims.get("token_use", "access") != "access" or _lower(claims.get("typ")) in _OTHER_USES:
        return False
    kind = _lower(header.get("typ"))
    return kind in _ACCESS_TYPES or (kind in _PLAIN_TYPES and not _ID_TOKEN_CLAIMS & claims.keys())


def _lower(value: object) -> str | None:
    """Types are compared without their case. Whatever is not text is like no type."""
    return None if value is None else value.lower() if isinstance(value, str) else ""


def _fault_of(error: Exception) -> IssuerFault:
    cause = error.reason if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception) else error
    if isinstance(error, urllib.error.HTTPError):
        return IssuerFault.FAILED
    if isinstance(cause, TimeoutError):
        return IssuerFault.TIMED_OUT
    if isinstance(cause, ssl.SSLError):
        return IssuerFault.UNTRUSTED
    return IssuerFault.UNREACHABLE if isinstance(cause, OSError) else IssuerFault.MISCONFIGURED


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        _check_scheme(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_scheme(url: str) -> None:
    if not (url.startswith("https://") or _is_loopback_url(url)):
        raise ValueError("not an https URL")


def _is_loopback_url(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "http://localhost:", "http://[::1]:", "http://127.0.0.1/", "http://localhost/"))
