"""The three functions: how they run, what they may do, and that this is what their code does."""

import ast
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name

import functions
from functions.chat_stream.settings import Limits, Timing
from functions.chat_stream.settings import Settings as ChatSettings
from functions.common.quotas import Quotas
from functions.conversations.settings import Settings as ConversationsSettings
from functions.persist.entries import Tables
from infra.config import camel
from infra.edge_rules import READ_TIMEOUT_S
from infra.resources import SETTLE_DELAY_S
from tests.infra.conftest import Stack, synthesised

pytestmark = pytest.mark.xdist_group("stack")  # one worker synthesises for all

NAMES = {"ChatStream": "chat_stream", "Persist": "persist", "Conversations": "conversations"}
VERBS = {
    "ChatStream": {
        "turns": {"dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem"},
        "queue": {"sqs:SendMessage"},
        "secret": {"secretsmanager:GetSecretValue"},
    },
    "Persist": {
        "conversations": {"dynamodb:BatchGetItem", "dynamodb:ConditionCheckItem", "dynamodb:UpdateItem"},
        "turns": {"dynamodb:BatchGetItem", "dynamodb:ConditionCheckItem", "dynamodb:Query", "dynamodb:UpdateItem"},
        "queue": {"sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"},
    },
    "Conversations": {
        "conversations": {
            "dynamodb:BatchWriteItem",
            "dynamodb:DeleteItem",
            "dynamodb:GetItem",
            "dynamodb:Query",
            "dynamodb:UpdateItem",
        },
        "conversations/index/by_activity": {"dynamodb:Query"},
        "turns": {"dynamodb:BatchWriteItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem"},
    },
}
# The only actions AWS lets nobody grant on less than everything.
ON_EVERYTHING = {"xray:PutTelemetryRecords", "xray:PutTraceSegments"}
LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}

# How a call in the code is authorised. A transaction's parts are authorised, not the transaction.
AUTHORISED_AS = {
    "batch_get_item": "dynamodb:BatchGetItem",
    "batch_write_item": "dynamodb:BatchWriteItem",
    "delete_item": "dynamodb:DeleteItem",
    "get_item": "dynamodb:GetItem",
    "put_item": "dynamodb:PutItem",
    "query": "dynamodb:Query",
    "scan": "dynamodb:Scan",
    "update_item": "dynamodb:UpdateItem",
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
    "Delete": "dynamodb:DeleteItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
    "send_message": "sqs:SendMessage",
    "send_message_batch": "sqs:SendMessage",
    "receive_message": "sqs:ReceiveMessage",
    "delete_message": "sqs:DeleteMessage",
    "get_secret_value": "secretsmanager:GetSecretValue",
}
OF_THE_POLLER = VERBS["Persist"]["queue"]  # Lambda's poller reads the queue with the function's role


def statements(stack: Stack, function: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = stack.one("AWS::IAM::Policy", f"{function}Role")["PolicyDocument"]["Statement"]
    return found


def resource_name(stack: Stack, resource: Any) -> str:
    known = {
        stack.name_of("AWS::DynamoDB::GlobalTable", "TablesTurns"): "turns",
        stack.name_of("AWS::DynamoDB::GlobalTable", "TablesConversations"): "conversations",
        stack.name_of("AWS::SQS::Queue", "PersistQueue7"): "queue",
        stack.name_of("AWS::SecretsManager::Secret", "ModelKey"): "secret",
        **dict.fromkeys(stack.of_type("AWS::Logs::LogGroup"), "logs"),
    }
    match resource:
        case {"Fn::GetAtt": [name, "Arn"]} | {"Ref": name}:
            return known[name]
        case {"Fn::Join": ["", [{"Fn::GetAtt": [name, "Arn"]}, str(rest)]]}:
            return known[name] + rest
    return str(resource)


def granted(stack: Stack, function: str) -> dict[str, set[str]]:
    """The verbs by resource."""
    verbs: dict[str, set[str]] = {}
    for statement in statements(stack, function):
        assert statement["Effect"] == "Allow"
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        for resource in resources:
            verbs.setdefault(resource_name(stack, resource), set()).update(actions)
    return verbs


def calls(function: str) -> set[str]:
    """The verbs that the function's code needs, read from it and from the shared modules it imports."""
    root = Path(functions.__file__).parent
    own = sorted((root / function).glob("*.py"))
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in own]
    shared = {
        (node.module or "").rpartition(".")[2]
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("functions.common.")
    } | {
        alias.name
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "functions.common"
        for alias in node.names
    }
    paths = [path for name in shared if (path := root / "common" / f"{name}.py").is_file()]
    trees += [ast.parse(path.read_text(encoding="utf-8")) for path in paths]
    named = set()
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                named.add(node.func.attr)
                if node.func.attr in {"call", "get_paginator"}:
                    named |= {xform_name(str(argument.value)) for argument in node.args if isinstance(argument, ast.Constant)}
            elif isinstance(node, ast.Dict):
                named |= {str(key.value) for key in node.keys if isinstance(key, ast.Constant)}
    return {AUTHORISED_AS[name] for name in named & AUTHORISED_AS.keys()}


