"""The provider's key: given, or fetched from Secrets Manager once and kept."""

import asyncio
import threading
from typing import Any

from functions.chat_stream.session import Session
from functions.chat_stream.settings import ModelSettings


class ModelKey:
    """A source of the key for the model's client, which asks it before each request. Only the first ask can take time."""

    def __init__(self, settings: ModelSettings, session: Session) -> None:
        self._kept = settings.api_key
        self._secret_id = settings.key_secret or ""
        self._session = session
        self._client: Any = None
        self._making = threading.Lock()
        self._asking = asyncio.Lock()

    async def __call__(self) -> str:
        if self._kept is None:
            async with self._asking:
                if self._kept is None:
                    self._kept = await asyncio.to_thread(self._fetch)
        return self._kept

    def warm(self) -> None:
        """Makes the client now, if it will be needed. Opens no connection."""
        if self._kept is None:
            self._made()

    def _fetch(self) -> str:
        key: str = self._made().get_secret_value(SecretId=self._secret_id)["SecretString"]
        return key

    def _made(self) -> Any:
        with self._making:
            if self._client is None:
                self._client = self._session.client(
                    "secretsmanager", connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 3}
                )
            return self._client
