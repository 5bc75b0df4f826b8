"""`python -m infra.smoke`: runs the checks, tells of each, ends with status 1 when one fails."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

import httpx2
from botocore.exceptions import BotoCoreError, ClientError

from infra import smoke as package
from infra.account import AccountError, client, function_name, outputs, session
from infra.config import Config
from infra.resources import ALIAS
from infra.smoke.across import Version, across_a_deployment
from infra.smoke.checks import CHECKS, health_answers, what_was_made_is_deleted
from infra.smoke.site import Failed, NotChecked, Site

Check = Callable[[Site], str]
_FUNCTION_URLS: Final = ("ChatStreamUrl", "ConversationsUrl")


def smoke(site: Site, checks: Sequence[Check] = CHECKS) -> tuple[int, int, int]:
    """Runs every check and tells of each. How many passed, failed, and could not be made."""
    counts = {"ok": 0, "FAILED": 0, "skipped": 0}
    for check in checks:
        try:
            verdict, note = "ok", check(site)
        except Failed as failure:
            verdict, note = "FAILED", str(failure)
        except NotChecked as reason:
            verdict, note = "skipped", str(reason)
        except (httpx2.TransportError, ValueError, KeyError, TypeError) as error:
            verdict, note = "FAILED", f"no answer that can be read ({type(error).__name__})"
        counts[verdict] += 1
        print(f"{verdict:>9}  {check.__name__.replace('_', ' ')}: {note}", flush=True)  # noqa: T201 - for a person
    return counts["ok"], counts["FAILED"], counts["skipped"]


def main(arguments: list[str], env: Mapping[str, str]) -> None:
    parser = argparse.ArgumentParser(prog="make smoke", description=package.__doc__)
    parser.add_argument("--stage", default="prod", help="whose stack names the function URLs")
    parser.add_argument("--region")
    parser.add_argument("--function-url", action="append", default=[], help="a function URL to try around CloudFront")
    parser.add_argument("--across-deploy", action="store_true", help="hold a long stream while you publish another version")
    parser.add_argument("--wait", type=float, default=1800.0, help="seconds to wait for that version")
    given = parser.parse_args(arguments)
    url, token = env.get("URL", "").strip(), env.get("TOKEN", "").strip()
    if urlsplit(url).scheme not in {"http", "https"} or not token:
        sys.exit(
            "Say which deployment, and bring a token: make smoke URL=https://… TOKEN=… (docs/operations.md says how to get one)"
        )
    site = Site(url, token, lambda: given.function_url or _function_urls(given.stage, given.region))
    try:
        passed, failed, skipped = smoke(site, _chosen(given.across_deploy, given.stage, given.region, given.wait))
    finally:
        site.close()
    print(f"{passed} passed, {failed} failed, {skipped} skipped")  # noqa: T201
    sys.exit(1 if failed else 0)


def _chosen(across: bool, stage: str, region: str | None, wait_s: float) -> Sequence[Check]:
    """All checks; with `across` the stream over a deployment, and the deletion of what it made."""
    if not across:
        return CHECKS

    def a_stream_across_a_deployment(site: Site) -> str:
        return across_a_deployment(site, _version(stage, region), wait_s)

    return (health_answers, a_stream_across_a_deployment, what_was_made_is_deleted)


def _version(stage: str, region: str | None) -> Version:
    """The version behind `chat_stream`'s URL, asked of the account; raises NotChecked where it does not tell."""
    try:
        aws = session(region)
        name = function_name(aws, Config(stage=stage).stack_name, "ChatStreamFunction")
        functions = client(aws, "lambda")
    except (AccountError, BotoCoreError, ClientError) as error:
        raise NotChecked(f"the account does not tell which version is live ({type(error).__name__})") from error

    def exists(version: str) -> bool:
        try:
            functions.get_function_configuration(FunctionName=name, Qualifier=version)
        except functions.exceptions.ResourceNotFoundException:
            return False
        return True

    def live() -> str:
        try:
            return str(functions.get_alias(FunctionName=name, Name=ALIAS)["FunctionVersion"])
        except (BotoCoreError, ClientError) as error:
            raise NotChecked(f"the account stopped telling which version is live ({type(error).__name__})") from error

    return Version(live, exists)


def _function_urls(stage: str, region: str | None) -> list[str]:
    try:
        found = outputs(session(region), Config(stage=stage).stack_name)
    except (AccountError, BotoCoreError, ClientError) as error:
        raise NotChecked(
            f"the account does not tell them ({type(error).__name__}); give ARGS='--function-url https://…', twice"
        ) from error
    return [found[name] for name in _FUNCTION_URLS]


if __name__ == "__main__":
    main(sys.argv[1:], os.environ)
