"""The function's entry: everything is made on the first invocation, then kept."""

import json
import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from botocore.parsers import ResponseParserError

from functions.common.auth import TokenVerifier
from functions.common.failures import Failures
from functions.common.log import get_logger
from functions.common.session import ca_bundle_of, core_session
from functions.common.variables import warn_of_unknown
from functions.conversations.failing_calls import watch
from functions.conversations.gate import Event, Gate
from functions.conversations.routes import Routes
from functions.conversations.settings import Settings
from functions.conversations.store import Store

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


def handler(event: Event, context: LambdaContext) -> dict[str, Any]:
    """Answers one request to the function URL."""
    return gate()(event, context)


@lru_cache(maxsize=1)
def gate() -> Gate:
    """What answers, built from the environment; raises ValueError when a setting is missing."""
    settings = Settings.from_env(os.environ)
    logger = get_logger("conversations")
    warn_of_unknown(os.environ, logger.warning)
    failures = Failures(settings.metrics_namespace, "conversations")
    client = dynamodb()
    watch(client, failures)
    store = Store(client, settings.conversations_table, settings.turns_table)
    app = Routes(store, logger, settings.quotas).app
    return Gate(app, TokenVerifier(settings.auth), settings.authorization_header, logger, failures)


@lru_cache(maxsize=1)
def dynamodb() -> "DynamoDBClient":
    """The client. DynamoDB answers in milliseconds; what takes seconds is lost, and a person is waiting."""
    config = Config(connect_timeout=1, read_timeout=3, retries={"total_max_attempts": 2, "mode": "standard"})
    core = core_session()
    client = boto3.Session(botocore_session=core).client("dynamodb", config=config, verify=ca_bundle_of(core))
    client.meta.events.register("before-parse.dynamodb", _check_whole)
    return client


def _check_whole(response_dict: dict[str, Any], **_event: Any) -> None:
    """Raises ResponseParserError for a body that is no JSON: botocore would take it for an answer without an item."""
    try:
        json.loads(response_dict["body"] or b"{}")
    except ValueError as error:
        raise ResponseParserError("a reply that is cut short") from error
