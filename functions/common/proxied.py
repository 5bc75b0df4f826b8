"""Calls of AWS through a proxy: by botocore's own HTTP session, in threads."""

import asyncio
from typing import Any

from functions.common.http_body import Head


class ProxiedWay:
    """To one service's URL. Raises botocore's exceptions."""

    def __init__(self, url: str, proxy: str, ca_bundle: str | None, timeouts_s: tuple[float, float]) -> None:
        """`timeouts_s` are those of a connection and of an answer."""
        from botocore.httpsession import URLLib3Session

        make: Any = URLLib3Session  # whose types leave out a bundle and two time-outs
        self._url = url
        self._session = make(
            verify=ca_bundle or True, proxies={"http": proxy, "https": proxy}, timeout=timeouts_s, max_pool_connections=50
        )

    async def exchange(self, head: bytes, body: bytes) -> tuple[Head, bytes]:
        """A signed request, as its head on the wire and its body, and what came back."""
        return await asyncio.to_thread(self._exchange, head, body)

    def _exchange(self, head: bytes, body: bytes) -> tuple[Head, bytes]:
        from botocore.awsrequest import AWSPreparedRequest, HeadersDict

        _, *lines = head.decode("ascii").rstrip().split("\r\n")
        headers: Any = HeadersDict(line.split(": ", 1) for line in lines)
        answer = self._session.send(AWSPreparedRequest("POST", self._url, headers, body, False))
        found = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()]
        return Head(answer.status_code, found), answer.content

    def close(self) -> None:
        self._session.close()