@pytest.mark.parametrize("function", NAMES)
def test_a_function_may_do_exactly_what_the_table_says(stack: Stack, function: str) -> None:
    assert granted(stack, function) == VERBS[function] | {"logs": LOGS, "*": ON_EVERYTHING}


@pytest.mark.parametrize("function", NAMES)
def test_the_table_says_exactly_what_the_code_does(function: str) -> None:
    verbs = set().union(*VERBS[function].values()) - (OF_THE_POLLER if function == "Persist" else set())
    assert calls(NAMES[function]) == verbs


@pytest.mark.parametrize("function", NAMES)
def test_nothing_is_granted_on_everything_but_the_writing_of_traces(stack: Stack, function: str) -> None:
    for statement in statements(stack, function):
        everything = "*" in str(statement["Resource"]) or "*" in str(statement["Action"])
        assert not everything or set(statement["Action"]) == ON_EVERYTHING


@pytest.mark.parametrize("function", NAMES)
def test_a_function_has_a_role_of_its_own_without_managed_policies(stack: Stack, function: str) -> None:
    role = stack.one("AWS::IAM::Role", f"{function}Role")
    assert role.keys() == {"AssumeRolePolicyDocument"}
    assert stack.function(function)["Role"] == {"Fn::GetAtt": [stack.name_of("AWS::IAM::Role", f"{function}Role"), "Arn"]}


@pytest.mark.parametrize("function", NAMES)
def test_a_function_is_python_3_13_on_arm_traced_and_logs_json_for_a_month(stack: Stack, function: str) -> None:
    made = stack.function(function)
    assert (made["Runtime"], made["Architectures"]) == ("python3.13", ["arm64"])
    assert made["TracingConfig"] == {"Mode": "Active"}
    group = stack.name_of("AWS::Logs::LogGroup", f"{function}Logs")
    assert made["LoggingConfig"] == {"LogFormat": "JSON", "LogGroup": {"Ref": group}}
    assert stack.resources[group]["Properties"]["RetentionInDays"] == 30
    assert stack.environment(function)["POWERTOOLS_SERVICE_NAME"] == NAMES[function]


def test_logs_are_kept_as_long_as_the_setting_says(full_stack: Stack) -> None:
    assert {group["Properties"]["RetentionInDays"] for group in full_stack.of_type("AWS::Logs::LogGroup").values()} == {7}


def test_chat_stream_runs_behind_the_adapter_and_streams(stack: Stack) -> None:
    made, env = stack.function("ChatStream"), stack.environment("ChatStream")
    assert made["Handler"] == "run.sh"
    assert made["Timeout"] == 900
    (layer,) = made["Layers"]
    assert layer == {
        "Fn::Join": [
            "",
            ["arn:aws:lambda:", {"Ref": "AWS::Region"}, ":753240598075:layer:LambdaAdapterLayerArm64:30"],
        ]
    }
    assert env["AWS_LAMBDA_EXEC_WRAPPER"] == "/opt/bootstrap"
    assert env["AWS_LWA_INVOKE_MODE"] == "response_stream"
    assert env["AWS_LWA_PORT"] == env["PORT"] == "8080"
    assert env["AWS_LWA_READINESS_CHECK_PATH"] == "/api/health"
    assert env["AWS_LWA_AUTHORIZATION_SOURCE"] == "x-forwarded-authorization"
    assert env["AWS_LWA_ENABLE_COMPRESSION"] == "false"


def test_the_other_architecture_gets_its_own_layer(full_stack: Stack) -> None:
    made = full_stack.function("ChatStream")
    assert made["Architectures"] == ["x86_64"]
    assert made["Layers"] == ["arn:aws:lambda:us-east-1:753240598075:layer:LambdaAdapterLayerX86:31"]


