"""What the commands ask of a real account: who we are there, whether CDK may deploy, what the stack is called by AWS."""

import os
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Final, ParamSpec

import boto3
from botocore.config import Config as ClientConfig
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
)

from infra.config import Config

_P = ParamSpec("_P")
_CONCURRENCY_QUOTA: Final = "L-B99A9384"  # Service Quotas: Lambda, concurrent executions
_USUAL_CONCURRENCY: Final = 1_000  # the quota's published default; a new account has 10
_LEFT_UNRESERVED: Final = 100  # Lambda keeps as many for functions without a reservation
_TIGHT: Final = 100
_BOOTSTRAP: Final = "/cdk-bootstrap/hnb659fds/version"
_OLDEST_BOOTSTRAP: Final = 6  # the first whose roles the CLI asks for
_SETTINGS: Final = ClientConfig(connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 3, "mode": "standard"})


class AccountError(Exception):
    """The command cannot go on; the text says what to do."""


def told_plainly(command: Callable[_P, None]) -> Callable[_P, None]:
    """A command that ends with a sentence when the account is not as it must be."""

    @wraps(command)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except AccountError as error:
            sys.exit(str(error))
        except (NoCredentialsError, PartialCredentialsError, TokenRetrievalError, ProfileNotFound):
            sys.exit(
                "There are no AWS credentials. Sign in (`aws sso login`), or set AWS_PROFILE or AWS_ACCESS_KEY_ID; then again."
            )
        except NoRegionError:
            sys.exit("There is no region. Set AWS_REGION, or give one: ARGS='-c region=eu-central-1'.")
        except EndpointConnectionError:
            sys.exit("AWS does not answer: the network, or a proxy, is in the way.")
        except ClientError as error:
            sys.exit(f"AWS refused: {error.response['Error'].get('Message') or error.response['Error']['Code']}")
        except BotoCoreError as error:
            sys.exit(f"AWS could not be asked: {error}")

    return run


def session(region: str | None) -> boto3.Session:
    """The credentials of the environment, in the region given or the environment's own, as the CDK CLI would find it."""
    return boto3.Session(region_name=region or os.environ.get("AWS_REGION"))


def check_ready(aws: boto3.Session) -> str:
    """The account's number; raises AccountError when CDK was not bootstrapped there, botocore's errors when we may not ask."""
    if aws.region_name is None:
        raise NoRegionError  # sts would answer without one, and CDK choose one by itself
    identity = client(aws, "sts").get_caller_identity()
    account: str = identity["Account"]
    try:
        version = int(client(aws, "ssm").get_parameter(Name=_BOOTSTRAP)["Parameter"]["Value"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "ParameterNotFound":
            raise
        version = 0
    if version < _OLDEST_BOOTSTRAP:
        raise AccountError(
            f"Account {account} is not bootstrapped for CDK in {aws.region_name}. Once per account and region:\n"
            f"    infra/node_modules/.bin/cdk bootstrap aws://{account}/{aws.region_name}"
        )
    return account


def concurrency_advice(aws: boto3.Session, config: Config) -> str | None:
    """What to ask AWS for when Lambda may run too few functions at once here; None when it may run enough.

    A stream is one execution for as long as it lasts. What persist does not get, it is refused: a record that is refused five
    times becomes a dead letter, though nothing is wrong with it.
    """
    try:
        limit = int(client(aws, "lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"])
    except ClientError as error:  # whoever deploys through CDK's roles need not be allowed to ask
        return f"How many functions Lambda may run at once here could not be read ({error.response['Error']['Code']})."
    wanted = max(_USUAL_CONCURRENCY, (config.chat_concurrency or 0) + config.persist_concurrency + _LEFT_UNRESERVED)
    if limit >= wanted:
        return None
    told = (
        f"Lambda runs at most {limit:,} functions at once in this account and region. A stream is one as long as it lasts; "
        f"persist takes up to {config.persist_concurrency}. Ask for {wanted:,}, which costs nothing and may take some days:\n"
        f"    aws service-quotas request-service-quota-increase --region {aws.region_name} --service-code lambda "
        f"--quota-code {_CONCURRENCY_QUOTA} --desired-value {wanted}\n"
    )
    if config.chat_concurrency is not None and limit - config.chat_concurrency < _LEFT_UNRESERVED:
        told += (
            f"Until then leave out chatConcurrency={config.chat_concurrency}: Lambda reserves nothing that leaves fewer than "
            f"{_LEFT_UNRESERVED} to everything else."
        )
    elif limit < _TIGHT:
        told += (
            f"Until then deploy with -c persistConcurrency=2 and expect {max(1, limit - 4)} streams at once: with more, what was "
            "streamed is stored late, and records that are refused five times wait in the dead-letter queue (make redrive)."
        )
    return told.rstrip()


def outputs(aws: boto3.Session, stack: str) -> Mapping[str, str]:
    """The stack's outputs by name; raises AccountError when there is no such stack."""
    try:
        (found,) = client(aws, "cloudformation").describe_stacks(StackName=stack)["Stacks"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":
            raise AccountError(f"There is no stack {stack} in {aws.region_name}. Which stage, which region?") from error
        raise
    return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}


def function_name(aws: boto3.Session, stack: str, begins: str) -> str:
    """What AWS calls the function whose logical id in the stack begins so; raises AccountError when there is none."""
    pages = client(aws, "cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack)
    for resource in (found for page in pages for found in page["StackResourceSummaries"]):
        if resource["ResourceType"] == "AWS::Lambda::Function" and resource["LogicalResourceId"].startswith(begins):
            return str(resource["PhysicalResourceId"])
    raise AccountError(f"The stack {stack} has no function {begins} in {aws.region_name}.")


def client(aws: boto3.Session, service: str) -> Any:
    """A client that gives up in seconds: a person waits."""
    factory: Any = aws.client
    return factory(service, config=_SETTINGS)
