"""The two tables, from the definitions the local run uses."""

from typing import Final

from aws_cdk import RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from infra import resources

_STRING: Final = dynamodb.AttributeType.STRING


class Tables(Construct):
    """`conversations` can be restored to any second of the last 35 days; `turns` forgets after a day by itself."""

    def __init__(
        self, scope: Construct, construct_id: str, *, ephemeral: bool, restored: str | None = None, turns: str | None = None
    ) -> None:
        """`restored` names a table that stands in for `conversations`, `turns` one that stands in for `turns`."""
        super().__init__(scope, construct_id)
        self.conversations: dynamodb.ITableV2 = (
            dynamodb.TableV2.from_table_name(self, "Restored", restored)
            if restored
            else self._table("Conversations", resources.CONVERSATIONS, ephemeral=ephemeral, keeps_data=True)
        )
        self.turns: dynamodb.ITableV2 = (
            dynamodb.TableV2.from_table_name(self, "ExistingTurns", turns)
            if turns
            else self._table("Turns", resources.TURNS, ephemeral=ephemeral, keeps_data=False)
        )

    def _table(self, construct_id: str, spec: resources.Table, *, ephemeral: bool, keeps_data: bool) -> dynamodb.TableV2:
        keep = keeps_data and not ephemeral
        return dynamodb.TableV2(
            self,
            construct_id,
            partition_key=_key(spec.partition_key),
            sort_key=_key(spec.sort_key),
            billing=dynamodb.Billing.on_demand(),
            time_to_live_attribute=spec.ttl_attribute,
            global_secondary_indexes=[
                dynamodb.GlobalSecondaryIndexPropsV2(
                    index_name=index.name, partition_key=_key(index.partition_key), sort_key=_key(index.sort_key)
                )
                for index in spec.indexes
            ],
            # A table that is deleted while this is on leaves a backup behind for 35 days.
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(point_in_time_recovery_enabled=keep),
            deletion_protection=keep,
            removal_policy=RemovalPolicy.RETAIN if keep else RemovalPolicy.DESTROY,
        )


def _key(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=_STRING)
