"""`python -m tests.rehearsal`: deploys to MiniStack, checks what works there, names what does not; fails when a check does."""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import boto3

from infra.package.uv import PackagingError
from tests.oidc import OidcProvider
from tests.rehearsal.checks import CHECKS, Deployed
from tests.rehearsal.deployment import STACK, deploy
from tests.rehearsal.ministack import RehearsalFailed, environment, install, ministack

# What this cannot show, and what does.
_SKIPPED: Final = (
    ("chat_stream behind its URL", "MiniStack runs no layer's extension and buffers function URLs; see tests/lambda"),
    ("SnapStart", "MiniStack takes no snapshots; see tests/lambda"),
    ("origin access control", "MiniStack signs nothing; see tests/infra, and `make smoke` after a deployment"),
    ("least privilege", "MiniStack checks no permission; see tests/infra"),
    ("the Cognito user pool", "MiniStack has no managed login; the app is given a provider of its own"),
    ("the upload of the site", "MiniStack cannot run CDK's BucketDeployment; deployed with site=false"),
)


def main() -> None:
    """Exits with a sentence when the rehearsal cannot begin."""
    try:
        _say("installing MiniStack (once)")
        executable = install()
        with ministack(executable) as (endpoint, log), OidcProvider() as issuer, tempfile.TemporaryDirectory() as folder:
            _say("deploying")
            os.environ.update(environment(endpoint))
            outputs, left_out = deploy(endpoint, Path(folder))
            deployed = Deployed(boto3.Session(), endpoint, outputs, issuer)
            _believe(deployed)
            failed = [check for check in CHECKS if not _holds(check, deployed, log)]
    except (RehearsalFailed, PackagingError) as error:
        sys.exit(f"rehearsal: {error}")
    for what in left_out:
        _line("left out", what)
    for what, why in _SKIPPED:
        _line("skipped", f"{what}: {why}")
    print(f"{len(CHECKS) - len(failed)} passed, {len(failed)} failed, {len(_SKIPPED)} skipped")  # noqa: T201
    sys.exit(1 if failed else 0)


def _believe(deployed: Deployed) -> None:
    """The issuer in the template must be an https URL; ours is on loopback, so the deployed function is told afterwards."""
    functions: Any = deployed.client("lambda")
    resources = deployed.client("cloudformation").list_stack_resources(StackName=STACK)["StackResourceSummaries"]
    (name,) = [
        resource["PhysicalResourceId"]
        for resource in resources
        if resource["LogicalResourceId"].startswith("ConversationsFunction")
        and resource["ResourceType"] == "AWS::Lambda::Function"
    ]
    environment_ = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    changed = environment_ | {"OIDC_ISSUER": deployed.issuer.issuer, "OIDC_AUDIENCE": deployed.issuer.audience}
    functions.update_function_configuration(FunctionName=name, Environment={"Variables": changed})


def _holds(check: Callable[[Deployed], str], deployed: Deployed, log: Path) -> bool:
    name = check.__name__.replace("_", " ")
    try:
        note = check(deployed)
    except RehearsalFailed as failure:
        _line("FAILED", f"{name}: {failure}\n{log.read_text(errors='replace')[-2000:]}")
        return False
    _line("ok", f"{name} ({note})")
    return True


def _line(verdict: str, text: str) -> None:
    print(f"{verdict:>9}  {text}", flush=True)  # noqa: T201 - a person or CI reads it


def _say(step: str) -> None:
    _line("", f"{step}…  [{time.strftime('%H:%M:%S')}]")


if __name__ == "__main__":
    main()
