"""`make smoke`: it passes on the real system, and sees whatever is wrong with a deployment."""

import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from infra.smoke import checks
from infra.smoke.__main__ import main, smoke
from infra.smoke.across import Version, across_a_deployment
from infra.smoke.site import Failed, NotChecked, Site
from local.system import LocalSystem
from tests.integration.smoke.scripted_site import TOKEN, Behaviour, scripted_site
from tests.oidc import OidcProvider

ROOT = Path(__file__).parents[3]
PASSED = 11


def run(behaviour: Behaviour, capsys: pytest.CaptureFixture[str]) -> tuple[tuple[int, int, int], str]:
    """The counts, and the lines of what did not pass."""
    with scripted_site(behaviour) as url:
        site = Site(url, TOKEN, lambda: [f"{url}/direct"])
        counts = smoke(site)
        site.close()
    lines = capsys.readouterr().out.splitlines()
    return counts, "\n".join(line for line in lines if not line.startswith("       ok"))


def test_the_real_system_passes(capsys: pytest.CaptureFixture[str]) -> None:
    with OidcProvider() as issuer, scripted_site(Behaviour()) as lambda_urls:
        env = {
            "OIDC_ISSUER": issuer.issuer,
            "OIDC_AUDIENCE": issuer.audience,
            "CHAT_STRICT_EDGE": "1",
            "FAKE_LLM_TTFT_MS": "200",
            "FAKE_LLM_DELAY_MS": "20",
        }
        with LocalSystem(env) as system:
            site = Site(system.url, issuer.token("alice"), lambda: [f"{lambda_urls}/direct"])
            counts = smoke(site)
            site.close()
    assert counts == (PASSED, 0, 0), capsys.readouterr().out


def test_a_good_deployment_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Behaviour(), capsys) == ((PASSED, 0, 0), "")


@pytest.mark.parametrize(
    ("fault", "check", "seen"),
    [
        ({"lets_strangers_in": True}, "nobody gets in without a token", "answers 200"),
        ({"believes_forgeries": True}, "a forged token is refused", "answers 200"),
        ({"collects_all": True}, "the answer streams", "holds the response back"),
        ({"collects_tokens": True}, "the answer streams", "in 1 pieces"),
        ({"creates": False}, "the answer streams", "no `conversationCreated` came"),
        ({"ending": {"durable": False}}, "the answer streams", "not saved"),
        ({"ending": {"type": "error", "code": "model_refused"}}, "the answer streams", "model_refused"),
        ({"stored_text": "other"}, "the conversation reads back", "not the text that was streamed"),
        ({"direct": 200}, "the functions cannot be reached directly", "answers 200, not 403"),
        ({"refuses_renames": True}, "a conversation is renamed", "answers 415"),
        ({"refuses_encoded_queries": True}, "what a query may hold", "%20 in a query: was refused on the way (403"),
        ({"keeps_what_is_deleted": True}, "what was made is deleted", "answers 200, not 404"),
    ],
)
def test_a_fault_is_seen_and_named(fault: dict[str, Any], check: str, seen: str, capsys: pytest.CaptureFixture[str]) -> None:
    (_, failed, _), told = run(Behaviour(**fault), capsys)
    assert failed == 1
    assert f"FAILED  {check}: " in told
    assert seen in told


