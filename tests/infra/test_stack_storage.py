"""Tables, queues, the key's secret: what they are made of, and what becomes of them."""

import json
from collections.abc import Iterator

import pytest

from infra.resources import CONVERSATIONS, PERSIST, PERSIST_TIMEOUT_S, TURNS, Table
from tests.infra.conftest import FULL, Stack, synthesised

pytestmark = pytest.mark.xdist_group("stack")  # one worker synthesises for all

TABLE = "AWS::DynamoDB::GlobalTable"


@pytest.mark.parametrize(("name", "spec"), [("TablesConversations", CONVERSATIONS), ("TablesTurns", TURNS)])
def test_a_table_is_made_from_the_definition_that_the_local_run_uses(stack: Stack, name: str, spec: Table) -> None:
    table = stack.one(TABLE, name)
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["KeySchema"] == schema(spec.partition_key, spec.sort_key)
    assert {attribute["AttributeType"] for attribute in table["AttributeDefinitions"]} == {"S"}
    indexes = {index["IndexName"]: index for index in table.get("GlobalSecondaryIndexes", [])}
    assert {name: index["KeySchema"] for name, index in indexes.items()} == {
        index.name: schema(index.partition_key, index.sort_key) for index in spec.indexes
    }
    assert all(index["Projection"] == {"ProjectionType": "ALL"} for index in indexes.values())
    assert table.get("TimeToLiveSpecification") == (
        {"AttributeName": spec.ttl_attribute, "Enabled": True} if spec.ttl_attribute else None
    )


