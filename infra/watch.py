"""What is watched: the alarms, to an address if there is one, and the dashboard. The metrics' names are the functions' own.

The spend that can run away is the model's, which no AWS bill shows: tokens are counted by the functions, and an alarm per hour
catches a leak within that hour. AWS's own part is a budget, which is right but hours late.
"""

from collections.abc import Sequence
from typing import Final, cast

from aws_cdk import ArnFormat, CfnCondition, CfnResource, Duration, Fn, Stack, Token
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from functions.common.failures import SIGN_IN_FAILURES, STORAGE_FAILURES
from infra.config import Config
from infra.resources import SETTLE_DELAY_S

# A settling waits in the queue for as long as its turn may live, and its age counts from when it was sent.
OLDEST_MESSAGE_S: Final = SETTLE_DELAY_S + 300
LAG_S: Final = 60
EDGE_5XX_PERCENT: Final = 5
_LEAST_FAILED_TURNS: Final = 2  # of one alone nothing follows
_CLOUDFRONT_REGION: Final = "us-east-1"
_IN_WIDTH: Final = 12
# The reasons that chat_stream counts failures by (functions/chat_stream/errors.py).
_MODEL_FAILURES: Final = (
    "wrong_key", "no_key", "unknown_model", "no_credit", "parameter_refused", "context_too_long", "content_filter",
    "model_refused", "model_rate_limited", "model_unavailable", "model_timeout", "model_stalled", "model_cut",
)  # fmt: skip


