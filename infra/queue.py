"""The queue between streaming and storing, with the dead-letter queue that keeps what could not be stored."""

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.resources import Queue


class PersistQueue(Construct):
    """Encrypted, TLS only. What is still in either queue is a user's message: the queues outlive the stack unless ephemeral.

    `existing` are the ARNs of a queue and its dead-letter queue that stand in for the stack's: those of one that was destroyed.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, spec: Queue, ephemeral: bool, existing: tuple[str, str] | None = None
    ) -> None:
        super().__init__(scope, construct_id)
        self.queue: sqs.IQueue
        self.dead: sqs.IQueue
        if existing is not None:
            queue, dead = existing
            self.queue = sqs.Queue.from_queue_arn(self, "ExistingQueue", queue)
            self.dead = sqs.Queue.from_queue_arn(self, "ExistingDead", dead)
            return
        policy = RemovalPolicy.DESTROY if ephemeral else RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
        self.dead = sqs.Queue(
            self,
            "Dead",
            retention_period=Duration.seconds(spec.dead_letter_retention_s),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            removal_policy=policy,
        )
        self.queue = sqs.Queue(
            self,
            "Queue",
            visibility_timeout=Duration.seconds(spec.visibility_timeout_s),
            retention_period=Duration.seconds(spec.retention_s),
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead, max_receive_count=spec.max_receive_count),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            removal_policy=policy,
        )
