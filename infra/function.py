"""One Lambda function by the rules of the house: Lambda's Python, JSON logs kept for a while, traced, a role of exact grants."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

RUNTIME: Final = lambda_.Runtime.PYTHON_3_13
ARCHITECTURES: Final = {"arm64": lambda_.Architecture.ARM_64, "x86_64": lambda_.Architecture.X86_64}


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What all functions have in common."""

    metrics_namespace: str
    architecture: lambda_.Architecture
    log_retention: logs.RetentionDays
    removal_policy: RemovalPolicy


def function(
    scope: Construct,
    construct_id: str,
    *,
    house: House,
    code: lambda_.Code,
    handler: str,
    environment: Mapping[str, str],
    timeout_s: int,
    memory_mb: int,
    service: str,
    description: str,
    layers: list[lambda_.ILayerVersion] | None = None,
    reserved_concurrency: int | None = None,
    snap_start: bool = False,
) -> lambda_.Function:
    """The function; it may write its own logs and its traces, and nothing else until it is granted."""
    log_group = logs.LogGroup(scope, "Logs", retention=house.log_retention, removal_policy=house.removal_policy)
    role = iam.Role(scope, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    log_group.grant_write(role)
    return lambda_.Function(
        scope,
        construct_id,
        description=description,
        runtime=RUNTIME,
        architecture=house.architecture,
        code=code,
        handler=handler,
        role=role,
        timeout=Duration.seconds(timeout_s),
        memory_size=memory_mb,
        layers=layers or [],
        environment={
            "POWERTOOLS_SERVICE_NAME": service,
            "POWERTOOLS_METRICS_NAMESPACE": house.metrics_namespace,
            **environment,
        },
        log_group=log_group,
        logging_format=lambda_.LoggingFormat.JSON,
        tracing=lambda_.Tracing.ACTIVE,
        reserved_concurrent_executions=reserved_concurrency,
        snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if snap_start else None,
        # An old version's snapshot would go on costing money.
        current_version_options=lambda_.VersionOptions(removal_policy=RemovalPolicy.DESTROY),
    )


def grant(fn: lambda_.Function, table: dynamodb.ITableV2, *verbs: str, index: str | None = None) -> None:
    """Exactly these DynamoDB actions on exactly this table; `Query` on the index too, where one is named."""
    fn.add_to_role_policy(
        iam.PolicyStatement(actions=[f"dynamodb:{verb}" for verb in sorted(verbs)], resources=[table.table_arn])
    )
    if index is not None:
        fn.add_to_role_policy(iam.PolicyStatement(actions=["dynamodb:Query"], resources=[f"{table.table_arn}/index/{index}"]))
