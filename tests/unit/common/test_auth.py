"""GUARANTEES 26: what is not a good access token of this issuer is refused, and the issuer is asked rarely."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from functions.common.access import LOCAL_CALLER, Caller
from functions.common.auth import (
    COOL_DOWN_S,
    KEYS_FRESH_S,
    AuthSettings,
    IssuerUnavailable,
    NeedKeys,
    TokenVerifier,
    Unauthenticated,
)
from tests.oidc import DISCOVERY, JWKS, OidcProvider


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Stage:
    """A provider, and a verifier that fetches keys the way a function does."""

    def __init__(self, provider: OidcProvider) -> None:
        self.provider = provider
        self.clock = Clock()
        self.verifier = TokenVerifier(AuthSettings(provider.issuer, provider.audience), self.clock)

    def caller(self, token: str) -> Caller:
        try:
            return self.verifier.verify(f"Bearer {token}")
        except NeedKeys:
            self.verifier.refresh()
            return self.verifier.verify(f"Bearer {token}")

    def refuses(self, token: str) -> str:
        with pytest.raises(Unauthenticated) as refused:
            self.caller(token)
        return refused.value.reason


@pytest.fixture(scope="module")
def _provider() -> Iterator[OidcProvider]:
    with OidcProvider() as running:
        yield running


@pytest.fixture
def provider(_provider: OidcProvider) -> OidcProvider:
    _provider.down = False
    _provider.rotate()
    _provider.discovery = {"issuer": _provider.issuer, "jwks_uri": _provider.issuer + JWKS}
    _provider.hits.clear()
    return _provider


@pytest.fixture
def stage(provider: OidcProvider) -> Stage:
    return Stage(provider)


def test_a_good_token_names_its_caller_and_the_workspaces(stage: Stage) -> None:
    assert stage.caller(stage.provider.token("alice", ["red", "blue", ""])) == Caller("alice", frozenset({"red", "blue"}))


def test_a_token_without_workspaces_opens_the_personal_one_alone(stage: Stage) -> None:
    assert stage.caller(stage.provider.token("bob")).workspaces == ("bob",)


def test_the_scheme_may_be_written_in_any_case(stage: Stage) -> None:
    stage.verifier.refresh()
    assert stage.verifier.verify(f"bEaReR {stage.provider.token()}").user_id == "alice"


def test_the_claim_of_the_workspaces_is_a_setting(provider: OidcProvider) -> None:
    verifier = TokenVerifier(AuthSettings(provider.issuer, provider.audience, "cognito:groups"))
    verifier.refresh()
    token = provider.token("alice", ["not these"], **{"cognito:groups": ["these"]})
    assert verifier.verify(f"Bearer {token}").claimed == frozenset({"these"})


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic YTpi", "Token x"])
def test_a_header_without_a_bearer_token_is_refused_without_asking_the_issuer(stage: Stage, header: str | None) -> None:
    with pytest.raises(Unauthenticated):
        stage.verifier.verify(header)
    assert not stage.provider.hits


@pytest.mark.parametrize("token", ["x", "a.b.c", "....", "é.é.é", "A" * 17_000, "e30.e30.e30"])
def test_what_is_no_jwt_is_refused_without_asking_the_issuer(stage: Stage, token: str) -> None:
    with pytest.raises(Unauthenticated):
        stage.verifier.verify(f"Bearer {token}")
    assert not stage.provider.hits


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", ""])
def test_an_unsigned_token_is_refused(stage: Stage, alg: str) -> None:
    stage.verifier.refresh()
    head = _part({"alg": alg, "typ": "JWT", "kid": stage.provider.kid})
    stage.refuses(f"{head}.{_part(stage.provider.claims())}.")


@pytest.mark.parametrize("alg", ["HS256", "RS256"])
def test_a_signature_by_hmac_with_the_public_key_is_refused(stage: Stage, alg: str) -> None:
    stage.verifier.refresh()
    signed = f"{_part({'alg': alg, 'kid': stage.provider.kid})}.{_part(stage.provider.claims())}"
    mac = hmac.new(stage.provider.public_pem(), signed.encode(), hashlib.sha256).digest()
    stage.refuses(f"{signed}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}")


def test_an_empty_signature_is_refused(stage: Stage) -> None:
    signed = f"{_part({'alg': 'RS256', 'kid': stage.provider.kid})}.{_part(stage.provider.claims())}"
    assert stage.refuses(f"{signed}.") == "bad_signature"


def test_a_token_signed_by_another_key_under_our_key_id_is_refused(stage: Stage) -> None:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    token = jwt.encode(stage.provider.claims(), stranger, "RS256", headers={"kid": stage.provider.kid})
    assert stage.refuses(token) == "bad_signature"


def test_a_token_whose_algorithm_is_not_its_keys_is_refused(stage: Stage) -> None:
    token = jwt.encode(stage.provider.claims(), stage.provider.key, "PS256", headers={"kid": stage.provider.kid})
    assert stage.refuses(token) == "wrong_algorithm"


@given(st.integers(min_value=0), st.integers(min_value=0, max_value=63))
def test_a_changed_character_anywhere_is_refused(position: int, to: int) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    stage, token = _tampering_stage()
    position %= len(token) - 1  # the last character of a 2048-bit signature holds padding bits that say nothing
    if token[position] in {".", alphabet[to]}:
        return
    changed = token[:position] + alphabet[to] + token[position + 1 :]
    with pytest.raises(Unauthenticated):
        stage.verify(f"Bearer {changed}")


def _tampering_stage(made: dict[str, Any] = {}) -> tuple[TokenVerifier, str]:  # noqa: B006 - made once, for all examples
    if not made:
        with OidcProvider() as provider:
            verifier = TokenVerifier(AuthSettings(provider.issuer, provider.audience))
            verifier.refresh()
            made.update(verifier=verifier, token=provider.token("alice", ["red"]))
    return made["verifier"], made["token"]


NOW = int(time.time())  # when the tests are collected
HOURS = 12 * 3600  # beyond the longest run


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://elsewhere.example"},
        {"iss": None},
        {"aud": "another-client"},
        {"aud": None},
        {"aud": ["another-client", "a-third"]},
        {"aud": []},
        {"aud": None, "client_id": "another-client"},
        {"exp": NOW - 60},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": NOW + HOURS},
        {"iat": NOW + HOURS},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 256},
        {"workspaces": "red"},
        {"workspaces": [1]},
        {"workspaces": {"red": True}},
    ],
)
def test_a_token_with_a_wrong_claim_is_refused(stage: Stage, claims: dict[str, Any]) -> None:
    stage.refuses(stage.provider.token(**claims))


@pytest.mark.parametrize("number", [100, 500])
def test_a_member_of_many_groups_may_touch_them_all(stage: Stage, number: int) -> None:
    """Cognito lets a user into 100; other issuers have no limit but the token's length."""
    groups = [f"group-{n}" for n in range(number)]
    caller = stage.caller(stage.provider.token(workspaces=groups))
    assert caller.workspaces is not None
    assert len(caller.workspaces) == number + 1
    assert all(caller.may_touch(group) for group in groups)