def test_the_adapter_s_snapshot_hooks_are_the_application_s(stack: Stack) -> None:
    from functions.chat_stream import snapshot

    env = stack.environment("ChatStream")
    assert env["AWS_LWA_SNAPSTART_BEFORE_CHECKPOINT_PATH"] == snapshot.BEFORE
    assert env["AWS_LWA_SNAPSTART_AFTER_RESTORE_PATH"] == snapshot.AFTER
    assert not any(path.startswith("/api") for path in (snapshot.BEFORE, snapshot.AFTER))


def test_chat_stream_starts_from_a_snapshot_of_a_published_version_behind_an_alias(stack: Stack) -> None:
    assert stack.function("ChatStream")["SnapStart"] == {"ApplyOn": "PublishedVersions"}
    version = stack.name_of("AWS::Lambda::Version", "ChatStream")
    assert stack.one("AWS::Lambda::Alias")["FunctionVersion"] == {"Fn::GetAtt": [version, "Version"]}
    assert stack.resources[version].get("DeletionPolicy", "Delete") == "Delete"  # an old snapshot costs money


def test_without_snap_start_there_is_none(full_stack: Stack) -> None:
    assert "SnapStart" not in full_stack.function("ChatStream")
    assert full_stack.of_type("AWS::Lambda::Alias")


def test_only_the_streaming_url_streams_and_both_want_a_signature(stack: Stack) -> None:
    streaming, buffered = stack.one("AWS::Lambda::Url", "ChatStream"), stack.one("AWS::Lambda::Url", "Conversations")
    assert streaming == {
        "AuthType": "AWS_IAM",
        "InvokeMode": "RESPONSE_STREAM",
        "Qualifier": "live",
        "TargetFunctionArn": {"Fn::GetAtt": [stack.name_of("AWS::Lambda::Function", "ChatStream"), "Arn"]},
    }
    assert (buffered["AuthType"], buffered["InvokeMode"]) == ("AWS_IAM", "BUFFERED")


