"""Who gets in, and how every refusal looks."""

import json
import logging

import pytest
from botocore.exceptions import EndpointConnectionError

from functions.conversations import handler as function
from tests.integration.conversations.stage import LambdaContext, Stage, event_of, refusal
from tests.oidc import JWKS

ID = "0189f7f0-0000-7000-8000-000000000001"
PATHS = ["/api/conversations", f"/api/conversations/{ID}", f"/api/conversations/{ID}/export", "/api/unheard-of", "/"]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


@pytest.mark.parametrize("path", PATHS)
def test_without_a_token_every_path_and_method_is_a_401_and_nothing_is_read(stage: Stage, path: str) -> None:
    for method in METHODS:
        answer = stage.ask(method, path, {"limit": "no number"}, sub=None, body="no json")
        assert (answer.status, answer.code, answer.headers["www-authenticate"]) == (401, "unauthenticated", "Bearer")
    assert stage.calls == []


def test_every_operation_of_the_document_asks_for_a_token(stage: Stage) -> None:
    document = stage.ask("GET", "/api/openapi.json", sub=None).json
    own = {path: methods for path, methods in document["paths"].items() if path.startswith((PATHS[0], "/api/usage"))}
    operations = [(method, path) for path, methods in own.items() for method in methods]
    assert len(operations) == 6
    for method, path in operations:
        assert stage.ask(method.upper(), path.replace("{conversationId}", ID), sub=None).status == 401