def test_a_numeric_subject_is_refused(stage: Stage) -> None:
    stage.refuses(_signed(stage.provider, {**stage.provider.claims(), "sub": 7}))


def _signed(provider: OidcProvider, claims: dict[str, Any]) -> str:
    """Signs what `jwt.encode` would refuse to write."""
    return jwt.PyJWS().encode(json.dumps(claims).encode(), provider.key, "RS256", {"kid": provider.kid})


def test_claims_that_are_no_object_are_refused(stage: Stage) -> None:
    stage.refuses(jwt.PyJWS().encode(b"[1]", stage.provider.key, "RS256", {"kid": stage.provider.kid}))


@pytest.mark.parametrize("claims", [{"token_use": "id"}, {"nonce": "n"}, {"at_hash": "h"}, {"c_hash": "h"}])
def test_an_id_token_is_no_access_token(stage: Stage, claims: dict[str, Any]) -> None:
    assert stage.refuses(stage.provider.token(**claims)) == "not_an_access_token"


@pytest.mark.parametrize(
    "claims",
    [{"aud": ["another", OidcProvider.audience]}, {"aud": None, "client_id": OidcProvider.audience}, {"token_use": "access"}],
)
def test_the_audience_may_be_one_of_many_or_the_client_id(stage: Stage, claims: dict[str, Any]) -> None:
    assert stage.caller(stage.provider.token(**claims)).user_id == "alice"


