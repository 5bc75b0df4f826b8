"""Which claims make an access token for this API: every audience with every client id, every sign of an id token."""

import base64
import json
import time
from itertools import product
from typing import Any, Final

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from functions.common.auth import AuthSettings, Refusal, TokenVerifier, Unauthenticated

ISSUER: Final = "https://id.example"
KEY: Final = ec.generate_private_key(ec.SECP256R1())
ABSENT: Final = object()
OURS: Final = ("web", "https://chat-api.example")  # the settings: a client's id, or an API's address


def verifier(audience: str = "web") -> TokenVerifier:
    """One that has fetched the issuer's key already."""
    made = TokenVerifier(AuthSettings(ISSUER, audience))
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key()))
    made._keys = {"one": jwt.PyJWK({**public, "kid": "one", "alg": "ES256"})}
    made._tried_at = time.monotonic()
    return made


def token(claims: dict[str, Any], **header: Any) -> str:
    """Signs anything, also what `jwt.encode` would refuse to write. ABSENT leaves a claim or a header out."""
    good = {"iss": ISSUER, "sub": "alice", "exp": int(time.time()) + 86_400, "aud": "web"}  # made once, used minutes later
    head = {"alg": "ES256", "kid": "one", "typ": "JWT", **header}
    parts = [{name: value for name, value in part.items() if value is not ABSENT} for part in (head, {**good, **claims})]
    signed = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    mac = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256).sign(signed, KEY)
    return (signed + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


def outcome(verifier: TokenVerifier, text: str) -> str:
    """`accepted`, or the code of the refusal."""
    try:
        verifier.verify(f"Bearer {text}")
    except Unauthenticated as refused:
        return refused.reason
    return "accepted"


def audiences(ours: str) -> list[object]:
    other = "https://billing-api.example"
    return [
        ABSENT, None, "", ours, other, [ours], [other, ours], [other], [], [""], [[ours]], [7, ours], {ours: True}, 7, True,
        f"{ours} ", ours.upper(), ours[:-1], f"{ours}/x", f"{other} {ours}", f"{other},{ours}",
    ]  # fmt: skip


@pytest.mark.parametrize("azp", [ABSENT, "ours", "other"])
@pytest.mark.parametrize("ours", OURS)
def test_an_audience_counts_when_it_is_exactly_ours_and_a_client_id_only_where_there_is_no_audience(
    ours: str, azp: object
) -> None:
    checks = verifier(ours)
    party = {"ours": ours}.get(azp, azp) if isinstance(azp, str) else azp
    client_ids = [ABSENT, None, ours, "other", [ours], {ours: True}, ours.upper(), 7]

    wrong = []
    for aud, client_id in product(audiences(ours), client_ids):
        found = outcome(checks, token({"aud": aud, "client_id": client_id, "azp": party}))
        named = aud == ours or (isinstance(aud, list) and aud in ([ours], ["https://billing-api.example", ours]))
        expected = "accepted" if named or (aud is ABSENT and client_id == ours) else Refusal.WRONG_AUDIENCE
        if found != expected:
            wrong.append((aud, client_id, found))

    assert wrong == []


def test_the_client_id_of_a_token_for_another_api_does_not_open_ours() -> None:
    assert outcome(verifier("web"), token({"aud": "https://billing-api", "client_id": "web"})) == Refusal.WRONG_AUDIENCE


@pytest.mark.parametrize(
    ("typ", "explicit"),
    [
        (ABSENT, False), ("JWT", False), ("jwt", False), ("at+jwt", True), ("AT+JWT", True), ("application/at+jwt", True),
        ("logout+jwt", None), ("dpop+jwt", None), ("secevent+jwt", None), ("id+jwt", None), ("", None),
    ],
)  # fmt: skip
def test_the_type_of_the_token_and_the_claims_of_an_id_token_decide_what_it_is(typ: object, explicit: bool | None) -> None:
    """RFC 9068 names an access token `at+jwt`; where the type says nothing, what an id token holds makes it one."""
    checks = verifier()
    of_an_id_token: list[dict[str, Any]] = [{}, {"nonce": "n"}, {"at_hash": "h"}, {"c_hash": "h"}, {"nonce": None}]
    uses: list[object] = [ABSENT, "access", "id", "ID", None, 7, ["access"]]
    types: list[object] = [ABSENT, "Bearer", "ID", "Refresh", "Offline", "Logout"]  # Keycloak's claim `typ`

    wrong = []
    for marks, use, kind in product(of_an_id_token, uses, types):
        found = outcome(checks, token({**marks, "token_use": use, "typ": kind}, typ=typ))
        good = explicit is not None and use in (ABSENT, "access") and kind in (ABSENT, "Bearer") and (explicit or not marks)
        if found != ("accepted" if good else Refusal.NOT_AN_ACCESS_TOKEN):
            wrong.append((marks, use, kind, found))

    assert wrong == []


ODD: Final = [None, True, False, 0, -1, 7.5, 1e300, "", "x", [], [1], {}, {"a": 1}, 10**400, float("inf"), float("nan"), "٣"]


@pytest.mark.parametrize(
    "claim", ["iss", "sub", "exp", "nbf", "iat", "aud", "client_id", "token_use", "workspaces", "jti", "typ"]
)
def test_a_claim_of_any_kind_of_value_is_taken_or_refused_and_never_breaks_the_check(claim: str) -> None:
    checks = verifier()
    found = {repr(value): outcome(checks, token({claim: value})) for value in ODD}  # any other exception fails the test
    assert set(found.values()) <= {"accepted", *Refusal}
    if claim in {"iss", "aud"}:
        assert "accepted" not in found.values()


@pytest.mark.parametrize("header", ["kid", "typ", "alg", "crit", "b64", "jwk", "jku", "x5u"])
def test_a_header_of_any_kind_of_value_is_taken_or_refused_and_never_breaks_the_check(header: str) -> None:
    checks = verifier()
    found = {outcome(checks, token({}, **{header: value})) for value in ODD if value is not None and value == value}
    assert found <= {"accepted", *Refusal} if header != "kid" else found <= set(Refusal)


@pytest.mark.parametrize("deep", ["[" * 9000, '{"alg":' * 1500, '{"a":' * 2000 + "1" + "}" * 2000])
def test_a_header_nested_beyond_measure_is_refused(deep: str) -> None:
    head = base64.urlsafe_b64encode(deep.encode()).rstrip(b"=").decode()
    assert outcome(verifier(), f"{head}.e30.AA") == Refusal.MALFORMED


@pytest.mark.parametrize("text", ["\ud800", "é.é.é", "a b.c.d", "..", "a.b.c.d.e", "\x00.\x00.\x00"])
def test_what_no_header_of_http_may_carry_is_refused(text: str) -> None:
    assert outcome(verifier(), text) == Refusal.MALFORMED


NOW: Final = int(time.time())
REASONS: Final = {
    "no header": (None, Refusal.NO_TOKEN),
    "another scheme": ("Basic YTpi", Refusal.NO_TOKEN),
    "no token": ("Bearer ", Refusal.NO_TOKEN),
    "too long": ("Bearer " + "A" * 17_000, Refusal.MALFORMED),
    "no JWT": ("Bearer x", Refusal.MALFORMED),
    "unsigned": ("Bearer " + token({}, alg="none"), Refusal.WRONG_ALGORITHM),
    "by HMAC": ("Bearer " + token({}, alg="HS256"), Refusal.WRONG_ALGORITHM),
    "another algorithm than the key's": ("Bearer " + token({}, alg="RS256"), Refusal.WRONG_ALGORITHM),
    "changed": ("Bearer " + token({})[:-8] + "AAAAAAAA", Refusal.BAD_SIGNATURE),
    "of the past": ("Bearer " + token({"exp": NOW - 60}), Refusal.EXPIRED),
    "of the future": ("Bearer " + token({"nbf": NOW + 7200}), Refusal.NOT_YET_VALID),
    "issued in the future": ("Bearer " + token({"iat": NOW + 7200}), Refusal.NOT_YET_VALID),
    "another issuer's": ("Bearer " + token({"iss": "https://elsewhere"}), Refusal.WRONG_ISSUER),
    "for another API": ("Bearer " + token({"aud": "x"}), Refusal.WRONG_AUDIENCE),
    "without an end": ("Bearer " + token({"exp": ABSENT}), Refusal.MISSING_CLAIM),
    "without a subject": ("Bearer " + token({"sub": ABSENT}), Refusal.MISSING_CLAIM),
    "without an issuer": ("Bearer " + token({"iss": ABSENT}), Refusal.MISSING_CLAIM),
    "an id token": ("Bearer " + token({"nonce": "n"}), Refusal.NOT_AN_ACCESS_TOKEN),
    "an empty subject": ("Bearer " + token({"sub": ""}), Refusal.BAD_SUBJECT),
    "a subject that is no text": ("Bearer " + token({"sub": 7}), Refusal.BAD_SUBJECT),
    "workspaces that are no list": ("Bearer " + token({"workspaces": "red"}), Refusal.BAD_WORKSPACES),
}


@pytest.mark.parametrize("case", REASONS)
def test_each_cause_of_a_refusal_has_its_own_code(case: str) -> None:
    header, code = REASONS[case]
    with pytest.raises(Unauthenticated) as refused:
        verifier().verify(header)
    assert refused.value.reason == code
