"""One boto3 session for the process: its clients, and the way to its credentials, can be made early and cut off together.

Not boto3's own default: that one keeps its connection to Lambda's credentials endpoint where nobody can close it, and a
connection that crosses a snapshot can make the first call of a restored instance wait for a time-out.
"""

import threading
from typing import Any


class Session:
    """Made on first use: importing boto3 takes 300 ms that a reader must not wait for. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._boto3: Any = None
        self._to_credentials: Any = None
        self._clients: list[Any] = []

    def client(self, service: str, **config: Any) -> Any:
        """A client of the service, with the fields of botocore's Config. Opens no connection but the one to the credentials."""
        from botocore.config import Config

        with self._lock:
            if self._boto3 is None:
                self._boto3 = self._begin()
            client = self._boto3.client(service, config=Config(**config))
            self._clients.append(client)
            return client

    def drop_connections(self) -> None:
        """Closes every connection. The clients stay, and connect again when next used."""
        with self._lock:
            for client in self._clients:
                client.close()
            if self._to_credentials is not None:
                self._to_credentials.close()

    def _begin(self) -> Any:
        import boto3
        import botocore.session
        from botocore.credentials import ContainerProvider
        from botocore.httpsession import URLLib3Session
        from botocore.utils import ContainerMetadataFetcher

        # What botocore would make itself, with a connection that is ours to close.
        self._to_credentials = URLLib3Session(timeout=ContainerMetadataFetcher.TIMEOUT_SECONDS)
        fetcher: Any = ContainerMetadataFetcher(session=self._to_credentials)
        provider = ContainerProvider(fetcher=fetcher)
        core = botocore.session.get_session()
        core.get_component("credential_provider").insert_before(ContainerProvider.METHOD, provider)
        return boto3.Session(botocore_session=core)
