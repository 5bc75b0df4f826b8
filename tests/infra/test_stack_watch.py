"""Alarms and dashboard: on the metrics that the functions really send."""

import json
import re
import time
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any, get_args

import pytest

from functions.chat_stream.settings import Settings as ChatSettings
from functions.common.failures import SIGN_IN_FAILURES, STORAGE_FAILURES
from functions.common.records import AnswerStatus, SettleTurn, TurnHead, TurnStarted
from functions.persist import handler as persist
from functions.persist import inbox
from functions.persist.job import Outcome
from infra.resources import SETTLE_DELAY_S
from tests.infra.conftest import Stack, synthesised
from tests.infra.test_stack_functions import plain

pytestmark = pytest.mark.xdist_group("stack")  # one worker synthesises for all

ALARM = "AWS::CloudWatch::Alarm"
ALARMS = {
    "WatchDeadLetters": ("ApproximateNumberOfMessagesVisible", 0),
    "WatchOldestMessage": ("ApproximateAgeOfOldestMessage", 1200),
    "WatchPersistLag": ("PersistLag", 60),
    "WatchChatStreamErrors": ("Errors", 0),
    "WatchChatStreamThrottles": ("Throttles", 0),
    "WatchPersistErrors": ("Errors", 0),
    "WatchPersistThrottles": ("Throttles", 0),
    "WatchChatStreamUrl5xx": ("Url5xxCount", 0),
    "WatchConversationsUrl5xx": ("Url5xxCount", 0),
    "WatchEdge5xx": ("5xxErrorRate", 5),
    "WatchConversationsErrors": ("Errors", 0),
    "WatchConversationsThrottles": ("Throttles", 0),
    "WatchTimeToFirstToken": ("TimeToFirstToken", 3000),
}


@pytest.mark.parametrize("name", ALARMS)
def test_there_is_an_alarm(stack: Stack, name: str) -> None:
    alarm = stack.one(ALARM, name)
    metric, above = ALARMS[name]
    assert (alarm["MetricName"], alarm["Threshold"]) == (metric, above)
    assert alarm["ComparisonOperator"] == "GreaterThanThreshold"
    assert alarm["TreatMissingData"] == "notBreaching"
    assert alarm["AlarmDescription"]


def test_the_dead_letter_alarm_looks_at_the_dead_letter_queue(stack: Stack) -> None:
    dead = stack.name_of("AWS::SQS::Queue", "PersistQueueDead")
    assert stack.one(ALARM, "WatchDeadLetters")["Dimensions"] == [
        {"Name": "QueueName", "Value": {"Fn::GetAtt": [dead, "QueueName"]}}
    ]


def test_a_settling_that_waits_for_its_turn_to_end_rings_nothing(stack: Stack) -> None:
    """It is as old as its delay when it becomes visible, and young records are watched by their lag."""
    assert stack.one(ALARM, "WatchOldestMessage")["Threshold"] >= SETTLE_DELAY_S + 300
    lag = stack.one(ALARM, "WatchPersistLag")
    assert lag["Threshold"] < SETTLE_DELAY_S
    assert lag["Dimensions"] == [{"Name": "service", "Value": "persist"}]


def test_a_settling_has_no_lag_of_its_own() -> None:
    """The lag's alarm could not tell it from a record that waited."""
    head = turn_head()
    assert inbox._lag_s(SettleTurn(turn=head), Outcome.STORED, time.time()) is None
    assert inbox._lag_s(TurnStarted(turn=head, messages=[]), Outcome.STORED, time.time()) is not None


def failing_share(stack: Stack) -> dict[str, Any]:
    return stack.one(ALARM, "WatchFailedTurns")


