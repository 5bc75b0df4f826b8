"""Alarms and dashboard: on the metrics that the functions really send."""

import json
from typing import Any, get_args

import pytest

from functions.chat_stream.settings import Settings as ChatSettings
from functions.common.records import AnswerStatus
from functions.persist import handler as persist
from tests.infra.conftest import Stack
from tests.infra.test_stack_functions import plain

pytestmark = pytest.mark.xdist_group("stack")  # one worker synthesises for all

ALARM = "AWS::CloudWatch::Alarm"
ALARMS = {
    "WatchDeadLetters": ("ApproximateNumberOfMessagesVisible", 0),
    "WatchOldestMessage": ("ApproximateAgeOfOldestMessage", 300),
    "WatchChatStreamErrors": ("Errors", 0),
    "WatchChatStreamThrottles": ("Throttles", 0),
    "WatchPersistErrors": ("Errors", 0),
    "WatchPersistThrottles": ("Throttles", 0),
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
    return found | {(metric[0], metric[1]) for widget in dashboard(stack) for metric in widget["properties"]["metrics"]}


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
