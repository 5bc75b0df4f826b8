"""Settings: read once, checked, and an error names the variable at fault."""

from collections.abc import Mapping

import pytest

from functions.chat_stream.settings import Limits, Settings, Timing

LEAST = {"CHAT_TURNS_TABLE": "turns", "CHAT_QUEUE_URL": "http://q", "OPENAI_API_KEY": "sk"}
PROVIDER = {"OIDC_ISSUER": "https://id.example", "OIDC_AUDIENCE": "chat"}


def test_the_least_environment_gives_the_documented_defaults() -> None:
    settings = Settings.from_env(LEAST)

    assert (settings.limits, settings.timing) == (Limits(), Timing())
    assert settings.limits.message_bytes == 204_800
    assert settings.model.base_url == "https://api.openai.com/v1"
    assert settings.model.offered == (settings.model.default,)
    assert settings.auth.issuer is None


def test_every_limit_and_time_can_be_set() -> None:
    settings = Settings.from_env({**LEAST, "CHAT_MAX_BODY_BYTES": "7", "CHAT_STALL_S": "1.5", "CHAT_SETTLE_DELAY_S": "3"})

    assert settings.limits.body_bytes == 7
    assert (settings.timing.stall_s, settings.timing.settle_delay_s) == (1.5, 3)


def test_the_client_id_is_the_audience_unless_given() -> None:
    assert Settings.from_env({**LEAST, **PROVIDER}).client_id == "chat"
    assert Settings.from_env({**LEAST, **PROVIDER, "OIDC_CLIENT_ID": "web"}).client_id == "web"


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"CHAT_TURNS_TABLE": ""}, "CHAT_TURNS_TABLE"),
        ({"CHAT_QUEUE_URL": ""}, "CHAT_QUEUE_URL"),
        ({"OPENAI_API_KEY": ""}, "OPENAI_API_KEY"),
        ({"CHAT_STALL_S": "soon"}, "CHAT_STALL_S"),
        ({"CHAT_STALL_S": "nan"}, "CHAT_STALL_S"),
        ({"CHAT_MAX_MESSAGES": "1.5"}, "CHAT_MAX_MESSAGES"),
        ({"CHAT_MAX_MESSAGES": "0"}, "CHAT_MAX_MESSAGES"),
        ({"CHAT_SETTLE_DELAY_S": "901"}, "CHAT_SETTLE_DELAY_S"),
        ({"OPENAI_BASE_URL": "api.example/v1"}, "OPENAI_BASE_URL"),
        ({"OPENAI_BASE_URL": "https://api.example/v1?api-version=1"}, "OPENAI_BASE_URL has a query"),
        ({"OPENAI_API_KEY": " \n"}, "OPENAI_API_KEY"),
        ({"DEFAULT_MODEL": "a", "MODELS": "b,c"}, "DEFAULT_MODEL"),
        ({"OIDC_ISSUER": "https://id.example"}, "OIDC_AUDIENCE"),
        ({"OIDC_AUDIENCE": "chat"}, "OIDC_ISSUER"),
        ({"OIDC_ISSUER": "http://id.example", "OIDC_AUDIENCE": "chat"}, "https"),
        ({"AWS_LAMBDA_FUNCTION_NAME": "chat"}, "sign-in"),
    ],
)
def test_a_setting_that_is_not_right_is_named(changed: Mapping[str, str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Settings.from_env({**LEAST, **changed})