def test_the_token_is_read_from_the_header_the_setting_names_and_no_other(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_AUTHORIZATION_HEADER", "X-Forwarded-Authorization")
    function.gate.cache_clear()
    token = f"Bearer {stage.provider.token()}"
    assert stage.ask("GET", PATHS[0], sub=None, headers={"authorization": token}).status == 401
    assert stage.ask("GET", PATHS[0], sub=None, headers={"x-forwarded-authorization": token}).status == 200


def test_by_default_a_forwarded_header_means_nothing(stage: Stage) -> None:
    token = f"Bearer {stage.provider.token()}"
    assert stage.ask("GET", PATHS[0], sub=None, headers={"x-forwarded-authorization": token}).status == 401


def test_an_issuer_that_does_not_answer_is_a_503(stage: Stage) -> None:
    stage.provider.down = True
    answer = stage.get(PATHS[0])
    assert (answer.status, answer.code) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0


def test_a_forged_token_is_a_401(stage: Stage) -> None:
    stage.get(PATHS[0])
    answer = stage.ask("GET", PATHS[0], sub=None, headers={"authorization": f"Bearer {stage.provider.token()}x"})
    assert answer.status == 401


def test_without_an_issuer_the_caller_is_local_and_may_touch_everything(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OIDC_ISSUER")
    monkeypatch.delenv("OIDC_AUDIENCE")
    function.gate.cache_clear()
    mine, theirs = stage.conversation("local"), stage.conversation("someone")
    listed = stage.ask("GET", PATHS[0], sub=None).json["items"]
    assert [item["id"] for item in listed] == [mine]
    assert stage.ask("GET", f"/api/conversations/{theirs}", sub=None).status == 200


def test_a_deployed_function_without_an_issuer_does_not_start(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OIDC_ISSUER")
    monkeypatch.delenv("OIDC_AUDIENCE")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "conversations")
    function.gate.cache_clear()
    with pytest.raises(ValueError, match="OIDC_ISSUER"):
        function.handler(event_of("GET", PATHS[0], {}, {}, None), LambdaContext())  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["CHAT_CONVERSATIONS_TABLE", "CHAT_TURNS_TABLE"])
def test_a_missing_setting_is_named(stage: Stage, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv(name)
    function.gate.cache_clear()
    with pytest.raises(ValueError, match=name):
        function.gate()


@pytest.mark.parametrize(
    ("path", "method", "allow"),
    [
        (PATHS[0], "POST", "GET"),
        (PATHS[0], "DELETE", "GET"),
        (PATHS[1], "PUT", "GET, PATCH, DELETE"),
        (PATHS[1], "OPTIONS", "GET, PATCH, DELETE"),
        (PATHS[2], "PATCH", "GET"),
        ("/api/openapi.json", "HEAD", "GET"),
    ],
)
def test_a_method_that_a_path_does_not_have_is_a_405_that_names_the_others(
    stage: Stage, path: str, method: str, allow: str
) -> None:
    answer = stage.ask(method, path, {"any": "thing"}, headers={"content-type": "application/json"}, body="{}")
    assert (answer.status, answer.code, answer.headers["allow"]) == (405, "method_not_allowed", allow)


@pytest.mark.parametrize(
    "path", ["/", "/api", "/api/conversations/", f"/api/conversations/{ID}/more", "/api/conversations/\u00e9\u2028"]
)
def test_a_path_that_does_not_exist_is_the_same_404_as_a_conversation_that_does_not(stage: Stage, path: str) -> None:
    assert stage.get(path, any="thing").body == stage.get(PATHS[1]).body
    assert stage.get(path).code == "not_found"


@pytest.mark.parametrize("path", [PATHS[0], PATHS[1], PATHS[2], "/api/unheard-of"])
def test_nothing_may_be_cached_or_sniffed(stage: Stage, path: str) -> None:
    headers = stage.get(path).headers
    assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")


@pytest.mark.parametrize("path", PATHS[:3])
def test_a_query_parameter_nobody_knows_is_refused_by_its_name(stage: Stage, path: str) -> None:
    answer = stage.get(path, curser="x")
    assert (answer.status, answer.code, answer.fields) == (400, "invalid_request", ["curser"])


@pytest.mark.parametrize("code", ["ProvisionedThroughputExceededException", "InternalServerError", "AccessDeniedException"])
@pytest.mark.parametrize("path", PATHS[:3])
def test_storage_that_refuses_is_a_503_without_its_words(stage: Stage, path: str, code: str) -> None:
    for operation in ("Query", "GetItem"):
        stage.breaks(operation, lambda _: refusal(code))
    answer = stage.get(path)
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "unavailable", "1")
    assert b"words of the store" not in answer.body


def test_storage_that_cannot_be_reached_is_a_503(stage: Stage) -> None:
    stage.breaks("GetItem", lambda _: EndpointConnectionError(endpoint_url="https://secret-endpoint"))
    answer = stage.get(PATHS[1])
    assert (answer.status, answer.code) == (503, "unavailable")
    assert b"secret-endpoint" not in answer.body


def test_a_bug_is_a_500_without_its_words_and_the_log_has_its_type_alone(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    def bug(_: bytes) -> ZeroDivisionError:
        return ZeroDivisionError("the canary sings")

    stage.breaks("GetItem", bug)
    with caplog.at_level(logging.DEBUG, "aws_lambda_powertools"):
        answer = stage.get(PATHS[1])
    assert (answer.status, answer.code) == (500, "internal")
    logged = stage.log.getvalue()
    assert "ZeroDivisionError" in logged
    assert "canary sings" not in logged + answer.body.decode()
    assert not [record for record in caplog.records if record.name.startswith("aws_lambda_powertools") and record.levelno >= 40]


def test_each_request_leaves_one_line_with_its_status(stage: Stage) -> None:
    stage.get(PATHS[1])
    line = json.loads(stage.log.getvalue().splitlines()[-1])
    assert (line["message"], line["operation"], line["path"], line["status"]) == ("request", "GET", PATHS[1], 404)


def test_the_openapi_document_names_the_digest_that_every_method_but_get_carries(stage: Stage) -> None:
    document = stage.ask("GET", "/api/openapi.json", sub=None).json
    digest = "#/components/parameters/ContentDigest"
    assert document["components"]["parameters"]["ContentDigest"]["name"] == "x-amz-content-sha256"
    named = {
        (method, path): {"$ref": digest} in operation.get("parameters", [])
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert {method for method, _ in named} == {"get", "post", "patch", "delete"}
    assert named == {(method, path): method != "get" for method, path in named}


def test_the_openapi_document_is_valid_and_says_what_errors_look_like(stage: Stage) -> None:
    from openapi_spec_validator import validate

    document = stage.ask("GET", "/api/openapi.json", sub=None).json
    validate(document)
    assert document["openapi"].startswith("3.1")
    assert "ValidationError" not in json.dumps(document)
    for operations in document["paths"].values():
        for operation in operations.values():
            assert list(operation["responses"]["default"]["content"]) == ["application/problem+json"]


def test_keys_grown_stale_are_fetched_anew_and_an_outage_then_does_no_harm(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.get(PATHS[0])
    fetched = stage.provider.hits[JWKS]
    monkeypatch.setattr("functions.common.auth.KEYS_FRESH_S", -1.0)
    monkeypatch.setattr("functions.common.auth.COOL_DOWN_S", -1.0)
    assert stage.get(PATHS[0]).status == 200
    assert stage.provider.hits[JWKS] == fetched + 1
    stage.provider.down = True
    assert stage.get(PATHS[0]).status == 200
