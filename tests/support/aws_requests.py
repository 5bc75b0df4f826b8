"""Requests to AWS side by side: those that would leave by our own way, and those that boto3 makes of the same parameters."""

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore import auth as botocore_auth
from botocore import xform_name
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from functions.common import signing
from functions.common.aws import Aws, Service
from functions.common.http_body import Head
from functions.common.session import Session

Request = tuple[str, dict[str, str], bytes]  # the first line, or boto3's URL; the headers, in lower case; the body


class Kept(Aws):
    """Keeps what would be sent, and answers as told."""

    def __init__(self, status: int = 200, said: object = None, checksum: int | None = None) -> None:
        super().__init__(Session())
        self.sent: list[Request] = []
        content = json.dumps({} if said is None else said).encode()
        headers = [] if checksum is None else [(b"x-amz-crc32", b"%d" % checksum)]
        self._answer = Head(status, headers), content

    async def send(self, service: Service, head: bytes, body: bytes) -> tuple[Head, bytes]:
        first, *lines = head.decode("ascii").rstrip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        self.sent.append((first, {name.lower(): value for name, value in headers.items()}, body))
        return self._answer


def signs_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary credentials, as Lambda's are, at one moment."""
    at(monkeypatch, datetime(2026, 11, 24, 12, tzinfo=UTC))
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        "AWS_SESSION_TOKEN": "token",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)


def at(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    """When requests are signed, botocore's and ours."""
    monkeypatch.setattr(botocore_auth, "get_current_datetime", lambda: moment)
    monkeypatch.setattr(signing, "time", SimpleNamespace(gmtime=moment.timetuple, strftime=time.strftime))


def signed_headers(headers: Mapping[str, str]) -> str:
    """Their names, with semicolons between."""
    return headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0]


def boto3_sends(service: str, operation: str, asked: Mapping[str, Any], only: str) -> Request:
    """boto3's own call; of the headers it signs, the ones named in `only`."""
    session: Any = boto3.Session()
    client = session.client(service, config=Config(parameter_validation=False, account_id_endpoint_mode="disabled"))
    seen: list[Any] = []

    def choose(request: Any, **_: Any) -> None:
        for name in set(request.headers) - set(only.split(";")):  # its own telemetry, which it would sign too
            if name.lower() not in only.split(";"):
                del request.headers[name]

    def keep(request: Any, **_: Any) -> AWSResponse:
        seen.append(request)
        raw: Any = SimpleNamespace(stream=lambda *_, **__: iter([b"{}"]))
        headers: Any = {}
        return AWSResponse(request.url, 200, headers, raw)

    client.meta.events.register("before-sign", choose)
    client.meta.events.register("before-send", keep)
    getattr(client, xform_name(operation))(**asked)
    (request,) = seen
    headers = {name.lower(): value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()}
    return request.url, headers, request.body


def check_against_boto3(sent: Request, service: str, operation: str, asked: Mapping[str, Any]) -> None:
    """Asserts that what was sent is, byte for byte of what counts, what boto3 would send."""
    first, headers, body = sent
    url, theirs, their_body = boto3_sends(service, operation, asked, only=signed_headers(headers))
    assert (first, f"https://{headers['host']}/") == ("POST / HTTP/1.1", url)
    assert json.loads(body) == json.loads(their_body)
    for name in ("x-amz-target", "content-type", "x-amz-date", "x-amz-security-token"):
        assert headers[name] == theirs[name], name
    assert int(headers["content-length"]) == len(body)