def test_a_clock_a_few_seconds_off_does_no_harm(stage: Stage) -> None:
    now = int(time.time())
    assert stage.caller(stage.provider.token(exp=now - 2)).user_id == "alice"
    assert stage.caller(stage.provider.token(nbf=now + 3)).user_id == "alice"


def test_an_elliptic_key_beside_the_first_is_taken(stage: Stage) -> None:
    key, kid = stage.provider.add_elliptic_key()
    assert stage.caller(jwt.encode(stage.provider.claims(), key, "ES256", headers={"kid": kid})).user_id == "alice"


def test_a_token_without_a_key_id_is_taken_only_where_there_is_one_key(stage: Stage) -> None:
    token = jwt.encode(stage.provider.claims(), stage.provider.key, "RS256")
    assert stage.caller(token).user_id == "alice"
    stage.provider.add_elliptic_key()
    stage.clock.now += COOL_DOWN_S
    stage.verifier.refresh()
    assert stage.refuses(token) == "unknown_key"


def test_keys_are_fetched_once_for_many_tokens(stage: Stage) -> None:
    for number in range(20):
        stage.caller(stage.provider.token(f"user {number}"))
    assert stage.provider.hits == {DISCOVERY: 1, JWKS: 1}


def test_a_flood_of_unknown_key_ids_makes_one_fetch_per_cool_down(stage: Stage) -> None:
    flood = [jwt.encode(stage.provider.claims(), stage.provider.key, "RS256", headers={"kid": f"made up {n}"}) for n in range(50)]
    for token in flood:
        stage.refuses(token)
    assert stage.provider.hits[JWKS] == 1
    stage.clock.now += COOL_DOWN_S
    for token in flood:
        stage.refuses(token)
    assert stage.provider.hits[JWKS] == 2


def test_a_rotated_key_is_found_after_the_cool_down(stage: Stage) -> None:
    stage.caller(stage.provider.token())
    stage.provider.rotate()
    stage.refuses(stage.provider.token())
    stage.clock.now += COOL_DOWN_S
    assert stage.caller(stage.provider.token()).user_id == "alice"


def test_a_token_of_the_retired_key_is_refused_after_the_rotation(stage: Stage) -> None:
    old = stage.provider.token()
    stage.caller(old)
    stage.provider.rotate()
    stage.clock.now += COOL_DOWN_S
    stage.caller(stage.provider.token())
    stage.refuses(old)


def test_a_token_that_was_checked_is_not_checked_again_for_a_while(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    token = stage.provider.token()
    decoded: list[str] = []
    decode = jwt.decode

    def counted(token: str, *given: Any, **options: Any) -> Any:
        decoded.append(token)
        return decode(token, *given, **options)

    monkeypatch.setattr(jwt, "decode", counted)

    assert {stage.caller(token).user_id for _ in range(3)} == {"alice"}
    assert len(decoded) == 1
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 301)
    assert stage.caller(token).user_id == "alice"
    assert len(decoded) == 2


