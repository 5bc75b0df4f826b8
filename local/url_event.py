"""A function URL's event and answer, payload format 2.0.

https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html and
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

Pairs = Sequence[tuple[str, str]]
_TEXT = ("text/", "application/json", "application/javascript", "application/xml", "application/problem+json")


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Pairs
    body: bytes


def event_of(method: str, raw_path: str, raw_query: str, headers: Pairs, body: bytes, source_ip: str) -> dict[str, Any]:
    """The event for an HTTP request. Header names are lower case; repeated headers and parameters are joined by commas."""
    joined = _joined((name.lower(), value) for name, value in headers)
    cookies = [part.strip() for part in joined.pop("cookie", "").split(";") if part.strip()]
    is_text = joined.get("content-type", "").lower().startswith(_TEXT)
    now = time.time()
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": raw_path,
        "rawQueryString": raw_query,
        "headers": joined,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "local",
            "domainName": joined.get("host", "localhost"),
            "domainPrefix": "local",
            "http": {
                "method": method,
                "path": raw_path,
                "protocol": "HTTP/1.1",
                "sourceIp": source_ip,
                "userAgent": joined.get("user-agent", ""),
            },
            "requestId": str(uuid4()),
            "routeKey": "$default",
            "stage": "$default",
            "time": datetime.fromtimestamp(now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": int(now * 1000),
        },
        "isBase64Encoded": bool(body) and not is_text,
    }
    if cookies:
        event["cookies"] = cookies
    if raw_query:
        event["queryStringParameters"] = _joined(parse_qsl(raw_query, keep_blank_values=True))
    if body:
        # A body that says it is text but is no UTF-8 reaches the function with the bad bytes replaced.
        event["body"] = body.decode(errors="replace") if is_text else base64.b64encode(body).decode()
    return event


def answer_of(response: object) -> Answer:
    """The HTTP answer to what a function returned; raises ValueError when a function URL would answer 502.

    Anything but an object with a `statusCode` is a JSON body under 200.
    """
    if not (isinstance(response, Mapping) and "statusCode" in response):
        return Answer(200, [("content-type", "application/json")], json.dumps(response).encode())
    body = response.get("body") or ""
    if not isinstance(body, str):
        raise ValueError("the body of a response is text")  # noqa: TRY004 - bad output is one error, whatever its shape
    headers = [(name.lower(), str(value)) for name, value in (response.get("headers") or {}).items()]
    if not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", "application/json"))
    headers += [("set-cookie", cookie) for cookie in response.get("cookies") or []]
    data = base64.b64decode(body, validate=True) if response.get("isBase64Encoded") else body.encode()
    return Answer(int(response["statusCode"]), headers, data)


def _joined(pairs: Any) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {name: ",".join(values) for name, values in found.items()}
