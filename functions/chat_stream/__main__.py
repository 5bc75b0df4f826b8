"""Serves the streaming function: `python -m functions.chat_stream`. HOST (127.0.0.1) and PORT (8080) say where."""

import ipaddress
import os
import sys
from collections.abc import Mapping
from types import FrameType
from typing import Final

import uvicorn

from functions.chat_stream.app import create_app
from functions.chat_stream.settings import Settings
from functions.common.log import get_logger
from functions.common.variables import warn_of_unknown

logger = get_logger("chat_stream")
_GRACE_S: Final = 20
# Threads hand the interpreter over this often (CPython's default: 5 ms). Importing botocore keeps a thread busy for 100 ms; with
# the default, every token in that time would wait for several such turns.
_SWITCH_S: Final = 0.0005


class _Server(uvicorn.Server):
    """Ends the running turns when told to go: their answers are saved and their streams end, so that connections can close."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.config.app.state.turns.end_all()  # type: ignore[union-attr]
        super().handle_exit(sig, frame)


def main(env: Mapping[str, str]) -> None:
    """Runs until told to stop. Exits with a sentence when the settings are not right."""
    try:
        settings = Settings.from_env(env)
        host, port = env.get("HOST") or "127.0.0.1", int(env.get("PORT") or "8080")
        if settings.auth.issuer is None and not _is_loopback(host):
            raise ValueError(f"HOST is {host}, but without OIDC_ISSUER this server listens on loopback only")  # noqa: TRY301
        app = create_app(settings)
    except ValueError as error:
        sys.exit(f"chat_stream: {error}")
    warn_of_unknown(env, logger.warning)
    config = uvicorn.Config(
        app,
        host,
        port,
        http="httptools",
        ws="none",
        proxy_headers=False,
        lifespan="on",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    sys.setswitchinterval(_SWITCH_S)
    _Server(config).run()


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


if __name__ == "__main__":
    main(os.environ)
