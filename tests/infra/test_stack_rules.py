"""The template against AWS's own rules: cfn-lint for its form, cdk-nag's AWS Solutions for its security."""

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import Validations
from aws_cdk import aws_lambda as lambda_
from cdk_nag import AwsSolutionsChecks
from cfnlint.api import ManualArgs, lint  # type: ignore[import-untyped]

from infra.config import Config
from infra.stack import ChatStack
from tests.infra.conftest import FULL, FUNCTIONS, Stack

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(180)]

# W3005: a DependsOn that a reference implies already. CDK writes them out.
NOISE = ["W3005"]
CONTEXTS: list[dict[str, str]] = [{}, FULL]


@pytest.mark.parametrize("which", ["stack", "full_stack"])
def test_cfn_lint_finds_nothing(which: str, request: pytest.FixtureRequest) -> None:
    made: Stack = request.getfixturevalue(which)
    found = lint(json.dumps(made.template), config=ManualArgs(ignore_checks=NOISE, regions=["us-east-1"]))
    assert [f"{match.rule.id} {match.message} {match.path}" for match in found] == []


def checked(context: dict[str, str], tmp_path: Path, break_it: bool = False) -> list[tuple[str, str]]:
    """The rules of AWS Solutions that the stack breaks and nobody gave a reason for, with where; read from CDK's own report."""
    app = cdk.App(outdir=str(tmp_path))
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    config = Config.from_context(context)
    place = cdk.Environment(account="111122223333", region=config.region) if config.region else None
    code = {name: lambda_.Code.from_asset(str(Path(__file__).parent / "some_code")) for name in FUNCTIONS}
    stack = ChatStack(app, config.stack_name, config=config, code=code, env=place)
    if break_it:
        cdk.aws_sqs.Queue(stack, "Open")
    report = tmp_path / "validation-report.json"
    try:
        app.synth()
    except Exception:  # jsii raises a kind of its own; what was found stands in the report
        if not report.exists():
            raise
    return sorted(findings(json.loads(report.read_text()))) if report.exists() else []


def findings(report: Any) -> list[tuple[str, str]]:
    found = []
    for plugin in report["pluginReports"]:
        for violation in plugin["violations"]:
            paths = [str(one.get("constructPath", "")) for one in violation.get("violatingConstructs", [])]
            found += [(str(violation["ruleName"]), path) for path in paths]
    return found


@pytest.mark.parametrize("context", CONTEXTS, ids=["default", "full"])
def test_every_rule_of_aws_solutions_is_kept_or_left_with_a_reason(context: dict[str, str], tmp_path: Path) -> None:
    assert checked(context, tmp_path) == []


def test_a_rule_that_is_broken_is_found(tmp_path: Path) -> None:
    """Were the checks not to run, the test above would pass all the same."""
    assert any("SQS" in rule and "Open" in path for rule, path in checked({}, tmp_path, break_it=True))
