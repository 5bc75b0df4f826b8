"""The stack, synthesised once per set of settings and session, as a template that tests can read."""

import os
from functools import cache
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "18,20")  # read when aws_cdk is imported

import aws_cdk as cdk
import pytest
from aws_cdk import aws_lambda as lambda_
from aws_cdk.assertions import Template

from infra.config import Config
from infra.stack import ChatStack

FUNCTIONS: Final = ("chat_stream", "persist", "conversations")
# Every optional part at once.
FULL: Final = {
    "stage": "full",
    "ephemeral": "true",
    "region": "us-east-1",
    "oidcIssuer": "https://login.example.com/tenant",
    "oidcAudience": "chat-api",
    "oidcClientId": "chat-web",
    "oidcLogoutUrl": "https://login.example.com/logout",
    "signInOrigins": "https://tokens.example.com",
    "modelKeySecret": "our/model-key",
    "modelBaseUrl": "https://models.example.com/v1",
    "defaultModel": "large",
    "models": "large,small",
    "thinkModels": "small",
    "maxMessages": "50",
    "quotaStreams": "0",
    "quotaTurnsPerMinute": "7",
    "quotaTokensPerDay": "1000",
    "chatConcurrency": "200",
    "architecture": "x86_64",
    "snapStart": "false",
    "adapterVersion": "31",
    "domainName": "chat.example.com",
    "certificateArn": "arn:aws:acm:us-east-1:111122223333:certificate/abc",
    "priceClass": "All",
    "wafRateLimit": "1000",
    "logDays": "7",
    "alarmEmail": "ops@example.com",
    "monthlyBudgetUsd": "100",
}


class Stack:
    """A template's resources, found by type and by the construct they come from."""

    def __init__(self, template: dict[str, Any]) -> None:
        self.template = template
        self.resources: dict[str, dict[str, Any]] = template["Resources"]

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """All of a type, by logical id."""
        return {name: found for name, found in self.resources.items() if found["Type"] == kind}

    def one(self, kind: str, begins: str = "") -> dict[str, Any]:
        """The properties of the only one of a type whose logical id begins so."""
        (found,) = [found for name, found in self.of_type(kind).items() if name.startswith(begins)]
        properties: dict[str, Any] = found["Properties"]
        return properties

    def name_of(self, kind: str, begins: str) -> str:
        (name,) = [name for name in self.of_type(kind) if name.startswith(begins)]
        return name

    def function(self, begins: str) -> dict[str, Any]:
        return self.one("AWS::Lambda::Function", f"{begins}Function")

    def environment(self, begins: str) -> dict[str, Any]:
        variables: dict[str, Any] = self.function(begins)["Environment"]["Variables"]
        return variables


@cache
def _synthesised(context: tuple[tuple[str, str], ...]) -> Stack:
    config = Config.from_context(dict(context))
    app = cdk.App()
    place = cdk.Environment(account="111122223333", region=config.region) if config.region else None
    # What is in the zips is no matter of the template: any folder stands for them.
    code = {name: lambda_.Code.from_asset(str(Path(__file__).parent / "some_code")) for name in FUNCTIONS}
    template = Template.from_stack(ChatStack(app, config.stack_name, config=config, code=code, env=place))
    return Stack(dict(template.to_json()))


def synthesised(**context: str) -> Stack:
    return _synthesised(tuple(sorted(context.items())))


@pytest.fixture(scope="session")
def stack() -> Stack:
    """The stack as it is when no setting is given."""
    return synthesised()


@pytest.fixture(scope="session")
def full_stack() -> Stack:
    """The stack with every optional part."""
    return synthesised(**FULL)
