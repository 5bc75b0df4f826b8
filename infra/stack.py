"""The stack: storage, the three functions, sign-in, the edge in front, and what is watched."""

from collections.abc import Mapping

from aws_cdk import CfnOutput, RemovalPolicy, Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.config import LOG_DAYS, Config
from infra.edge import Edge
from infra.exceptions import acknowledge
from infra.function import ARCHITECTURES, House
from infra.functions import ChatStream, Conversations, Persist, Storage
from infra.model_key import model_key
from infra.queue import PersistQueue
from infra.resources import PERSIST
from infra.sign_in import UserPool, own_provider
from infra.tables import Tables
from infra.watch import Watch


class ChatStack(Stack):
    """One deployment of the whole system. `code` holds each function's package, by the function's name."""

    def __init__(
        self, scope: Construct, construct_id: str, *, config: Config, code: Mapping[str, lambda_.Code], **options: object
    ) -> None:
        super().__init__(scope, construct_id, **options)  # type: ignore[arg-type]
        tables = Tables(self, "Tables", ephemeral=config.ephemeral, restored=config.conversations_table, turns=config.turns_table)
        given = (config.queue_arn, config.dead_letter_queue_arn) if config.queue_arn and config.dead_letter_queue_arn else None
        queues = PersistQueue(self, "PersistQueue", spec=PERSIST, ephemeral=config.ephemeral, existing=given)
        storage = Storage(tables.conversations, tables.turns, queues.queue)
        key = model_key(self, imported=config.model_key_secret, ephemeral=config.ephemeral)
        pool = None if config.own_provider else UserPool(self, "SignIn", config=config)
        provider = pool.provider if pool else own_provider(config)
        house = _house(config)

        chat_stream = ChatStream(
            self,
            "ChatStream",
            config=config,
            house=house,
            code=code["chat_stream"],
            storage=storage,
            key=key,
            provider=provider,
        )
        persist = Persist(self, "Persist", config=config, house=house, code=code["persist"], storage=storage)
        chat_stream.node.add_dependency(persist)  # who reads records must know what those who write them say
        conversations = Conversations(
            self, "Conversations", config=config, house=house, code=code["conversations"], storage=storage, provider=provider
        )
        # CDK's own helpers run during a deployment only; without this they would leave log groups that nothing deletes.
        helper_logs = logs.LogGroup(self, "HelperLogs", retention=house.log_retention, removal_policy=house.removal_policy)
        edge = Edge(
            self,
            "Edge",
            config=config,
            chat_stream=chat_stream.url,
            conversations=conversations.url,
            sign_in_origins=provider.origins,
            helper_logs=helper_logs,
        )
        if pool:
            pool.return_to(edge.endpoint, helper_logs)
        Watch(
            self,
            "Watch",
            config=config,
            queue=queues.queue,
            dead=queues.dead,
            functions=[
                ("ChatStream", chat_stream.function),
                ("Persist", persist.function),
                ("Conversations", conversations.function),
            ],
            with_url=["ChatStream", "Conversations"],
            distribution=edge.distribution,
        )
        acknowledge(self, config)
        self._tell(
            {
                "Endpoint": edge.endpoint,
                "SiteBucket": edge.bucket.bucket_name,
                "DistributionDomain": edge.distribution.distribution_domain_name,
                "Issuer": provider.issuer,
                "ClientId": provider.client_id,
                "ModelKeySecret": key.secret_name,
                "ChatStreamUrl": chat_stream.url.url,
                "ConversationsUrl": conversations.url.url,
                "QueueUrl": queues.queue.queue_url,
                "DeadLetterQueueUrl": queues.dead.queue_url,
                "ConversationsTable": tables.conversations.table_name,
                "TurnsTable": tables.turns.table_name,
                **({"UserPoolId": pool.pool.user_pool_id} if pool else {}),
            }
        )

    def _tell(self, outputs: Mapping[str, str]) -> None:
        for name, value in outputs.items():
            CfnOutput(self, name, value=value)


def _house(config: Config) -> House:
    return House(
        metrics_namespace=config.stack_name,
        architecture=ARCHITECTURES[config.architecture],
        log_retention=logs.RetentionDays[LOG_DAYS[config.log_days]],
        removal_policy=RemovalPolicy.DESTROY if config.ephemeral else RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
    )