@pytest.mark.parametrize(
    ("failed", "complete", "rings"),
    [(None, 50, False), (1, 0, False), (2, 0, True), (2, 50, False), (30, 50, True), (2, None, True), (None, None, False)],
)
def test_failing_turns_ring(stack: Stack, failed: int | None, complete: int | None, rings: bool) -> None:
    """A provider's key that is empty or revoked fails every turn; one bad turn among many is the model's own matter."""
    alarm = failing_share(stack)
    (expression,) = [one["Expression"] for one in alarm["Metrics"] if "Expression" in one]
    found = {
        one["Id"]: {dimension["Value"] for dimension in one["MetricStat"]["Metric"]["Dimensions"]}
        for one in alarm["Metrics"]
        if "MetricStat" in one
    }
    assert found == {"failed": {"chat_stream", "failed"}, "complete": {"chat_stream", "complete"}}
    value = value_of(expression, failed=failed, complete=complete)
    assert (value is not None and value > alarm["Threshold"]) == rings  # a missing value rings nothing
    assert alarm["TreatMissingData"] == "notBreaching"


def value_of(expression: str, **metrics: int | None) -> float | None:
    """CloudWatch's metric math, as far as it is used: IF, FILL; a metric without data makes the expression have none."""

    def condition(true: bool, then: float, otherwise: float) -> float:
        return then if true else otherwise

    filled = {name: value or 0 for name, value in metrics.items()}
    unfilled = {name for name in metrics if re.search(rf"(?<!FILL\(){name}\b", expression)}
    if any(metrics[name] is None for name in unfilled):
        return None
    lazily = re.sub(r"/ \((.*)\), 0\)", r"/ max(\1, 1), 0)", expression)  # Python works out both branches
    value: float = eval(lazily, {"IF": condition, "FILL": lambda metric, _: metric, "max": max}, filled)
    return value


def test_the_edge_is_watched_where_cloudfront_s_metrics_are(stack: Stack, full_stack: Stack) -> None:
    """In us-east-1 alone: decided by the setting, or by the region that the template is deployed to."""
    alarm = stack.resources[stack.name_of(ALARM, "WatchEdge5xx")]
    condition = stack.template["Conditions"][alarm["Condition"]]
    assert condition == {"Fn::Equals": [{"Ref": "AWS::Region"}, "us-east-1"]}
    distribution = {"Ref": stack.name_of("AWS::CloudFront::Distribution", "Edge")}
    assert alarm["Properties"]["Dimensions"] == [
        {"Name": "DistributionId", "Value": distribution},
        {"Name": "Region", "Value": "Global"},
    ]
    assert "Condition" not in full_stack.resources[full_stack.name_of(ALARM, "WatchEdge5xx")]
    assert "WatchEdge5xx" not in str(synthesised(region="eu-central-1").of_type(ALARM))


def test_every_function_with_a_url_is_watched_for_its_5xx(stack: Stack) -> None:
    watched = {
        str(one["Properties"]["Dimensions"])
        for one in stack.of_type(ALARM).values()
        if one["Properties"].get("MetricName") == "Url5xxCount"
    }
    targets = {str(url["Properties"]["TargetFunctionArn"]["Fn::GetAtt"][0]) for url in stack.of_type("AWS::Lambda::Url").values()}
    assert watched == {str([{"Name": "FunctionName", "Value": {"Ref": target}}]) for target in targets}


HERE = {"AWS::AccountId": "111122223333", "AWS::Region": "us-east-1", "AWS::Partition": "aws"}
ACTIONS = ("AlarmActions", "OKActions", "InsufficientDataActions")


@pytest.mark.parametrize("name", [*ALARMS, "WatchFailedTurns", "WatchTokens"])
def test_every_alarm_may_carry_out_its_actions(full_stack: Stack, name: str) -> None:
    """CloudWatch publishes in its own name, and a topic with a policy of its own lets nobody in but whom that names."""
    logical = full_stack.name_of(ALARM, name)
    arn = f"arn:aws:cloudwatch:us-east-1:111122223333:alarm:chat-full-{logical}-AbC123"
    targets = [target for kind in ACTIONS for target in full_stack.one(ALARM, name).get(kind, [])]
    assert targets
    for target in targets:
        assert may_publish(full_stack, target, source=arn, account="111122223333")
        assert not may_publish(full_stack, target, source=arn.replace("1111", "9999"), account="999922223333")
        assert not may_publish(full_stack, target, source=arn, account="111122223333", secure=False)
        assert not may_publish(full_stack, target, source=arn, account="111122223333", service="events.amazonaws.com")


