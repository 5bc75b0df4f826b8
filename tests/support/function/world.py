"""What surrounds a packaged function in these tests: an embedded AWS, a scripted model, an OIDC provider."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from functions.chat_stream.snapshot import AFTER, BEFORE
from infra.resources import TURNS
from local.environment import queue_url
from local.model.script import ScriptedModel
from local.url_event import event_of
from tests.oidc import OidcProvider

KEY_SECRET: Final = "model-key"
MODEL_KEY: Final = "sk-from-the-secret"


@dataclass
class World:
    """What surrounds a function. `env` is its configuration, as the stack would set it."""

    endpoint: str
    model: ScriptedModel
    issuer: OidcProvider
    runtime_folder: Path

    def env(self, **changes: str | None) -> dict[str, str]:
        """The streaming function's variables; None leaves one out."""
        env: dict[str, str | None] = {
            "AWS_LWA_INVOKE_MODE": "response_stream",
            "AWS_LWA_READINESS_CHECK_PATH": "/api/health",
            "AWS_LWA_READINESS_CHECK_TIMEOUT_SECONDS": "30",
            "AWS_LWA_AUTHORIZATION_SOURCE": "x-forwarded-authorization",
            "AWS_LWA_SNAPSTART_BEFORE_CHECKPOINT_PATH": BEFORE,
            "AWS_LWA_SNAPSTART_AFTER_RESTORE_PATH": AFTER,
            "AWS_ENDPOINT_URL": self.endpoint,
            "LAMBDA_RUNTIME_DIR": str(self.runtime_folder),
            "CHAT_TURNS_TABLE": TURNS.name,
            "CHAT_QUEUE_URL": queue_url(self.endpoint),
            "OPENAI_BASE_URL": self.model.url,
            "CHAT_MODEL_KEY_SECRET": KEY_SECRET,
            "DEFAULT_MODEL": "test-model",
            "CHAT_RECEIPT_WAIT_S": "0.1",  # persist is not here to answer
            "OIDC_ISSUER": self.issuer.issuer,
            "OIDC_AUDIENCE": self.issuer.audience,
            **changes,
        }
        return {name: value for name, value in env.items() if value is not None}

    def event(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """A function URL's event as CloudFront's signed request makes it: its signature is where a token would be."""
        given = {
            "host": "abc.lambda-url.eu-central-1.on.aws",
            "authorization": "AWS4-HMAC-SHA256 Credential=AKIA/20260101/eu-central-1/lambda/aws4_request, Signature=00",
            **({"content-type": "application/json"} if body else {}),
            **(headers or {}),
        }
        return event_of(method, path, "", list(given.items()), body, "10.0.0.1")

    def token_header(self, user: str = "alice", **claims: Any) -> dict[str, str]:
        return {"x-forwarded-authorization": f"Bearer {self.issuer.token(user, **claims)}"}
