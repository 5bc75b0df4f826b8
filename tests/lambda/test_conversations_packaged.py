"""conversations as it is deployed: its zip under Lambda's own Python runtime client and emulator, with function-URL events."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.resources import CONVERSATIONS, TURNS
from local.environment import aws_environment
from tests.oidc import OidcProvider
from tests.support.function import tools
from tests.support.function.emulator import Emulated, emulated
from tests.support.function.environment import Code
from tests.support.function.world import World


@pytest.fixture(scope="module")
def conversations(
    packaged: Callable[[str], Path],
    python: Path,
    emulator: Path,
    runtime_folder: Path,
    aws_endpoint: str,
    issuer: OidcProvider,
) -> Iterator[Emulated]:
    code = Code(packaged("conversations"), "functions.conversations.handler.handler", python)
    env = aws_environment(aws_endpoint) | {
        "CHAT_CONVERSATIONS_TABLE": CONVERSATIONS.name,
        "CHAT_TURNS_TABLE": TURNS.name,
        "OIDC_ISSUER": issuer.issuer,
        "OIDC_AUDIENCE": issuer.audience,
        "CHAT_AUTHORIZATION_HEADER": "x-forwarded-authorization",
    }
    with emulated(emulator, code, [tools.RUNTIME_CLIENT, runtime_folder], env) as function:
        yield function


def get(function: Emulated, world: World, path: str, headers: dict[str, str]) -> tuple[int, Any]:
    answer = function.invoke(world.event("GET", path, headers=headers))
    return answer["statusCode"], json.loads(answer["body"])


def test_a_caller_lists_what_is_theirs(conversations: Emulated, world: World) -> None:
    assert get(conversations, world, "/api/conversations", world.token_header("alice")) == (200, {"items": []})


def test_a_conversation_that_is_not_there_is_a_problem_document(conversations: Emulated, world: World) -> None:
    path = "/api/conversations/00000000-0000-7000-8000-000000000001"
    status, problem = get(conversations, world, path, world.token_header("alice"))
    assert (status, problem["code"]) == (404, "not_found")


@pytest.mark.parametrize("claims", [{"aud": "another"}, {"exp": 1}])
def test_a_token_that_does_not_hold_is_refused(conversations: Emulated, world: World, claims: dict[str, Any]) -> None:
    status, problem = get(conversations, world, "/api/conversations", world.token_header("alice", **claims))
    assert (status, problem["code"]) == (401, "unauthenticated")


def test_the_token_is_not_taken_from_the_header_that_the_signature_uses(conversations: Emulated, world: World) -> None:
    token = world.token_header("alice")["x-forwarded-authorization"]
    status, problem = get(conversations, world, "/api/conversations", {"authorization": token})
    assert (status, problem["code"]) == (401, "unauthenticated")


def test_the_interface_is_described_without_a_token(conversations: Emulated, world: World) -> None:
    status, document = get(conversations, world, "/api/openapi.json", {})
    assert status == 200
    assert "/api/conversations" in document["paths"]
