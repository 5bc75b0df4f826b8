"""The provider's key: given, or fetched from Secrets Manager once and kept."""

import asyncio
from typing import Final

from functions.chat_stream import errors
from functions.chat_stream.settings import ModelSettings, fits_a_header
from functions.common.aws import SECRETS_MANAGER, Aws, Refused, StorageUnavailable
from functions.common.shared_call import SharedCall

_PAUSES_S: Final = (0.2, 0.8)  # before another try; a model call waits for it
# Of GetSecretValue: what only whoever runs the service can mend. A secret without a value counts as not found.
_NO_KEY: Final = frozenset({"ResourceNotFoundException", "AccessDeniedException", "DecryptionFailure", "InvalidRequestException"})


class ModelKey:
    """A source of the key for the model's client, which asks it before each request. Only the first ask can take time."""

    def __init__(self, settings: ModelSettings, aws: Aws) -> None:
        self._kept = settings.api_key
        self._secret_id = settings.key_secret or ""
        self._aws = aws
        self._ask = SharedCall(self._fetch)

    async def __call__(self) -> str:
        if self._kept is None:
            self._kept = await self._ask()
        return self._kept

    async def _fetch(self) -> str:
        """Raises StorageUnavailable, or a ModelFailed where no second try would help."""
        for pause in _PAUSES_S:
            try:
                return await self._fetch_once()
            except StorageUnavailable:
                await asyncio.sleep(pause)
        return await self._fetch_once()

    async def _fetch_once(self) -> str:
        try:
            found = await self._aws.call(SECRETS_MANAGER, "GetSecretValue", {"SecretId": self._secret_id})
        except Refused as error:
            if error.code in _NO_KEY:
                raise errors.NoKey from error
            raise
        key = str(found.get("SecretString", "")).strip()  # a secret made from a file often ends with the file's newline
        if not key:
            raise errors.NoKey
        if not fits_a_header(key):
            raise errors.WrongKey
        return key
