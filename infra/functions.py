"""The three functions, each with the verbs its code uses on the resources it uses them on.

DynamoDB authorises the parts of a transaction as the calls they stand for: Put as PutItem, Update as UpdateItem, and
ConditionCheck as ConditionCheckItem. SendMessageBatch is authorised as SendMessage.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aws_cdk import Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from functions.common import keys
from infra import resources
from infra.config import Config
from infra.edge_rules import AUTHORIZATION_HEADER
from infra.function import House, function, grant
from infra.sign_in import Provider

_ADAPTER_ACCOUNT: Final = "753240598075"  # AWS's, which publishes the Lambda Web Adapter
_ADAPTER_LAYER: Final = {"arm64": "LambdaAdapterLayerArm64", "x86_64": "LambdaAdapterLayerX86"}
_ADAPTER_PORT: Final = "8080"
# How long the adapter waits for the application at a start, and fails then. Without it, it waits for as long as the function may
# run: 900 s that are paid for. CloudFront gives up at 60; a start takes one to three.
READINESS_S: Final = 30
CONVERSATIONS_TIMEOUT_S: Final = 30


@dataclass(frozen=True, slots=True)
class Storage:
    """What the functions keep things in."""

    conversations: dynamodb.ITableV2
    turns: dynamodb.ITableV2
    queue: sqs.IQueue

    def tables(self) -> dict[str, str]:
        return {"CHAT_CONVERSATIONS_TABLE": self.conversations.table_name, "CHAT_TURNS_TABLE": self.turns.table_name}


class ChatStream(Construct):
    """The ASGI application behind the Lambda Web Adapter, streaming; its URL is that of a published, snapshotted version."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: Config,
        house: House,
        code: lambda_.Code,
        storage: Storage,
        key: secretsmanager.ISecret,
        provider: Provider,
    ) -> None:
        super().__init__(scope, construct_id)
        arn = f"arn:aws:lambda:{Stack.of(self).region}:{_ADAPTER_ACCOUNT}:layer:{_ADAPTER_LAYER[config.architecture]}"
        self.function = function(
            self,
            "Function",
            house=house,
            code=code,
            handler="run.sh",
            service="chat_stream",
            description="Relays the model's answer as it is made",
            timeout_s=resources.FUNCTION_S,
            memory_mb=config.chat_memory_mb,
            reserved_concurrency=config.chat_concurrency,
            snap_start=config.snap_start,
            layers=[lambda_.LayerVersion.from_layer_version_arn(self, "Adapter", f"{arn}:{config.adapter_version}")],
            environment={
                **_adapter(),
                **_limits(config),
                **_times(config),
                **_quotas(config),
                **provider.environment(),
                "CHAT_TURNS_TABLE": storage.turns.table_name,
                "CHAT_QUEUE_URL": storage.queue.queue_url,
                "OPENAI_BASE_URL": config.model_base_url,
                "CHAT_MODEL_KEY_SECRET": key.secret_name if config.model_key_secret else key.secret_arn,
                "CHAT_MODEL_KEY_REVISION": config.model_key_revision,  # nobody reads it: a change of it publishes a new version
                "DEFAULT_MODEL": config.default_model,
                "MODELS": ",".join(config.offered_models),
                "CHAT_THINK_MODELS": ",".join(config.think_models),
                "CHAT_SETTLE_DELAY_S": str(resources.SETTLE_DELAY_S),
            },
        )
        grant(self.function, storage.turns, "DeleteItem", "PutItem", "Query", "UpdateItem")
        self.function.add_to_role_policy(iam.PolicyStatement(actions=["sqs:SendMessage"], resources=[storage.queue.queue_arn]))
        self.function.add_to_role_policy(
            # A secret imported by name has an ARN that ends in six characters nobody here knows.
            iam.PolicyStatement(
                actions=["secretsmanager:GetSecretValue"],
                resources=[key.secret_full_arn or f"{key.secret_arn}-??????"],
            )
        )
        if config.model_key_secret:
            # The secret may lie under a key of the account's own. Which one is not known here; that only this secret may be
            # decrypted with it is.
            stack = Stack.of(self)
            self.function.add_to_role_policy(
                iam.PolicyStatement(
                    actions=["kms:Decrypt"],
                    resources=[stack.format_arn(service="kms", resource="key", resource_name="*")],
                    conditions={
                        "StringEquals": {"kms:ViaService": f"secretsmanager.{stack.region}.amazonaws.com"},
                        "StringLike": {"kms:EncryptionContext:SecretARN": f"{key.secret_arn}-??????"},
                    },
                )
            )
        self.alias = lambda_.Alias(self, "Live", alias_name=resources.ALIAS, version=self.function.current_version)
        self.url = self.alias.add_function_url(
            auth_type=lambda_.FunctionUrlAuthType.AWS_IAM, invoke_mode=lambda_.InvokeMode.RESPONSE_STREAM
        )