def test_no_alarm_is_left_out_of_the_test_above(full_stack: Stack) -> None:
    named = {full_stack.name_of(ALARM, name) for name in [*ALARMS, "WatchFailedTurns", "WatchTokens"]}
    assert full_stack.of_type(ALARM).keys() == named


def may_publish(
    stack: Stack, topic: Any, *, source: str, account: str, secure: bool = True, service: str = "cloudwatch.amazonaws.com"
) -> bool:
    """IAM's rule over the topic's policies: some statement allows the service's publishing, and none denies it."""
    context = {"aws:SourceArn": source, "aws:SourceAccount": account, "aws:SecureTransport": str(secure).lower()}
    effects = {
        statement["Effect"]
        for policy in stack.of_type("AWS::SNS::TopicPolicy").values()
        if topic in policy["Properties"]["Topics"]
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if statement["Action"] in ("sns:Publish", "sns:*")
        and statement["Resource"] == topic
        and statement["Principal"] in ("*", {"AWS": "*"}, {"Service": service})
        and all(
            MATCHES[operator](context[key], literal(wanted))
            for operator, conditions in statement.get("Condition", {}).items()
            for key, wanted in conditions.items()
        )
    }
    return effects == {"Allow"}


MATCHES: dict[str, Callable[[str, str], bool]] = {"StringEquals": str.__eq__, "Bool": str.__eq__, "ArnLike": fnmatchcase}


def literal(value: Any) -> str:
    """A template's value in the account and region of `HERE`."""
    match value:
        case {"Ref": name}:
            return HERE[name]
        case {"Fn::Join": [separator, parts]}:
            return str(separator).join(literal(part) for part in parts)
    return str(value)


def test_the_time_to_the_first_token_is_watched_at_its_95th_percentile(stack: Stack) -> None:
    assert stack.one(ALARM, "WatchTimeToFirstToken")["ExtendedStatistic"] == "p95"


def test_spend_is_watched_as_the_tokens_of_an_hour(stack: Stack) -> None:
    alarm = stack.one(ALARM, "WatchTokens")
    named = {one["MetricStat"]["Metric"]["MetricName"] for one in alarm["Metrics"] if "MetricStat" in one}
    assert named == {"InputTokens", "OutputTokens"}
    assert {one["MetricStat"]["Period"] for one in alarm["Metrics"] if "MetricStat" in one} == {3600}
    assert alarm["Threshold"] == 2_000_000


def test_alarms_write_to_the_address_that_is_given_and_to_nobody_else(stack: Stack, full_stack: Stack) -> None:
    assert stack.of_type("AWS::SNS::Topic") == {}
    assert not any(one["Properties"].get("AlarmActions") for one in stack.of_type(ALARM).values())
    topic = {"Ref": full_stack.name_of("AWS::SNS::Topic", "Watch")}
    assert all(one["Properties"]["AlarmActions"] == [topic] for one in full_stack.of_type(ALARM).values())
    subscription = full_stack.one("AWS::SNS::Subscription")
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "ops@example.com")


def test_a_budget_writes_before_the_month_is_over(stack: Stack, full_stack: Stack) -> None:
    assert stack.of_type("AWS::Budgets::Budget") == {}
    budget = full_stack.one("AWS::Budgets::Budget")
    assert budget["Budget"]["BudgetLimit"] == {"Amount": 100, "Unit": "USD"}
    (notified,) = budget["NotificationsWithSubscribers"]
    assert notified["Notification"]["NotificationType"] == "FORECASTED"
    assert notified["Subscribers"] == [{"Address": "ops@example.com", "SubscriptionType": "EMAIL"}]


