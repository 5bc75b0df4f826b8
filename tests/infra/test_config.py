"""The context: typed, checked, and wrong in a sentence."""

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from infra.config import MOST_BODY_BYTES, Config, ConfigError, camel
from infra.edge_rules import INVOCATION_BYTES
from local.url_event import event_of
from tests.infra.conftest import FULL

ROOT = Path(__file__).parents[2]
CERTIFICATE = "arn:aws:acm:us-east-1:111122223333:certificate/abc"


def test_no_setting_is_needed() -> None:
    config = Config.from_context({})
    assert config.stack_name == "chat-prod"
    assert not config.own_provider
    assert config.offered_models == ("gpt-5-mini",)


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("ephemeral", "true", True),
        ("ephemeral", True, True),
        ("snapStart", "False", False),
        ("chatMemoryMb", "2048", 2048),
        ("chatMemoryMb", 2048, 2048),
        ("models", "gpt-5-mini, gpt-5", ("gpt-5-mini", "gpt-5")),
        ("models", ["gpt-5-mini"], ("gpt-5-mini",)),
        ("models", '["gpt-5-mini","b"]', ("gpt-5-mini", "b")),
        ("stage", "blue", "blue"),
        ("firstTokenS", "600", 600.0),
        ("checkpointS", 1.5, 1.5),
        ("alarmEmail", "", None),
    ],
)
def test_a_value_is_read_from_the_command_line_s_text_or_cdk_json_s_type(key: str, text: Any, value: Any) -> None:
    config = Config.from_context({key: text})
    (spec,) = [spec for spec in fields(Config) if camel(spec.name) == key]
    assert getattr(config, spec.name) == value


