"""Behind a company's proxy and its certificates: the model, AWS and the issuer are reached as the usual variables say."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from functions.common import aws
from functions.common.auth import AuthSettings, IssuerFault, IssuerUnavailable, TokenVerifier
from functions.common.aws import Aws, StorageUnavailable
from functions.common.session import Session
from functions.common.storage_faults import StorageFault
from functions.conversations import handler
from tests.oidc import DISCOVERY, JWKS, OidcProvider
from tests.support.proxy import Proxy, certificates, proxy_to
from tests.support.system import System

VARIABLES = (
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "AWS_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
)
NAMES = ("model.test", "id.test", "dynamodb.eu-north-1.amazonaws.com")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    return certificates(tmp_path_factory.mktemp("certificates"), *NAMES)


@pytest.fixture
def authority(made: tuple[Path, Any]) -> str:
    return str(made[0])


@pytest.fixture
def to_model(chat_system: System, made: tuple[Path, Any]) -> Iterator[Proxy]:
    port = int(chat_system.model.url.rsplit(":", 1)[1].split("/")[0])
    with proxy_to(port, made[1]) as proxy:
        yield proxy


@pytest.mark.parametrize("bundle", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_the_model_answers_through_a_proxy_whose_certificates_are_the_company_s(
    variable: str, bundle: str, chat_system: System, to_model: Proxy, authority: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, to_model.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")  # where the embedded AWS is
    api = chat_system.serve(OPENAI_BASE_URL="https://model.test/v1", CHAT_RECEIPT_WAIT_S="0.1", **{bundle: authority})

    first, second = api.say("hi"), api.say("hi")

    assert first.last["type"] == second.last["type"] == "complete"
    assert first.text
    assert set(to_model.targets) == {"model.test:443"}
    assert to_model.asked[0].startswith("CONNECT ")


def test_a_plain_model_answers_through_a_proxy_that_hands_requests_on(
    chat_system: System, to_model: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", to_model.url.replace("http://", "http://me:secret@"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    stream = chat_system.serve(OPENAI_BASE_URL="http://model.test/v1", CHAT_RECEIPT_WAIT_S="0.1").say("hi")

    assert stream.last["type"] == "complete"
    assert to_model.targets == ["http://model.test/v1/chat/completions"]
    assert "proxy-authorization: basic bwu6c2vjcmv0" in to_model.asked[0].lower()


def test_a_host_that_is_exempt_is_asked_directly(chat_system: System, to_model: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", to_model.url)
    monkeypatch.setenv("NO_PROXY", "intranet,127.0.0.1")

    assert chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1").say("hi").last["type"] == "complete"
    assert to_model.asked == []


def test_without_the_company_s_certificates_the_model_is_not_believed(
    chat_system: System, to_model: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", to_model.url)

    stream = chat_system.serve(OPENAI_BASE_URL="https://model.test/v1", CHAT_RECEIPT_WAIT_S="0.1").say("hi")

    assert stream.last["code"] == "model_unavailable"


@pytest.mark.parametrize("kind", ["socks5://127.0.0.1:1080", "socks5h://127.0.0.1:1080"])
def test_a_proxy_of_another_kind_is_named_at_the_start(kind: str, chat_system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", kind)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(ValueError, match="proxy is a socks5"):
        chat_system.serve(OPENAI_BASE_URL="https://model.test/v1")


def test_a_bundle_that_is_not_there_is_named_at_the_start(chat_system: System) -> None:
    with pytest.raises(ValueError, match="REQUESTS_CA_BUNDLE"):
        chat_system.serve(REQUESTS_CA_BUNDLE="/nowhere.pem")


@pytest.fixture
def to_dynamodb(aws_endpoint: str, made: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy that stands between the code and what it takes for the real DynamoDB; behind it is the embedded one."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name, value in {"AWS_REGION": "eu-north-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    with proxy_to(int(aws_endpoint.rsplit(":", 1)[1]), made[1]) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        yield proxy


LIST: Any = (aws.DYNAMODB, "ListTables", {})
BUNDLES = ("AWS_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


@pytest.mark.parametrize("bundle", BUNDLES)
async def test_aws_is_called_through_the_proxy(
    bundle: str, to_dynamodb: Proxy, authority: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(bundle, authority)
    caller = Aws(Session())

    assert "TableNames" in await caller.call(*LIST)
    assert "TableNames" in await caller.call(*LIST)
    await caller.close()

    assert set(to_dynamodb.targets) == {"dynamodb.eu-north-1.amazonaws.com:443"}


@pytest.mark.parametrize("bundle", BUNDLES)
def test_boto3_s_clients_go_through_the_proxy_and_trust_the_same(
    bundle: str, to_dynamodb: Proxy, authority: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(bundle, authority)
    handler.dynamodb.cache_clear()
    try:
        assert "TableNames" in handler.dynamodb().list_tables()
    finally:
        handler.dynamodb.cache_clear()
    assert set(to_dynamodb.targets) == {"dynamodb.eu-north-1.amazonaws.com:443"}


async def test_without_the_certificates_aws_is_not_believed(to_dynamodb: Proxy) -> None:
    with pytest.raises(StorageUnavailable) as failed:
        await Aws(Session()).call(*LIST)
    assert failed.value.fault is StorageFault.UNTRUSTED


async def test_a_proxy_that_is_down_is_an_aws_that_cannot_be_reached(to_dynamodb: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with pytest.raises(StorageUnavailable) as failed:
        await Aws(Session()).call(*LIST)
    assert failed.value.fault is StorageFault.UNREACHABLE
    handler.dynamodb.cache_clear()
    with pytest.raises((BotoCoreError, ClientError)):
        handler.dynamodb().list_tables()
    handler.dynamodb.cache_clear()


@pytest.mark.parametrize("bundle", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_the_issuer_s_keys_are_fetched_through_the_proxy(
    bundle: str, made: tuple[Path, Any], authority: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OidcProvider() as issuer, proxy_to(int(issuer.issuer.rsplit(":", 1)[1]), made[1]) as proxy:
        issuer.issuer = "https://id.test"
        issuer.discovery = {"issuer": issuer.issuer, "jwks_uri": issuer.issuer + JWKS}
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        env = {"OIDC_ISSUER": issuer.issuer, "OIDC_AUDIENCE": issuer.audience}

        verifier = TokenVerifier(AuthSettings.from_env({**env, bundle: authority}))
        assert verifier.check(f"Bearer {issuer.token()}").user_id == "alice"
        assert set(proxy.targets) == {"id.test:443"}
        assert issuer.hits == {DISCOVERY: 1, JWKS: 1}

        with pytest.raises(IssuerUnavailable) as failed:
            TokenVerifier(AuthSettings.from_env(env)).check(f"Bearer {issuer.token()}")
        assert failed.value.reason is IssuerFault.UNTRUSTED
