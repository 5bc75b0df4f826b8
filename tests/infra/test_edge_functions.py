"""The two CloudFront functions, run by Node.js (which CDK needs anyway) on events of CloudFront's form."""

import json
import shutil
import subprocess
from typing import Any

import pytest

from functions.common import auth
from infra.edge import HERE
from local import strict_edge

NODE = shutil.which("node")


def run(file: str, request: dict[str, Any]) -> dict[str, Any]:
    assert NODE is not None
    source = (HERE / "edge_functions" / file).read_text()
    script = f"{source}\nconsole.log(JSON.stringify(handler({json.dumps({'request': request})})));"
    done = subprocess.run([NODE, "-e", script], capture_output=True, text=True, check=True, timeout=30)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def carried(headers: dict[str, str]) -> dict[str, str]:
    """The headers as they go on to the function."""
    given = {name: {"value": value} for name, value in headers.items()}
    answer = run("carry_authorization.js", {"method": "POST", "uri": "/api/chat", "headers": given, "querystring": {}})
    assert (answer["method"], answer["uri"]) == ("POST", "/api/chat")
    return {name: header["value"] for name, header in answer["headers"].items()}


def test_the_token_travels_under_the_other_name() -> None:
    headers = carried({"authorization": "Bearer a.b.c", "accept": "text/event-stream"})
    assert headers == {"x-forwarded-authorization": "Bearer a.b.c", "accept": "text/event-stream"}


def test_a_long_token_travels_once_so_that_the_request_stays_within_cloudfront_s_20_kb() -> None:
    token = "Bearer " + "x" * auth._MAX_TOKEN_CHARS
    asked = {"authorization": token, "accept": "text/event-stream", "user-agent": "x" * 200}
    assert sum(len(name) + len(value) + 4 for name, value in carried(asked).items()) < 20_480


def test_without_a_token_nothing_travels() -> None:
    assert carried({"accept": "*/*"}) == {"accept": "*/*"}


@pytest.mark.parametrize("own", [{}, {"authorization": "Bearer a.b.c"}])
def test_what_a_client_sends_under_the_other_name_is_not_believed(own: dict[str, str]) -> None:
    headers = carried({"x-forwarded-authorization": "Bearer forged", **own})
    assert headers.get("x-forwarded-authorization") == own.get("authorization")


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"authorization": "Bearer a.b.c"},
        {"x-forwarded-authorization": "Bearer forged"},
        {"authorization": "Bearer a.b.c", "x-forwarded-authorization": "Bearer forged", "accept": "*/*"},
    ],
)
def test_the_strict_front_of_the_local_run_carries_it_over_in_the_same_way(asked: dict[str, str]) -> None:
    pairs = [(name.encode(), value.encode()) for name, value in asked.items()]
    signed = {name.decode(): value.decode() for name, value in strict_edge._signed({"headers": pairs})["headers"]}
    signed.pop("host")
    assert signed.pop("authorization").startswith("AWS4-HMAC-SHA256 ")  # CloudFront's own, after its function has run
    assert signed == carried(asked)


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ("/", "/index.html"),
        ("/new", "/index.html"),
        ("/chat/01a204a1-73bd-7b8f-a0ea-eaed112344ec", "/index.html"),
        ("/v1.2/about", "/index.html"),
        ("/index.html", "/index.html"),
        ("/assets/index-4f2a.js", "/assets/index-4f2a.js"),
        ("/favicon.ico", "/favicon.ico"),
    ],
)
def test_a_route_of_the_web_client_is_its_one_page(asked: str, served: str) -> None:
    assert run("one_page.js", {"method": "GET", "uri": asked, "headers": {}})["uri"] == served
    assert strict_edge._page_of({"path": asked})["path"] == served