def test_a_token_that_was_checked_ends_when_it_says_so(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    token = stage.provider.token(exp=int(now) + 10)
    assert stage.caller(token).user_id == "alice"

    verifier = stage.verifier
    monkeypatch.setattr("functions.common.auth._LEEWAY_S", -30)  # its end is 10 s off: as if the clock were at it
    assert stage.caller(token).user_id == "alice", "it is not checked before its end"
    monkeypatch.setattr(time, "time", lambda: now + 11)
    with pytest.raises(Unauthenticated):
        verifier.verify(f"Bearer {token}")


def test_a_token_that_was_checked_goes_with_its_key(stage: Stage) -> None:
    token = stage.provider.token()
    assert stage.caller(token).user_id == "alice"
    stage.provider.rotate()
    stage.clock.now += COOL_DOWN_S
    stage.verifier.refresh()

    assert stage.refuses(token) == "unknown_key"


def test_cached_keys_outlive_an_outage(stage: Stage) -> None:
    token = stage.provider.token()
    stage.caller(token)
    stage.provider.down = True
    stage.clock.now += KEYS_FRESH_S + 1
    assert stage.verifier.stale
    stage.verifier.refresh()
    assert stage.caller(token).user_id == "alice"
    assert not stage.verifier.stale  # not again within the cool-down


def test_keys_grow_stale_and_a_refresh_makes_them_fresh(stage: Stage) -> None:
    stage.caller(stage.provider.token())
    fresh = not stage.verifier.stale
    stage.clock.now += KEYS_FRESH_S + 1
    assert fresh
    was_stale = stage.verifier.stale
    stage.verifier.refresh()
    assert (was_stale, stage.verifier.stale) == (True, False)
    assert stage.provider.hits[JWKS] == 2


def test_an_issuer_that_was_never_reached_is_unavailable_and_not_asked_again_at_once(stage: Stage) -> None:
    stage.provider.down = True
    for _ in range(5):
        with pytest.raises(IssuerUnavailable):
            stage.caller(stage.provider.token())
    assert stage.provider.hits == {DISCOVERY: 1}
    stage.provider.down = False
    stage.clock.now += COOL_DOWN_S
    assert stage.caller(stage.provider.token()).user_id == "alice"


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": "https://elsewhere.example"},
        {"jwks_uri": "http://keys.example/jwks"},
        {"jwks_uri": "file:///etc/passwd"},
    ],
)
def test_a_discovery_document_that_leads_elsewhere_is_not_followed(stage: Stage, discovery: dict[str, str]) -> None:
    stage.provider.discovery |= discovery
    with pytest.raises(IssuerUnavailable):
        stage.verifier.refresh()
    assert stage.provider.hits == {DISCOVERY: 1}


def test_keys_that_cannot_sign_tokens_are_left_out(stage: Stage) -> None:
    usable = stage.provider.keys[0]
    stage.provider.keys = [
        {**usable, "kid": "for encryption", "use": "enc"},
        {"kty": "unheard of", "kid": "strange"},
        {"kty": "oct", "kid": "secret", "k": "c2VjcmV0", "alg": "HS256"},
        usable,
    ]
    assert stage.caller(stage.provider.token()).user_id == "alice"
    forged = jwt.encode(stage.provider.claims(), b"secret" * 8, "HS256", headers={"kid": "secret"})
    stage.refuses(forged)


def test_an_issuer_without_a_usable_key_is_unavailable(stage: Stage) -> None:
    stage.provider.keys = [{"kty": "oct", "kid": "secret", "k": "c2VjcmV0", "alg": "HS256"}]
    with pytest.raises(IssuerUnavailable):
        stage.verifier.refresh()


def test_without_an_issuer_everyone_is_the_local_caller() -> None:
    assert TokenVerifier(AuthSettings(None, None)).verify("nonsense") is LOCAL_CALLER


def test_settings_are_read_from_the_environment() -> None:
    env = {"OIDC_ISSUER": "https://id.example", "OIDC_AUDIENCE": "chat", "WORKSPACES_CLAIM": "groups"}
    assert AuthSettings.from_env(env) == AuthSettings("https://id.example", "chat", "groups")
    assert AuthSettings.from_env({}) == AuthSettings(None, None, "workspaces")
    assert AuthSettings.from_env({"OIDC_ISSUER": "http://localhost:9", "OIDC_AUDIENCE": "chat"}).issuer == "http://localhost:9"


@pytest.mark.parametrize(
    "env",
    [
        {"OIDC_ISSUER": "https://id.example"},
        {"OIDC_AUDIENCE": "chat"},
        {"AWS_LAMBDA_FUNCTION_NAME": "conversations"},
        {"OIDC_ISSUER": "http://id.example", "OIDC_AUDIENCE": "chat"},
        {"OIDC_ISSUER": "http://127.0.0.1.evil.example", "OIDC_AUDIENCE": "chat"},
    ],
)
def test_settings_that_would_leave_the_door_open_are_refused(env: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="OIDC_"):
        AuthSettings.from_env(env)