def test_the_stack_watches_the_metrics_that_the_functions_send(stack: Stack) -> None:
    from functions.chat_stream import metrics

    watched = {pair for pair in watched_metrics(stack) if not pair[0].startswith("AWS/")}
    assert watched == {("chat-prod", name) for name in (*metrics.NAMES, persist.LAG_METRIC)}
    for function in ("ChatStream", "Persist"):
        assert stack.environment(function)["POWERTOOLS_METRICS_NAMESPACE"] == "chat-prod"
    assert ChatSettings.from_env(plain(stack.environment("ChatStream"))).metrics_namespace == "chat-prod"


def watched_metrics(stack: Stack) -> set[tuple[str, str]]:
    found = set()
    for alarm in stack.of_type(ALARM).values():
        properties = alarm["Properties"]
        metrics = [one["MetricStat"]["Metric"] for one in properties.get("Metrics", []) if "MetricStat" in one]
        found |= {(one["Namespace"], one["MetricName"]) for one in (metrics or [properties])}
    shown = [metric for widget in dashboard(stack) for metric in widget["properties"]["metrics"]]
    return found | {(metric[0], metric[1]) for metric in shown if len(metric) > 1}  # the others are searches


def dashboard(stack: Stack) -> list[Any]:
    body = stack.one("AWS::CloudWatch::Dashboard")["DashboardBody"]["Fn::Join"][1]
    text = "".join(part if isinstance(part, str) else "x" for part in body)
    widgets: list[Any] = json.loads(text)["widgets"]
    return widgets


def test_the_dashboard_shows_whose_part_of_the_wait_it_is(stack: Stack) -> None:
    titles = [widget["properties"]["title"] for widget in dashboard(stack)]
    assert {"Time to first token, p95", "Turns by outcome", "Tokens", "From the fact to its storing", "Queue"} <= set(titles)


def test_the_dashboard_counts_every_way_in_which_a_turn_can_end(stack: Stack) -> None:
    """`interrupted` is none that a worker can tell of: it is what persist writes when the worker is gone."""
    (turns,) = [widget for widget in dashboard(stack) if widget["properties"]["title"] == "Turns by outcome"]
    shown = {metric[metric.index("outcome") + 1] for metric in turns["properties"]["metrics"]}
    assert shown == set(get_args(AnswerStatus)) - {"interrupted"}


def test_the_dashboard_shows_why_sign_ins_and_calls_to_aws_fail(stack: Stack) -> None:
    for title, name in (("Failed sign-ins by reason", SIGN_IN_FAILURES), ("Failed calls to AWS by reason", STORAGE_FAILURES)):
        (widget,) = [one for one in dashboard(stack) if one["properties"]["title"] == title]
        ((search,),) = widget["properties"]["metrics"]
        assert search["expression"] == f"""SEARCH('{{"chat-prod",reason,service}} MetricName="{name}"', 'Sum', 300)"""


def turn_head() -> TurnHead:
    return TurnHead(
        turn_id="t", user_id="u", workspaces=None, workspace_id="w", conversation_id="c", new=True, bud_id="default",
        model="m", title=None, parent_id=None, depth=0, digest="d", started_at="2026-01-01T00:00:00Z",
    )  # fmt: skip


def test_the_dashboard_shows_every_reason_for_which_the_model_fails(stack: Stack) -> None:
    from functions.chat_stream import errors

    (failures,) = [one for one in dashboard(stack) if one["properties"]["title"] == "Failures of the model by reason"]
    shown = {metric[metric.index("reason") + 1] for metric in failures["properties"]["metrics"]}
    assert shown == {kind.reason or kind.code for kind in below(errors.ModelFailed)}


def below(kind: type[Any]) -> set[type[Any]]:
    """The classes under `kind` that are raised: those without any of their own, and ModelRefused."""
    found = {
        one
        for child in kind.__subclasses__()
        for one in below(child) | ({child} if child.code != "model_misconfigured" else set())
    }
    return found or {kind}