def test_a_stop_that_is_not_heard_is_seen(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_STOP_S", 0.01)
    (_, failed, _), told = run(Behaviour(ignores_stops=True), capsys)
    assert failed == 1
    assert "FAILED  a turn is stopped: the answer went on for " in told


def test_what_only_an_account_can_tell_is_told_and_fails_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Whether a request without a digest, and a query that is not percent-encoded, get through."""
    told = {}
    for kind in (Behaviour(), Behaviour(wants_digests=False, refuses_plain_queries=True)):
        with scripted_site(kind) as url:
            site = Site(url, TOKEN, lambda url=url: [f"{url}/direct"])  # type: ignore[misc]
            assert smoke(site) == (PASSED, 0, 0)
            site.close()
        lines = capsys.readouterr().out.splitlines()
        told[kind.wants_digests] = {
            name: line for line in lines for name in ("without the digest", "a query may hold") if name in line.partition(": ")[0]
        }
    assert told[True]["without the digest"].count("was refused on the way (403, InvalidSignatureException)") == 3
    assert "POST without a body: reached the function (202)" in told[False]["without the digest"]
    assert "+ reached the function (403 forbidden_workspace)" in told[True]["a query may hold"]
    assert "* was refused on the way (403, InvalidSignatureException)" in told[False]["a query may hold"]


class Account:
    """The versions as an account tells of them: the second is live once `publish` was called."""

    def __init__(self, keeps_the_old: bool = False) -> None:
        self.live = "1"
        self.keeps_the_old = keeps_the_old
        self.asked = threading.Event()

    def version(self) -> Version:
        def live() -> str:
            self.asked.set()
            return self.live

        return Version(live, lambda version: version == self.live or self.keeps_the_old)


def across(behaviour: Behaviour, account: Account, wait_s: float = 10) -> str:
    """The stream is under way when the second version goes live, and ends afterwards."""
    behaviour.goes_on = threading.Event()
    with scripted_site(behaviour) as url:
        site = Site(url, TOKEN, list)

        def publish() -> None:
            account.asked.wait(5)
            time.sleep(0.1)  # the stream has begun by then
            account.live = "2"
            time.sleep(0.2)
            assert behaviour.goes_on is not None
            behaviour.goes_on.set()

        publishing = threading.Thread(target=publish)
        publishing.start()
        try:
            return across_a_deployment(site, account.version(), wait_s, pause_s=0.02)
        finally:
            publishing.join()
            site.close()


def test_a_stream_that_outlives_a_deployment_is_told_with_what_became_of_the_old_version() -> None:
    told = across(Behaviour(), Account())
    assert told.startswith("version 2 went live; the stream ended 0.")
    assert '"status": "complete"' in told
    assert "version 1 is deleted; the turn is complete" in told
    assert "version 1 is still there" in across(Behaviour(), Account(keeps_the_old=True))


def test_a_stream_that_a_deployment_breaks_off_is_told_and_its_turn_decides() -> None:
    """A reader that resumes loses nothing as long as the turn went on."""
    assert "broken off (RemoteProtocolError)" in across(Behaviour(breaks_off=True), Account())
    with pytest.raises(Failed, match=r"broken off .*; the turn is interrupted"):
        across(Behaviour(breaks_off=True, turn_status="interrupted"), Account())


def test_a_deployment_that_does_not_come_is_said() -> None:
    with (
        scripted_site(Behaviour()) as url,
        closing(Site(url, TOKEN, list)) as site,
        pytest.raises(NotChecked, match="no other version was live after 0 s"),
    ):
        across_a_deployment(site, Account().version(), 0.3, pause_s=0.02)


def test_without_an_account_the_deployment_cannot_be_watched(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted_site(Behaviour()) as url, pytest.raises(SystemExit) as ended:
        main(["--across-deploy", "--region", "eu-central-1"], {"URL": url, "TOKEN": TOKEN})
    assert ended.value.code == 0
    assert "skipped  a stream across a deployment: the account does not tell which version is live" in capsys.readouterr().out


def test_function_urls_nobody_tells_are_skipped_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    def unknown() -> list[str]:
        raise NotChecked("the account does not tell them")

    with scripted_site(Behaviour()) as url:
        site = Site(url, TOKEN, unknown)
        assert smoke(site) == (PASSED - 1, 0, 1)
        site.close()
    assert "skipped  the functions cannot be reached directly: the account does not tell them" in capsys.readouterr().out


def test_a_deployment_that_does_not_answer_fails_every_check_it_can(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted_site(Behaviour()) as url:
        pass
    site = Site(url, TOKEN, lambda: [f"{url}/direct"])
    _, failed, _ = smoke(site)
    site.close()
    assert failed == 8
    assert "ConnectError" in capsys.readouterr().out


@pytest.mark.parametrize("env", [{}, {"URL": "https://x.example"}, {"URL": "x.example", "TOKEN": TOKEN}])
def test_without_a_url_and_a_token_it_says_what_is_missing(env: dict[str, str]) -> None:
    with pytest.raises(SystemExit, match="make smoke URL="):
        main([], env)


def test_the_command_ends_with_status_one_when_something_fails() -> None:
    with scripted_site(Behaviour(direct=200)) as url:
        command = [sys.executable, "-m", "infra.smoke", "--function-url", f"{url}/direct"]
        done = subprocess.run(command, cwd=ROOT, env={"URL": url, "TOKEN": TOKEN}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "10 passed, 1 failed, 0 skipped"
    assert TOKEN not in done.stdout + done.stderr
