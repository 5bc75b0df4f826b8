"""A fresh function over fresh tables for each test; one provider for all."""

from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from functions.conversations import handler as function
from infra.resources import CONVERSATIONS, TURNS
from tests.integration.conversations.stage import Stage
from tests.oidc import OidcProvider
from tests.support import moto_transactions


@pytest.fixture(scope="session")
def _provider() -> Iterator[OidcProvider]:
    with OidcProvider() as provider:
        yield provider


@pytest.fixture(scope="session")
def _session() -> boto3.Session:
    """Keeps what botocore reads from its JSON models, which takes most of a client's making."""
    return boto3.Session()


@pytest.fixture
def stage(_provider: OidcProvider, _session: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    _provider.down = False
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "CHAT_CONVERSATIONS_TABLE": CONVERSATIONS.name,
        "CHAT_TURNS_TABLE": TURNS.name,
        "OIDC_ISSUER": _provider.issuer,
        "OIDC_AUDIENCE": _provider.audience,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    moto_transactions.install()
    with mock_aws():
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", _session)
        function.gate.cache_clear()
        function.dynamodb.cache_clear()
        yield Stage(_provider)
        function.gate.cache_clear()
        function.dynamodb.cache_clear()