def test_conversations_can_be_restored_to_any_second_and_cannot_be_deleted_by_mistake(stack: Stack) -> None:
    (replica,) = stack.one(TABLE, "TablesConversations")["Replicas"]
    assert replica["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
    assert replica["DeletionProtectionEnabled"] is True
    assert stack.resources[stack.name_of(TABLE, "TablesConversations")]["DeletionPolicy"] == "Retain"


def test_turns_which_forget_within_a_day_go_with_the_stack(stack: Stack) -> None:
    (replica,) = stack.one(TABLE, "TablesTurns")["Replicas"]
    assert replica["DeletionProtectionEnabled"] is False
    assert stack.resources[stack.name_of(TABLE, "TablesTurns")]["DeletionPolicy"] == "Delete"


def test_a_record_that_cannot_be_stored_is_kept_for_14_days(stack: Stack) -> None:
    queue, dead = stack.one("AWS::SQS::Queue", "PersistQueue7"), stack.one("AWS::SQS::Queue", "PersistQueueDead")
    assert dead["MessageRetentionPeriod"] == 14 * 24 * 3600
    target = {"Fn::GetAtt": [stack.name_of("AWS::SQS::Queue", "PersistQueueDead"), "Arn"]}
    assert queue["RedrivePolicy"] == {"deadLetterTargetArn": target, "maxReceiveCount": PERSIST.max_receive_count}
    assert queue["MessageRetentionPeriod"] == PERSIST.retention_s


def test_a_record_is_hidden_for_six_times_as_long_as_its_function_may_take(stack: Stack) -> None:
    assert stack.function("Persist")["Timeout"] == PERSIST_TIMEOUT_S
    assert stack.one("AWS::SQS::Queue", "PersistQueue7")["VisibilityTimeout"] >= 6 * PERSIST_TIMEOUT_S


@pytest.mark.parametrize("name", ["PersistQueue7", "PersistQueueDead"])
def test_a_queue_is_encrypted_and_answers_over_tls_only(stack: Stack, name: str) -> None:
    assert stack.one("AWS::SQS::Queue", name)["SqsManagedSseEnabled"] is True
    policies = stack.of_type("AWS::SQS::QueuePolicy").values()
    queue = {"Ref": stack.name_of("AWS::SQS::Queue", name)}
    (policy,) = [policy["Properties"] for policy in policies if policy["Properties"]["Queues"] == [queue]]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Action"]) == ("Deny", "sqs:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_persist_takes_batches_of_ten_tells_which_failed_and_is_bounded(stack: Stack) -> None:
    source = stack.one("AWS::Lambda::EventSourceMapping")
    assert source["BatchSize"] == 10
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["ScalingConfig"] == {"MaximumConcurrency": 20}
    assert source["EventSourceArn"] == {"Fn::GetAtt": [stack.name_of("AWS::SQS::Queue", "PersistQueue7"), "Arn"]}


def test_the_key_s_secret_is_made_without_a_value(stack: Stack) -> None:
    assert stack.one("AWS::SecretsManager::Secret").keys() == {"Description"}


def test_a_secret_that_exists_is_used_by_its_name(full_stack: Stack) -> None:
    assert full_stack.of_type("AWS::SecretsManager::Secret") == {}
    assert full_stack.environment("ChatStream")["CHAT_MODEL_KEY_SECRET"] == "our/model-key"


def test_by_default_nothing_that_holds_data_goes_with_the_stack(stack: Stack) -> None:
    kept = {
        "AWS::SQS::Queue",
        "AWS::SecretsManager::Secret",
        "AWS::Cognito::UserPool",
        "AWS::S3::Bucket",
        "AWS::Logs::LogGroup",
    }
    found = {name: one["DeletionPolicy"] for name, one in stack.resources.items() if one["Type"] in kept}
    # What is protected from deletion stays even when the first deployment fails; of the rest nothing is left then.
    kept_always = {stack.name_of("AWS::Cognito::UserPool", "SignIn")}
    assert {name for name, policy in found.items() if policy == "Retain"} == kept_always
    assert set(found.values()) == {"Retain", "RetainExceptOnCreate"}, found
    assert stack.one("AWS::Cognito::UserPool")["DeletionProtection"] == "ACTIVE"


@pytest.mark.parametrize("context", [{"ephemeral": "true"}, {}])
def test_an_ephemeral_stack_leaves_nothing_behind(full_stack: Stack, context: dict[str, str]) -> None:
    ephemeral = synthesised(**context) if context else full_stack
    policies = {name: one.get("DeletionPolicy", "Delete") for name, one in ephemeral.resources.items()}
    assert set(policies.values()) == {"Delete"}, {name for name, policy in policies.items() if policy != "Delete"}
    for table in ephemeral.of_type(TABLE).values():
        (replica,) = table["Properties"]["Replicas"]
        assert replica["DeletionProtectionEnabled"] is False
        assert replica["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is False  # it would leave a backup
    for pool in ephemeral.of_type("AWS::Cognito::UserPool").values():
        assert pool["Properties"]["DeletionProtection"] == "INACTIVE"
    assert ephemeral.of_type("Custom::S3AutoDeleteObjects")


@pytest.mark.parametrize("which", ["stack", "full_stack"])
def test_every_function_logs_into_a_group_of_the_stack(which: str, request: pytest.FixtureRequest) -> None:
    """CDK's helpers too: a group that Lambda makes itself is deleted by nobody."""
    made: Stack = request.getfixturevalue(which)
    groups = made.of_type("AWS::Logs::LogGroup")
    for name, function in made.of_type("AWS::Lambda::Function").items():
        assert function["Properties"].get("LoggingConfig", {}).get("LogGroup", {}).get("Ref") in groups, name


def test_a_first_deployment_that_fails_finds_the_site_s_bucket_empty(stack: Stack) -> None:
    """A bucket with files in it cannot be taken away: they are uploaded once the distribution stands, which is what may fail."""
    distribution = stack.name_of("AWS::CloudFront::Distribution", "Edge")
    uploads = stack.of_type("Custom::CDKBucketDeployment")
    first = {name for name, one in uploads.items() if distribution in one.get("DependsOn", [])}
    assert first
    assert all(name in first or first & set(one["DependsOn"]) for name, one in uploads.items())


# A policy's name is its role's own, an alias's its function's: neither can meet another's.
SCOPED = {("AWS::IAM::Policy", "PolicyName"), ("AWS::Lambda::Alias", "Name")}
# Cognito's domains are each region's own, so that one has no region in it; the account tells it apart from other accounts'.
OF_A_REGION = {("AWS::Cognito::UserPoolDomain", "Domain")}


def own_names(stack: Stack) -> Iterator[tuple[str, str, str]]:
    """Type, property and text of every name that the template gives a resource, in its properties or its configuration."""
    for one in stack.resources.values():
        kind, properties = one["Type"], one.get("Properties", {})
        configured = [value for key, value in properties.items() if key.endswith(("Config", "Configuration"))]
        for key, value in [pair for where in (properties, *configured) if isinstance(where, dict) for pair in where.items()]:
            named = key == "Name" or (key.endswith("Name") and key not in {"DomainName", "MetricName"}) or key == "Domain"
            refers = isinstance(value, dict) and value.keys() & {"Ref", "Fn::GetAtt"}
            if named and not refers and not kind.startswith("Custom::") and (kind, key) not in SCOPED:
                yield kind, key, json.dumps(value)


@pytest.mark.parametrize("context", [{}, FULL, {"ephemeral": "true"}], ids=["default", "full", "ephemeral"])
def test_no_name_is_shared_with_another_stage_or_the_same_stage_of_another_region(context: dict[str, str]) -> None:
    """What is named at all is named after both; the rest gets its name from CloudFormation."""
    stage = {**context, "stage": "blue"}
    found = list(own_names(synthesised(**stage)))
    assert {kind for kind, _, _ in found} >= {
        "AWS::CloudFront::Function",
        "AWS::CloudFront::OriginAccessControl",
        "AWS::CloudFront::ResponseHeadersPolicy",
        "AWS::CloudWatch::Dashboard",
    }
    region = stage.get("region", '{"Ref": "AWS::Region"}')
    for kind, key, text in found:
        assert "chat-blue" in text, (kind, key, text)
        assert region in text or ((kind, key) in OF_A_REGION and "AWS::AccountId" in text), (kind, key, text)


def test_the_names_are_short_enough_for_cloudfront() -> None:
    """64 characters, with the longest stage and one of the longest regions."""
    longest = synthesised(stage="a" * 16, region="ap-southeast-3")
    for kind, key, text in own_names(longest):
        assert len(json.loads(text)) <= 64 or not kind.startswith("AWS::CloudFront"), (kind, key, text)


def test_a_restored_table_stands_in_for_the_stack_s_own() -> None:
    restored = synthesised(conversationsTable="restored-1")
    assert restored.name_of(TABLE, "Tables").startswith("TablesTurns")
    for function in ("Persist", "Conversations"):
        assert restored.environment(function)["CHAT_CONVERSATIONS_TABLE"] == "restored-1"
        assert ":table/restored-1" in str(restored.one("AWS::IAM::Policy", f"{function}Role"))


QUEUE, DEAD = (f"arn:aws:sqs:us-east-1:111122223333:{name}" for name in ("old-queue", "old-dead"))


def test_what_a_stack_that_was_destroyed_has_left_is_used_again() -> None:
    """Pool, tables and queues: a new pool would give its users other ids, and so nobody's chats would be theirs."""
    again = synthesised(
        region="us-east-1",
        userPoolId="us-east-1_Ab1",
        conversationsTable="old-conversations",
        turnsTable="old-turns",
        queueArn=QUEUE,
        deadLetterQueueArn=DEAD,
        modelKeySecret="old-key",
    )
    for kind in (TABLE, "AWS::SQS::Queue", "AWS::Cognito::UserPool", "AWS::SecretsManager::Secret"):
        assert again.of_type(kind) == {}, kind
    chat, persist = again.environment("ChatStream"), again.environment("Persist")
    assert (chat["CHAT_TURNS_TABLE"], persist["CHAT_TURNS_TABLE"]) == ("old-turns", "old-turns")
    assert persist["CHAT_CONVERSATIONS_TABLE"] == "old-conversations"
    assert "/old-queue" in str(chat["CHAT_QUEUE_URL"])
    assert again.one("AWS::Lambda::EventSourceMapping")["EventSourceArn"] == QUEUE
    granted = {name: str(again.one("AWS::IAM::Policy", f"{name}Role")) for name in ("ChatStream", "Persist", "Conversations")}
    assert QUEUE in granted["ChatStream"]
    assert QUEUE in granted["Persist"]
    assert all("table/old-turns" in policy for policy in granted.values())
    watched = str(again.one("AWS::CloudWatch::Alarm", "WatchDeadLetters")["Dimensions"])
    assert "old-dead" in watched


def test_an_existing_pool_gets_a_client_and_a_login_page_of_this_stack() -> None:
    again = synthesised(userPoolId="us-east-1_Ab1")
    for kind in ("UserPoolClient", "UserPoolDomain", "ManagedLoginBranding"):
        assert again.one(f"AWS::Cognito::{kind}")["UserPoolId"] == "us-east-1_Ab1"
    env = again.environment("ChatStream")
    assert str(env["OIDC_ISSUER"]).count("us-east-1_Ab1") == 1
    assert again.template["Outputs"]["UserPoolId"]["Value"] == "us-east-1_Ab1"


def schema(partition_key: str, sort_key: str) -> list[dict[str, str]]:
    return [{"AttributeName": partition_key, "KeyType": "HASH"}, {"AttributeName": sort_key, "KeyType": "RANGE"}]