@pytest.mark.parametrize(
    ("context", "sentence"),
    [
        ({"oidcIssuer": "https://login.example.com"}, "oidcIssuer is set, but oidcAudience is not: give both .* or neither"),
        ({"oidcAudience": "chat"}, "oidcAudience is set, but oidcIssuer is not: give both .* or neither"),
        ({"oidcClientId": "web"}, "oidcClientId belongs to a provider of your own"),
        ({"oidcLogoutUrl": "https://login.example.com/logout"}, "oidcLogoutUrl belongs to a provider of your own"),
        (
            {"oidcIssuer": "https://i.example.com", "oidcAudience": "chat", "oidcLogoutUrl": "logout"},
            "oidcLogoutUrl .* must be an https URL",
        ),
        ({"oidcIssuer": "http://login.example.com", "oidcAudience": "chat"}, "oidcIssuer .* must be an https URL"),
        ({"signInOrigins": "http://x.example.com"}, "signInOrigins .* must be an https URL"),
        ({"stagee": "x"}, "there is no setting stagee; there are: stage, "),
        ({"stage": "Prod"}, "stage is 'Prod'"),
        ({"ephemeral": "yes"}, "ephemeral is 'yes', which is not true or false"),
        ({"logDays": "ten"}, "logDays is 'ten', which is not a whole number"),
        ({"logDays": "-1"}, "logDays is '-1', which is not a whole number"),
        ({"logDays": "8"}, "logDays is 8: it must be one of 1, 3, 5, 7,"),
        ({"chatMemoryMb": "128"}, "chatMemoryMb is 128: it must be between 256 and 10240"),
        ({"chatMemoryMb": "true"}, "not a whole number"),
        ({"persistConcurrency": "1"}, "persistConcurrency is 1: it must be between 2 and 1000"),
        ({"adapterVersion": "25"}, "adapterVersion is 25"),
        ({"architecture": "mips"}, "architecture is mips"),
        ({"maxAnswerBytes": "500000"}, "maxAnswerBytes is 500000: it must be between 1024 and 358400"),
        ({"maxNewBytes": "1000000"}, "maxNewBytes is 1000000"),
        ({"maxMessageBytes": "921601"}, "maxMessageBytes is 921601"),
        ({"maxBodyBytes": "100"}, "maxBodyBytes is 100"),
        ({"quotaStreams": "1" + 16 * "0"}, "quotaStreams is"),
        ({"modelBaseUrl": "http://model.example.com/v1"}, "modelBaseUrl .* must be an https URL"),
        ({"defaultModel": "a", "models": "b,c"}, "defaultModel is 'a', which models does not list"),
        ({"domainName": "chat.example.com"}, "domainName and certificateArn go together"),
        ({"domainName": "not a host", "certificateArn": CERTIFICATE}, "domainName is 'not a host', which is not a host name"),
        (
            {"domainName": "chat.example.com", "certificateArn": CERTIFICATE.replace("us-east-1", "eu-west-1")},
            "must be an ARN in us-east-1",
        ),
        ({"turnS": "901"}, "turnS is 901: it must be between 60 and 900"),
        ({"turnS": "100", "firstTokenS": "86"}, "firstTokenS is 86: it must be between 1 and 85"),
        ({"turnS": "60"}, "firstTokenS is 90: it must be between 1 and 45"),
        ({"stallS": "0"}, "stallS is 0"),
        ({"stallS": "soon"}, "stallS is 'soon', which is not a number"),
        ({"saveS": "16"}, "saveS is 16: it must be between 1 and 15"),
        ({"keepaliveS": "60"}, "keepaliveS is 60: it must be between 1 and 30"),
        ({"checkpointS": "0.1"}, "checkpointS is 0.1: it must be between 0.5 and 10"),
        ({"maxUnaskedBytes": "5000000"}, "maxUnaskedBytes is 5000000"),
        ({"queueArn": "arn:aws:sqs:eu-west-1:111122223333:q"}, "queueArn and deadLetterQueueArn go together"),
        (
            {"queueArn": "https://sqs/q", "deadLetterQueueArn": "x"},
            "queueArn is 'https://sqs/q', which is not the ARN of a queue",
        ),
        ({"userPoolId": "pool"}, "userPoolId is 'pool', which is not the id of a user pool"),
        ({"userPoolId": "eu-west-1_Ab1", "region": "us-east-1"}, "which lies in another region than us-east-1"),
        (
            {"userPoolId": "eu-west-1_Ab1", "oidcIssuer": "https://i.example.com", "oidcAudience": "chat"},
            "userPoolId and oidcIssuer exclude each other",
        ),
        ({"userPoolId": "eu-west-1_Ab1", "requireMfa": "true"}, "requireMfa is for the pool that the stack makes"),
        ({"priceClass": "50"}, "priceClass is 50: it must be one of 100, 200, All"),
        ({"wafRateLimit": "100"}, "deploy with -c region=us-east-1, or make the web ACL yourself"),
        (
            {"wafRateLimit": "100", "region": "us-east-1", "webAclArn": "arn:aws:wafv2:us-east-1:111122223333:global/webacl/a/b"},
            "exclude each other",
        ),
        ({"alarmEmail": "nobody"}, "alarmEmail is 'nobody', which is not an e-mail address"),
        ({"monthlyBudgetUsd": "10"}, "monthlyBudgetUsd needs alarmEmail"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(context: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Config.from_context(context)


def test_the_largest_body_fits_an_invocation_in_base64_with_all_that_is_around_it() -> None:
    largest = MOST_BODY_BYTES
    Config.from_context({"maxBodyBytes": str(largest)})
    headers = [("x-filler", '"' * 20_480)]  # CloudFront lets no more through; JSON writes each quote as two bytes
    event = event_of("POST", "/api/chat", "", headers, b"x" * largest, "203.0.113.7")
    assert event["isBase64Encoded"]
    assert len(json.dumps(event)) <= INVOCATION_BYTES
    with pytest.raises(ConfigError, match="maxBodyBytes"):
        Config.from_context({"maxBodyBytes": str(largest + 1)})


@pytest.mark.parametrize(
    "key", ["@aws-cdk/core:checkSecretUsage", "aws:cdk:bundling-stacks", "availability-zones:account=1:region=x"]
)
def test_cdk_s_own_keys_pass(key: str) -> None:
    assert Config.from_context({key: "x"}) == Config.from_context({})


def test_the_tests_full_stack_sets_nearly_everything() -> None:
    unset = {camel(spec.name) for spec in fields(Config)} - FULL.keys()
    assert unset == {
        "site", "workspacesClaim", "maxMessageBytes", "maxNewBytes", "maxBodyBytes", "maxAnswerBytes", "chatMemoryMb",
        "persistConcurrency", "webAclArn", "modelKeyRevision", "conversationsTable", "alarmTtftMs", "alarmTokensPerHour",
        "alarmFailedTurnsPercent", "maxUnaskedBytes", "firstTokenS", "stallS", "turnS", "reserveS", "saveS", "receiptWaitS",
        "keepaliveS", "checkpointS", "bodyTimeoutS", "turnsTable", "queueArn", "deadLetterQueueArn", "userPoolId", "requireMfa",
    }  # fmt: skip


def test_the_documentation_lists_every_setting_with_its_default() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", text, re.MULTILINE))
    for spec in fields(Config):
        default: Any = spec.default
        text_of = str(default).lower() if isinstance(default, bool) else default
        shown = "–" if default in (None, ()) else f"`{text_of}`"
        assert rows.get(camel(spec.name)) == shown, camel(spec.name)


def test_cdk_json_sets_no_setting_of_ours() -> None:
    assert Config.from_context(json.loads((ROOT / "cdk.json").read_text())["context"]) == Config.from_context({})