def test_only_the_distribution_may_call_the_functions(stack: Stack) -> None:
    distribution = {"Ref": stack.name_of("AWS::CloudFront::Distribution", "Edge")}
    source = ["arn:", {"Ref": "AWS::Partition"}, ":cloudfront::", {"Ref": "AWS::AccountId"}, ":distribution/", distribution]
    permissions = [one["Properties"] for one in stack.of_type("AWS::Lambda::Permission").values()]
    for url in stack.of_type("AWS::Lambda::Url"):
        target = {"Fn::GetAtt": [url, "FunctionArn"]}
        found = {one["Action"]: one for one in permissions if one["FunctionName"] == target}
        assert found.keys() == {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"}
        assert found["lambda:InvokeFunction"]["InvokedViaFunctionUrl"] is True
        for one in found.values():
            assert one["Principal"] == "cloudfront.amazonaws.com"
            assert one["SourceArn"] == {"Fn::Join": ["", source]}
    assert len(permissions) == 4


def test_reserved_concurrency_is_the_setting_s(stack: Stack, full_stack: Stack) -> None:
    assert "ReservedConcurrentExecutions" not in stack.function("ChatStream")
    assert full_stack.function("ChatStream")["ReservedConcurrentExecutions"] == 200


def test_memory_is_the_setting_s() -> None:
    assert synthesised(chatMemoryMb="2048").function("ChatStream")["MemorySize"] == 2048


@pytest.mark.parametrize("context", [{}, "full"])
def test_the_functions_accept_the_environment_they_are_given(stack: Stack, full_stack: Stack, context: object) -> None:
    """The very code that reads it, on the values of the template; what only AWS knows is a stand-in."""
    made = full_stack if context == "full" else stack
    in_lambda = {"AWS_LAMBDA_FUNCTION_NAME": "f"}
    chat = ChatSettings.from_env({**plain(made.environment("ChatStream")), **in_lambda})
    assert chat.timing.settle_delay_s == SETTLE_DELAY_S
    assert chat.auth.issuer
    assert chat.model.api_key is None
    conversations = ConversationsSettings.from_env({**plain(made.environment("Conversations")), **in_lambda})
    assert conversations.authorization_header == "x-forwarded-authorization"
    assert conversations.auth == chat.auth
    assert chat.quotas == Quotas.from_env(plain(made.environment("Conversations")))
    assert Tables.from_env(plain(made.environment("Persist")))
    if context == "full":
        assert (chat.model.default, chat.model.offered) == ("large", ("large", "small"))
        assert chat.model.think == {"small"}
        assert chat.model.base_url == "https://models.example.com/v1"
        assert chat.limits.messages == 50
        assert chat.quotas == Quotas(streams=0, turns_per_minute=7, tokens_per_day=1000)
        assert chat.client_id == "chat-web"


def test_a_secret_that_exists_may_lie_under_a_key_of_the_account_s_own(stack: Stack, full_stack: Stack) -> None:
    """Decrypting is allowed by way of Secrets Manager, and of this secret, alone."""
    decrypting = [one for one in statements(full_stack, "ChatStream") if one["Action"] == "kms:Decrypt"]
    (statement,) = decrypting
    assert statement["Condition"]["StringEquals"] == {"kms:ViaService": "secretsmanager.us-east-1.amazonaws.com"}
    (secret,) = statement["Condition"]["StringLike"].values()
    assert str(secret).count("our/model-key-??????") == 1
    assert "kms" not in str(statements(stack, "ChatStream"))  # the stack's own secret lies under AWS's key, for which nobody asks


def test_the_adapter_does_not_wait_for_ever_for_an_application_that_does_not_start(stack: Stack) -> None:
    waits = float(stack.environment("ChatStream")["AWS_LWA_READINESS_CHECK_TIMEOUT_SECONDS"])
    assert 10 <= waits < READ_TIMEOUT_S  # longer than Lambda's own 10 s of initialisation; shorter than CloudFront waits


# Fixed by the stack: as long as a function can live, and as SQS can delay.
NO_SETTING = {"settle_delay_s"}
OTHER_VALUES = {"turn_s": 600, "first_token_s": 500, "stall_s": 200, "reserve_s": 20, "save_s": 14, "receipt_wait_s": 5,
                "keepalive_s": 8, "checkpoint_s": 2.5, "message_bytes": 1000, "new_bytes": 50_000, "body_bytes": 60_000,
                "messages": 7, "answer_bytes": 9000, "body_timeout_s": 9, "unasked_bytes": 900}  # fmt: skip


def context_key(kind: type[Limits] | type[Timing], name: str) -> str:
    return camel(name if kind is Timing or name == "body_timeout_s" else f"max_{name}")


@pytest.mark.parametrize("kind", [Timing, Limits])
def test_every_time_and_limit_of_the_process_is_a_setting_of_the_stack(kind: type[Limits] | type[Timing]) -> None:
    """A model that thinks for minutes before its first word needs one of them, and nobody knows today which is next."""
    named = {spec.name for spec in fields(kind)} - NO_SETTING
    assert named <= OTHER_VALUES.keys()
    stack = synthesised(**{context_key(kind, name): str(OTHER_VALUES[name]) for name in named})
    settings = ChatSettings.from_env(plain(stack.environment("ChatStream")))
    found = settings.timing if kind is Timing else settings.limits
    assert {name: getattr(found, name) for name in named} == {name: OTHER_VALUES[name] for name in named}


def test_what_the_stack_sets_by_default_is_the_process_s_own_default(stack: Stack) -> None:
    settings = ChatSettings.from_env(plain(stack.environment("ChatStream")))
    assert (settings.timing, settings.limits) == (Timing(), Limits())


def test_a_turn_has_no_longer_than_its_function(stack: Stack) -> None:
    assert stack.function("ChatStream")["Timeout"] >= Timing().turn_s
    assert stack.function("ChatStream")["Timeout"] <= SETTLE_DELAY_S


def test_a_new_revision_of_the_key_publishes_a_new_version(stack: Stack) -> None:
    """Instances keep the key they fetched: only new ones, of a new version, fetch the new one."""
    rotated = synthesised(modelKeyRevision="2")
    before, after = (made.name_of("AWS::Lambda::Version", "ChatStream") for made in (stack, rotated))
    assert before != after


def test_no_secret_is_in_any_environment(stack: Stack, full_stack: Stack) -> None:
    for made in (stack, full_stack):
        for function in made.of_type("AWS::Lambda::Function").values():
            variables = function["Properties"].get("Environment", {}).get("Variables", {})
            assert not any("API_KEY" in name or "resolve:secretsmanager" in str(value) for name, value in variables.items())


def plain(variables: dict[str, Any]) -> dict[str, str]:
    return {name: value if isinstance(value, str) else f"https://{name.lower()}" for name, value in variables.items()}


def test_who_writes_records_is_deployed_after_who_reads_them(stack: Stack) -> None:
    """A record of a new version may say what the old persist does not know."""
    chat_stream = stack.resources[stack.name_of("AWS::Lambda::Function", "ChatStreamFunction")]
    assert stack.name_of("AWS::Lambda::Function", "PersistFunction") in chat_stream["DependsOn"]
