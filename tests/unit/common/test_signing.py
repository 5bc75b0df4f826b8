"""The signature of a request is the one that botocore gives it, whatever the request, the credentials and the day."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from functions.common.signing import Signer
from tests.support.aws_requests import at

VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=60)
KEYS = st.builds(Credentials, VISIBLE, VISIBLE, st.none() | VISIBLE)
HEADERS = st.fixed_dictionaries({"content-type": VISIBLE, "x-amz-target": VISIBLE, "user-agent": VISIBLE})
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the zone is beside it
URLS = st.sampled_from(
    ["https://dynamodb.eu-central-1.amazonaws.com/", "http://127.0.0.1:4566/", "http://aws.test/a/~x/", "https://sqs.test/"]
)


@given(KEYS, HEADERS, st.binary(max_size=2000), MOMENTS, URLS)
def test_it_is_the_one_that_botocore_gives(
    keys: Credentials, headers: dict[str, str], body: bytes, moment: datetime, url: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        at(patch, moment)
        ours = _fields(Signer("dynamodb", "eu-central-1", url).head(keys, headers, body))
        theirs = _botocore_signs(keys, "dynamodb", url, headers, body)

    assert ours["authorization"] == theirs["authorization"]
    assert {name: ours.get(name) for name in ("x-amz-date", "x-amz-security-token")} == {
        name: theirs.get(name) for name in ("x-amz-date", "x-amz-security-token")
    }
    assert ours["content-length"] == str(len(body))


def test_one_signer_follows_the_day_and_the_credentials() -> None:
    url, headers = "https://sqs.us-east-1.amazonaws.com/", {"x-amz-target": "AmazonSQS.SendMessageBatch"}
    signer = Signer("sqs", "us-east-1", url)
    for day, secret, token in ((1, "a", None), (1, "a", "t"), (1, "b", "t"), (2, "b", "t"), (1, "a", None)):
        keys = Credentials("id", secret, token)
        with pytest.MonkeyPatch.context() as patch:
            at(patch, datetime(2026, 11, day, 23, 59, 59, tzinfo=UTC))
            ours = _fields(signer.head(keys, headers, b"{}"))
            theirs = _botocore_signs(keys, "sqs", url, headers, b"{}", region="us-east-1")
        assert ours["authorization"] == theirs["authorization"]


def test_the_head_is_a_post_to_the_path_of_the_url() -> None:
    head = Signer("sqs", "us-east-1", "https://sqs.test:8443/a/").head(Credentials("id", "secret"), {}, b"12")

    assert head.startswith(b"POST /a/ HTTP/1.1\r\n")
    assert head.endswith(b"\r\n\r\n")
    assert _fields(head)["host"] == "sqs.test:8443"


def _fields(head: bytes) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in head.decode("ascii").split("\r\n")[1:-2])


def _botocore_signs(
    keys: Credentials, service: str, url: str, headers: Mapping[str, str], body: bytes, region: str = "eu-central-1"
) -> dict[str, str]:
    request: Any = AWSRequest("POST", url, headers=dict(headers), data=body)
    SigV4Auth(keys, service, region).add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}