class Persist(Construct):
    """Takes the queue's records in batches; only what could not be stored comes again."""

    def __init__(
        self, scope: Construct, construct_id: str, *, config: Config, house: House, code: lambda_.Code, storage: Storage
    ) -> None:
        super().__init__(scope, construct_id)
        self.function = function(
            self,
            "Function",
            house=house,
            code=code,
            handler="functions.persist.handler.handler",
            service="persist",
            description="Stores what the queue brings, once",
            timeout_s=resources.PERSIST_TIMEOUT_S,
            memory_mb=resources.MEMORY_MB,
            environment=storage.tables(),
        )
        grant(self.function, storage.conversations, "BatchGetItem", "ConditionCheckItem", "UpdateItem")
        grant(self.function, storage.turns, "BatchGetItem", "ConditionCheckItem", "Query", "UpdateItem")
        # CDK's SqsEventSource would grant two verbs more than Lambda's poller uses.
        self.function.add_to_role_policy(
            iam.PolicyStatement(
                actions=["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"], resources=[storage.queue.queue_arn]
            )
        )
        source = lambda_.EventSourceMapping(
            self,
            "Source",
            target=self.function,
            event_source_arn=storage.queue.queue_arn,
            batch_size=resources.PERSIST.batch_size,
            report_batch_item_failures=True,
            max_concurrency=config.persist_concurrency,
        )
        source.node.add_dependency(self.function.role)  # a poller that may not read the queue is refused


class Conversations(Construct):
    """The API over what is stored."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: Config,
        house: House,
        code: lambda_.Code,
        storage: Storage,
        provider: Provider,
    ) -> None:
        super().__init__(scope, construct_id)
        self.function = function(
            self,
            "Function",
            house=house,
            code=code,
            handler="functions.conversations.handler.handler",
            service="conversations",
            description="Lists, reads, renames, exports and deletes conversations",
            timeout_s=CONVERSATIONS_TIMEOUT_S,
            memory_mb=resources.MEMORY_MB,
            environment={
                **storage.tables(),
                **provider.environment(),
                **_quotas(config),
                "CHAT_AUTHORIZATION_HEADER": AUTHORIZATION_HEADER,
            },
        )
        grant(
            self.function,
            storage.conversations,
            "BatchWriteItem",
            "DeleteItem",
            "GetItem",
            "Query",
            "UpdateItem",
            index=keys.ACTIVITY_INDEX,
        )
        grant(self.function, storage.turns, "BatchWriteItem", "PutItem", "Query", "UpdateItem")
        self.url = self.function.add_function_url(
            auth_type=lambda_.FunctionUrlAuthType.AWS_IAM, invoke_mode=lambda_.InvokeMode.BUFFERED
        )


def _adapter() -> Mapping[str, str]:
    """The Lambda Web Adapter's settings."""
    return {
        "AWS_LAMBDA_EXEC_WRAPPER": "/opt/bootstrap",
        "AWS_LWA_INVOKE_MODE": "response_stream",
        "AWS_LWA_PORT": _ADAPTER_PORT,
        "AWS_LWA_READINESS_CHECK_PATH": "/api/health",
        "AWS_LWA_READINESS_CHECK_TIMEOUT_SECONDS": str(READINESS_S),
        "AWS_LWA_AUTHORIZATION_SOURCE": AUTHORIZATION_HEADER,
        "AWS_LWA_ENABLE_COMPRESSION": "false",
        "AWS_LWA_SNAPSTART_BEFORE_CHECKPOINT_PATH": "/_snapshot/before",
        "AWS_LWA_SNAPSTART_AFTER_RESTORE_PATH": "/_snapshot/after",
        "PORT": _ADAPTER_PORT,
    }


def _limits(config: Config) -> Mapping[str, str]:
    return {
        "CHAT_MAX_MESSAGE_BYTES": str(config.max_message_bytes),
        "CHAT_MAX_NEW_BYTES": str(config.max_new_bytes),
        "CHAT_MAX_BODY_BYTES": str(config.max_body_bytes),
        "CHAT_MAX_MESSAGES": str(config.max_messages),
        "CHAT_MAX_ANSWER_BYTES": str(config.max_answer_bytes),
        "CHAT_MAX_UNASKED_BYTES": str(config.max_unasked_bytes),
        "CHAT_MAX_BODY_TIMEOUT_S": f"{config.body_timeout_s:g}",
    }


def _times(config: Config) -> Mapping[str, str]:
    seconds = {
        "TURN_S": config.turn_s,
        "FIRST_TOKEN_S": config.first_token_s,
        "STALL_S": config.stall_s,
        "RESERVE_S": config.reserve_s,
        "SAVE_S": config.save_s,
        "RECEIPT_WAIT_S": config.receipt_wait_s,
        "KEEPALIVE_S": config.keepalive_s,
        "CHECKPOINT_S": config.checkpoint_s,
    }
    return {f"CHAT_{name}": f"{value:g}" for name, value in seconds.items()}


def _quotas(config: Config) -> Mapping[str, str]:
    """For the function that enforces them, and the one that shows them."""
    return {
        "CHAT_QUOTA_STREAMS": str(config.quota_streams),
        "CHAT_QUOTA_TURNS_PER_MINUTE": str(config.quota_turns_per_minute),
        "CHAT_QUOTA_TOKENS_PER_DAY": str(config.quota_tokens_per_day),
    }