class Watch(Construct):
    """Alarms and dashboard over the functions and the queue."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: Config,
        queue: sqs.IQueue,
        dead: sqs.IQueue,
        functions: Sequence[tuple[str, lambda_.Function]],
        with_url: Sequence[str],
        distribution: cloudfront.Distribution,
    ) -> None:
        """`with_url` names those of the functions that have a function URL."""
        super().__init__(scope, construct_id)
        self._topic = self._tell(config.alarm_email)
        self._functions = functions
        self._namespace = config.stack_name
        self._watch_queue(queue, dead)
        for name, function in functions:
            self._watch_function(name, function)
            if name in with_url:
                self._watch_url(name, function)
        self._watch_edge(distribution)
        self._watch_turns(config)
        if config.monthly_budget_usd is not None and config.alarm_email is not None:
            self._budget(config.monthly_budget_usd, config.alarm_email)
        self.dashboard = self._dashboard(config, queue, dead)

    def _watch_queue(self, queue: sqs.IQueue, dead: sqs.IQueue) -> None:
        self._alarm(
            "DeadLetters",
            dead.metric_approximate_number_of_messages_visible(period=Duration.minutes(1), statistic="Maximum"),
            above=0,
            about="A record could not be stored. Find out why, then `make redrive` (docs/operations.md).",
        )
        self._alarm(
            "OldestMessage",
            queue.metric_approximate_age_of_oldest_message(period=Duration.minutes(1), statistic="Maximum"),
            above=OLDEST_MESSAGE_S,
            about="persist stores nothing, or a record again and again fails. Nothing is lost yet.",
            times=3,
        )
        self._alarm(
            "PersistLag",
            self._metric("PersistLag", "p95", service="persist"),
            above=LAG_S,
            about="persist does not keep up: conversations are readable later than they should be. Nothing is lost.",
            times=3,
        )

    def _watch_function(self, name: str, function: lambda_.Function) -> None:
        period = Duration.minutes(5)
        self._alarm(
            f"{name}Errors",
            function.metric_errors(period=period),
            above=0,
            about=f"{name} failed or ran out of time; see its logs.",
        )
        self._alarm(
            f"{name}Throttles",
            function.metric_throttles(period=period),
            above=0,
            about=f"{name} met a concurrency limit (docs/operations.md, quotas).",
        )

    def _watch_url(self, name: str, function: lambda_.Function) -> None:
        """The function's own answers of 5xx, which Lambda counts as successes, and Lambda's own."""
        self._alarm(
            f"{name}Url5xx",
            function.metric("Url5xxCount", statistic="Sum", period=Duration.minutes(5)),
            above=0,
            about=f"Requests to {name} were answered with a 5xx; see its logs.",
        )

    def _watch_edge(self, distribution: cloudfront.Distribution) -> None:
        """Only in us-east-1: CloudFront's metrics are there, and an alarm sees no other region's."""
        region = Stack.of(self).region
        if region != _CLOUDFRONT_REGION and not Token.is_unresolved(region):
            return
        alarm = self._alarm(
            "Edge5xx",
            cloudwatch.Metric(
                namespace="AWS/CloudFront",
                metric_name="5xxErrorRate",
                statistic="Average",
                period=Duration.minutes(5),
                dimensions_map={"DistributionId": distribution.distribution_id, "Region": "Global"},
            ),
            above=EDGE_5XX_PERCENT,
            about="CloudFront answers with 5xx: a function that cannot be reached, or one that is silent for 60 s.",
            times=3,
        )
        if Token.is_unresolved(region):  # the AWS profile decides it, when the template is deployed
            here = CfnCondition(self, "InCloudFrontsRegion", expression=Fn.condition_equals(region, _CLOUDFRONT_REGION))
            cast("CfnResource", alarm.node.default_child).cfn_options.condition = here

    def _watch_turns(self, config: Config) -> None:
        period = Duration.minutes(15)
        failed, complete = (
            self._metric("Turns", "Sum", period, service="chat_stream", outcome=outcome) for outcome in ("failed", "complete")
        )
        self._alarm(
            "FailedTurns",
            cloudwatch.MathExpression(
                expression=f"IF(failed >= {_LEAST_FAILED_TURNS}, 100 * failed / (failed + FILL(complete, 0)), 0)",
                using_metrics={"failed": failed, "complete": complete},
                period=period,
                label="failed turns, percent",
            ),
            above=config.alarm_failed_turns_percent,
            about="Turns fail. An empty or revoked provider's key fails every one: the logs of chat_stream name the code.",
        )
        self._alarm(
            "TimeToFirstToken",
            self._metric("TimeToFirstToken", "p95", service="chat_stream"),
            above=config.alarm_ttft_ms,
            about="Readers wait long for the first token. The dashboard shows whose part it is: ours or the model's.",
            times=3,
        )
        self._alarm(
            "Tokens",
            cloudwatch.MathExpression(
                expression="input + output",
                using_metrics={
                    "input": self._metric("InputTokens", "Sum", Duration.hours(1), service="chat_stream"),
                    "output": self._metric("OutputTokens", "Sum", Duration.hours(1), service="chat_stream"),
                },
                period=Duration.hours(1),
                label="tokens per hour",
            ),
            above=config.alarm_tokens_per_hour,
            about="The models read and write more than planned: somebody's loop, or a success. The provider bills it.",
        )

    def _alarm(
        self, construct_id: str, metric: cloudwatch.IMetric, *, above: float, about: str, times: int = 1
    ) -> cloudwatch.Alarm:
        alarm = cloudwatch.Alarm(
            self,
            construct_id,
            metric=metric,
            threshold=above,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=times,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            alarm_description=about,
        )
        if self._topic is not None:
            alarm.add_alarm_action(actions.SnsAction(self._topic))
            alarm.add_ok_action(actions.SnsAction(self._topic))
        return alarm

    def _metric(self, name: str, statistic: str, period: Duration | None = None, **dimensions: str) -> cloudwatch.Metric:
        """One of the functions' own, under this deployment's namespace."""
        return cloudwatch.Metric(
            namespace=self._namespace,
            metric_name=name,
            statistic=statistic,
            period=period or Duration.minutes(5),
            dimensions_map=dimensions,
        )

    def _by_reason(self, name: str) -> cloudwatch.MathExpression:
        """One line for each function and reason that there were."""
        search = f"""SEARCH('{{"{self._namespace}",reason,service}} MetricName="{name}"', 'Sum', 300)"""
        return cloudwatch.MathExpression(expression=search, label="", using_metrics={}, period=Duration.minutes(5))

    def _tell(self, email: str | None) -> sns.Topic | None:
        if email is None:
            return None
        topic = sns.Topic(self, "Topic", enforce_ssl=True)
        # A policy of our own takes the place of the default one, which lets the account publish: alarms are let in by name.
        stack = Stack.of(self)
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AlarmsOfThisAccount",
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions={
                    "StringEquals": {"aws:SourceAccount": stack.account},
                    "ArnLike": {
                        "aws:SourceArn": stack.format_arn(
                            service="cloudwatch", resource="alarm", resource_name="*", arn_format=ArnFormat.COLON_RESOURCE_NAME
                        )
                    },
                },
            )
        )
        topic.add_subscription(subscriptions.EmailSubscription(email))
        return topic

    def _budget(self, usd: int, email: str) -> None:
        budgets.CfnBudget(
            self,
            "Budget",
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(amount=usd, unit="USD"),
            ),
            notifications_with_subscribers=[
                budgets.CfnBudget.NotificationWithSubscribersProperty(
                    notification=budgets.CfnBudget.NotificationProperty(
                        notification_type="FORECASTED", comparison_operator="GREATER_THAN", threshold=100
                    ),
                    subscribers=[budgets.CfnBudget.SubscriberProperty(subscription_type="EMAIL", address=email)],
                )
            ],
        )

    def _dashboard(self, config: Config, queue: sqs.IQueue, dead: sqs.IQueue) -> cloudwatch.Dashboard:
        dashboard = cloudwatch.Dashboard(self, "Dashboard", dashboard_name=f"{config.stack_name}-{Stack.of(self).region}")
        ttft = ("TimeToFirstToken", "TimeToFirstTokenAdded", "TimeToFirstTokenModel")
        dashboard.add_widgets(
            _graph("Time to first token, median", [self._metric(name, "p50", service="chat_stream") for name in ttft]),
            _graph("Time to first token, p95", [self._metric(name, "p95", service="chat_stream") for name in ttft]),
        )
        outcomes = ("complete", "stopped", "truncated", "failed")
        dashboard.add_widgets(
            _graph("Turns by outcome", [self._metric("Turns", "Sum", service="chat_stream", outcome=name) for name in outcomes]),
            _graph("Tokens", [self._metric(name, "Sum", service="chat_stream") for name in ("InputTokens", "OutputTokens")]),
        )
        dashboard.add_widgets(
            _graph(
                "Failures of the model by reason",
                [self._metric("ModelFailures", "Sum", service="chat_stream", reason=reason) for reason in _MODEL_FAILURES],
            )
        )
        dashboard.add_widgets(
            _graph("Failed sign-ins by reason", [self._by_reason(SIGN_IN_FAILURES)]),
            _graph("Failed calls to AWS by reason", [self._by_reason(STORAGE_FAILURES)]),
        )
        dashboard.add_widgets(
            _graph(
                "From the fact to its storing", [self._metric("PersistLag", kind, service="persist") for kind in ("p50", "p95")]
            ),
            _graph(
                "Queue",
                [queue.metric_approximate_age_of_oldest_message(), dead.metric_approximate_number_of_messages_visible()],
            ),
        )
        functions = [function for _, function in self._functions]
        dashboard.add_widgets(
            _graph("Running at once", [fn.metric("ConcurrentExecutions", statistic="Maximum") for fn in functions]),
            _graph("Errors, throttles", [m for fn in functions for m in (fn.metric_errors(), fn.metric_throttles())]),
        )
        return dashboard


def _graph(title: str, metrics: Sequence[cloudwatch.IMetric]) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(metrics), width=_IN_WIDTH)
