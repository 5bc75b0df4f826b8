"""httpx2 for servers on loopback: no TLS, so the machine's certificates, slower to load than most tests run, stay unread."""

import hashlib
import ssl
from typing import Any, Final

import httpx2

_NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody


def client(url: str = "", **options: Any) -> httpx2.Client:
    return httpx2.Client(base_url=url, verify=_NO_TLS, trust_env=False, **options)


def with_digest(request: httpx2.Request) -> None:
    """A hook that does what every client of a deployment has to: it names the digest of the body."""
    if request.method not in {"GET", "HEAD"}:
        request.headers["x-amz-content-sha256"] = hashlib.sha256(request.read()).hexdigest()


def request(method: str, url: str, **options: Any) -> httpx2.Response:
    """One request, on a connection of its own."""
    with client() as once:
        return once.request(method, url, **options)


def get(url: str, **options: Any) -> httpx2.Response:
    return request("GET", url, **options)


def post(url: str, **options: Any) -> httpx2.Response:
    return request("POST", url, **options)
