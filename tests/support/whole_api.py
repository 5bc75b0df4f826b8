"""The whole API on one loopback URL: both functions behind the local run's front, over one embedded AWS."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from functions.conversations import handler as conversations
from local.lambda_url import FunctionUrl
from tests.integration.local.served import application, front
from tests.support.system import System


@contextmanager
def whole_api(system: System, **env: str) -> Iterator[str]:
    """Its base URL. `env` sets both functions up: sign-in, quotas."""
    chat = system.serve(**{"CHAT_RECEIPT_WAIT_S": "3", **env})
    with mock.patch.dict(os.environ, env):
        _forget()
        url = FunctionUrl("conversations", conversations.handler)
        with application(url) as behind, front([str(chat.http.base_url).rstrip("/")], behind) as address:
            yield address
    _forget()


def _forget() -> None:
    """What the function made of another environment."""
    conversations.gate.cache_clear()
    conversations.dynamodb.cache_clear()
