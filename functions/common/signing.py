"""AWS's Signature Version 4 for the one kind of request that is made here: a POST to a service's root.

botocore's signer serves any request: it takes URLs apart and keeps headers as e-mail messages do, in 650 calls of functions that
were half of what a call to AWS cost. The tests hold this one to botocore's, and to what boto3 puts on the wire.
"""

import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Final, Protocol
from urllib.parse import quote, urlsplit

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_UNSIGNED: Final = "user-agent"  # what lies between may change it


class Credentials(Protocol):
    """As botocore freezes them; `token` is what temporary ones have besides."""

    @property
    def access_key(self) -> str: ...
    @property
    def secret_key(self) -> str: ...
    @property
    def token(self) -> str | None: ...


class Signer:
    """Signs for one service of one region, at its base URL."""

    def __init__(self, service: str, region: str, url: str) -> None:
        parts = urlsplit(url)
        self._line = f"POST {parts.path} HTTP/1.1"
        self._resource = f"POST\n{quote(parts.path, safe='/~')}\n\n"  # no query
        self._host = parts.netloc
        self._scope = (region, service, "aws4_request")
        self._key = b""
        self._key_is_of = ("", "")

    def head(self, credentials: Credentials, headers: Mapping[str, str], body: bytes) -> bytes:
        """The request's head: these headers, whose names are in lower case, and those that a signature adds."""
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        fields = {**headers, "host": self._host, "x-amz-date": moment}
        if credentials.token:
            fields["x-amz-security-token"] = credentials.token
        names = sorted(fields.keys() - {_UNSIGNED})
        signed = ";".join(names)
        lines = "".join([f"{name}:{fields[name]}\n" for name in names])
        request = f"{self._resource}{lines}\n{signed}\n{hashlib.sha256(body).hexdigest()}"

        day = moment[:8]
        scope = "/".join((day, *self._scope))
        text = f"{_ALGORITHM}\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        signature = hmac.digest(self._key_for(credentials.secret_key, day), text.encode(), "sha256").hex()
        fields["authorization"] = (
            f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={signed}, Signature={signature}"
        )
        fields["content-length"] = str(len(body))
        return "\r\n".join([self._line, *[f"{name}: {value}" for name, value in fields.items()], "", ""]).encode("ascii")

    def _key_for(self, secret: str, day: str) -> bytes:
        """The key of a day, made once."""
        if self._key_is_of != (secret, day):
            key = f"AWS4{secret}".encode()
            for part in (day, *self._scope):
                key = hmac.digest(key, part.encode(), "sha256")
            self._key, self._key_is_of = key, (secret, day)
        return self._key
