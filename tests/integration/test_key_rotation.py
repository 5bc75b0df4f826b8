"""The issuer's keys change while requests come in: who meets a key that is not known yet waits for the one fetch under way."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Barrier
from typing import Any

import jwt
import pytest

from functions.common.auth import COOL_DOWN_S, FIRST_COOL_DOWN_S, AuthSettings, IssuerUnavailable, TokenVerifier, Unauthenticated
from functions.common.failures import Failures
from functions.common.log import get_logger
from functions.conversations.gate import Gate
from local.context import LambdaContext
from local.url_event import event_of
from tests.oidc import JWKS, OidcProvider
from tests.support.chat import Api
from tests.support.system import System
from tests.support.waiting import until

MANY = 24


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def issuer() -> Iterator[OidcProvider]:
    with OidcProvider() as running:
        yield running


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows with each token that a verifier looks at."""
    seen: list[str] = []
    verify = TokenVerifier.verify

    def counted(self: TokenVerifier, authorization: str | None) -> Any:
        seen.append(authorization or "")
        return verify(self, authorization)

    monkeypatch.setattr(TokenVerifier, "verify", counted)
    return seen


def at_once(ask: Callable[[], Any], issuer: OidcProvider, seen: list[str], first: int = MANY) -> list[Any]:
    """What many callers at the same time are told. The issuer answers only when the first of their tokens were looked at."""
    issuer.answers.clear()
    before = len(seen)
    together = Barrier(MANY)

    def one() -> Any:
        together.wait(10)
        try:
            return ask()
        except (Unauthenticated, IssuerUnavailable) as error:
            return error.reason

    with ThreadPoolExecutor(MANY) as pool:
        futures: list[Future[Any]] = [pool.submit(one) for _ in range(MANY)]
        until(lambda: issuer.hits.total() > 0 and len(seen) >= before + first)
        issuer.answers.set()
        return [future.result(30) for future in futures]


def test_threads_that_meet_a_rotated_key_at_once_are_all_let_in_by_one_fetch(issuer: OidcProvider, verified: list[str]) -> None:
    clock = Clock()
    verifier = TokenVerifier(AuthSettings(issuer.issuer, issuer.audience), clock)
    verifier.refresh()
    clock.now += COOL_DOWN_S
    issuer.rotate()
    issuer.hits.clear()
    header = f"Bearer {issuer.token()}"

    assert set(at_once(lambda: verifier.check(header).user_id, issuer, verified)) == {"alice"}
    assert issuer.hits[JWKS] == 1


def test_threads_that_come_before_any_key_was_fetched_share_the_first_fetch(issuer: OidcProvider, verified: list[str]) -> None:
    verifier = TokenVerifier(AuthSettings(issuer.issuer, issuer.audience))
    header = f"Bearer {issuer.token()}"

    assert set(at_once(lambda: verifier.check(header).user_id, issuer, verified)) == {"alice"}
    assert issuer.hits[JWKS] == 1


def test_made_up_keys_at_once_make_one_fetch_and_are_all_refused(issuer: OidcProvider, verified: list[str]) -> None:
    clock = Clock()
    verifier = TokenVerifier(AuthSettings(issuer.issuer, issuer.audience), clock)
    verifier.refresh()
    clock.now += COOL_DOWN_S
    issuer.hits.clear()
    forged = jwt.encode(issuer.claims(), issuer.key, "RS256", headers={"kid": "made up"})

    assert set(at_once(lambda: verifier.check(f"Bearer {forged}"), issuer, verified)) == {"unknown_key"}
    assert issuer.hits[JWKS] == 1


def test_an_issuer_that_is_down_is_asked_once_and_all_are_told_so(issuer: OidcProvider, verified: list[str]) -> None:
    issuer.down = True
    clock = Clock()
    verifier = TokenVerifier(AuthSettings(issuer.issuer, issuer.audience), clock)
    header = f"Bearer {issuer.token()}"

    assert set(at_once(lambda: verifier.check(header), issuer, verified)) == {"issuer_failed"}
    assert issuer.hits.total() == 1

    issuer.down = False
    clock.now += FIRST_COOL_DOWN_S  # while there are no keys nobody can sign in: it is asked again soon
    assert verifier.check(header).user_id == "alice"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def chat(chat_system: System, issuer: OidcProvider, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setattr("functions.chat_stream.app.TokenVerifier", lambda settings: TokenVerifier(settings, clock))
    return chat_system.serve(OIDC_ISSUER=issuer.issuer, OIDC_AUDIENCE=issuer.audience, CHAT_RECEIPT_WAIT_S="0.1")


def test_requests_to_chat_stream_that_meet_a_rotated_key_at_once_are_all_let_in_by_one_fetch(
    chat: Api, issuer: OidcProvider, clock: Clock, verified: list[str]
) -> None:
    def status() -> int:
        return chat.http.get("/api/buds", headers={"authorization": f"Bearer {issuer.token()}"}).status_code

    assert status() == 200
    clock.now += COOL_DOWN_S
    issuer.rotate()
    issuer.hits.clear()

    assert at_once(status, issuer, verified) == [200] * MANY
    assert issuer.hits[JWKS] == 1


def test_requests_to_conversations_that_meet_a_rotated_key_at_once_are_all_let_in_by_one_fetch(
    issuer: OidcProvider, verified: list[str]
) -> None:
    class App:
        def __init__(self) -> None:
            self.context: dict[str, Any] = {}

        def resolve(self, event: Any, context: Any) -> dict[str, Any]:
            return {"statusCode": 200, "headers": {}, "body": "", "isBase64Encoded": False}

    clock = Clock()
    verifier = TokenVerifier(AuthSettings(issuer.issuer, issuer.audience), clock)
    logger = get_logger("conversations")
    gate = Gate(App(), verifier, "authorization", logger, Failures("test", "conversations"))  # type: ignore[arg-type]

    def status() -> Any:
        headers = [("authorization", f"Bearer {issuer.token()}")]
        event = event_of("GET", "/api/conversations", "", headers, b"", "127.0.0.1")
        return gate(event, LambdaContext("conversations", 30))["statusCode"]  # type: ignore[arg-type]

    assert status() == 200
    clock.now += COOL_DOWN_S
    issuer.rotate()
    issuer.hits.clear()

    found = at_once(status, issuer, verified, first=1)  # one at a time, as in Lambda
    assert found == [200] * MANY
    assert issuer.hits[JWKS] == 1
