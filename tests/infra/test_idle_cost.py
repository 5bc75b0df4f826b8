"""What costs money while nobody chats is counted in bench/cost as the template has it."""

import pytest

from bench.cost import idle
from tests.infra.conftest import Stack

pytestmark = pytest.mark.xdist_group("stack")


def test_alarms_are_counted_by_their_metrics(stack: Stack) -> None:
    alarms = [found["Properties"] for found in stack.of_type("AWS::CloudWatch::Alarm").values()]
    metrics = [sum("MetricStat" in metric for metric in alarm.get("Metrics", ())) or 1 for alarm in alarms]

    assert sum(metrics) == idle.ALARM_METRICS


def test_dashboards_and_secrets_are_counted(stack: Stack) -> None:
    assert len(stack.of_type("AWS::CloudWatch::Dashboard")) == idle.DASHBOARDS
    assert len(stack.of_type("AWS::SecretsManager::Secret")) == idle.SECRETS


def test_nothing_else_is_there_that_costs_by_the_hour(stack: Stack) -> None:
    by_the_hour = (
        "AWS::EC2::",
        "AWS::RDS::",
        "AWS::ElastiCache::",
        "AWS::KMS::Key",
        "AWS::WAFv2::",
        "AWS::ApplicationAutoScaling::",
    )

    assert [name for name, found in stack.resources.items() if found["Type"].startswith(by_the_hour)] == []
