"""`make smoke`: it passes on the real system, and sees whatever is wrong with a deployment."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.smoke.__main__ import main, smoke
from infra.smoke.site import NotChecked, Site
from local.system import LocalSystem
from tests.integration.smoke.scripted_site import TOKEN, Behaviour, scripted_site
from tests.oidc import OidcProvider

ROOT = Path(__file__).parents[3]
PASSED = 7


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
        ({"keeps_what_is_deleted": True}, "what was made is deleted", "answers 200, not 404"),
    ],
)
def test_a_fault_is_seen_and_named(fault: dict[str, Any], check: str, seen: str, capsys: pytest.CaptureFixture[str]) -> None:
    (_, failed, _), told = run(Behaviour(**fault), capsys)
    assert failed == 1
    assert f"FAILED  {check}: " in told
    assert seen in told


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
    assert failed == 5
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
    assert done.stdout.splitlines()[-1] == "6 passed, 1 failed, 0 skipped"
    assert TOKEN not in done.stdout + done.stderr
