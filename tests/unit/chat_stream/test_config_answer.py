"""`GET /api/config`: what a client needs to sign in and out, in the form that the OpenAPI document describes."""

import asyncio
from typing import Any

import httpx2
import pytest

from functions.chat_stream.app import create_app
from functions.chat_stream.settings import Settings
from functions.common.api_answers import ClientConfig

ISSUER = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_abc"
LOGOUT = "https://chat-prod-eu-central-1-111122223333.auth.eu-central-1.amazoncognito.com/logout"


def config(**more: str) -> Any:
    env = {"TURNS_TABLE": "turns", "QUEUE_URL": "https://queue", "OPENAI_API_KEY": "none", **more}
    env |= {f"CHAT_{name}": value for name, value in env.items()}

    async def ask() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=create_app(Settings.from_env(env)))
        async with httpx2.AsyncClient(transport=transport, base_url="http://chat") as client:
            return await client.get("/api/config")

    answer = asyncio.run(ask())
    assert ClientConfig.model_validate_json(answer.content)  # the document's own model, which knows no other field
    return answer.json()["auth"]


def test_without_sign_in_there_is_nothing_to_sign_in_with() -> None:
    assert config() is None


def test_an_issuer_that_ends_sessions_in_the_standard_way_needs_no_page_named() -> None:
    assert config(OIDC_ISSUER=ISSUER, OIDC_AUDIENCE="api", OIDC_CLIENT_ID="web") == {
        "issuer": ISSUER,
        "clientId": "web",
        "scopes": ["openid", "profile", "email"],
        "logout": None,
    }


def test_the_page_that_ends_a_session_comes_with_the_names_of_its_parameters() -> None:
    auth = config(OIDC_ISSUER=ISSUER, OIDC_AUDIENCE="api", OIDC_LOGOUT_URL=LOGOUT)
    assert auth["logout"] == {"url": LOGOUT, "clientIdParam": "client_id", "returnToParam": "logout_uri"}


def test_a_logout_page_that_is_no_url_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="OIDC_LOGOUT_URL"):
        config(OIDC_ISSUER=ISSUER, OIDC_AUDIENCE="api", OIDC_LOGOUT_URL="logout")
