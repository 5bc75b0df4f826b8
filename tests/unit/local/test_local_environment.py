"""The settings of the local run, and what its processes are given."""

import os

import pytest

from local import environment
from local.environment import Ports, Settings, Unusable

PORTS = Ports(aws=1, model=2, conversations=3, chat=(4,))


def test_the_defaults_need_nothing() -> None:
    assert Settings.from_env({}) == Settings("127.0.0.1", 8000, 1, 10, 10, provider=False)


@pytest.mark.parametrize("env", [{"OPENAI_API_KEY": "k"}, {"OPENAI_BASE_URL": "http://x/v1"}])
def test_a_key_or_a_base_url_means_a_real_provider(env: dict[str, str]) -> None:
    assert Settings.from_env(env).provider
    given = environment.model_environment(env, PORTS, provider=True)
    assert given["OPENAI_API_KEY"]
    assert "OPENAI_BASE_URL" not in given  # the user's own, or the client's default
    assert "DEFAULT_MODEL" not in given


def test_without_one_the_embedded_model_is_asked() -> None:
    given = environment.model_environment({}, PORTS, provider=False)
    assert given == {
        "OPENAI_BASE_URL": "http://127.0.0.1:2/v1",
        "OPENAI_API_KEY": "local",
        "DEFAULT_MODEL": "demo",
        "MODELS": "demo,demo-reasoning",
    }


def test_the_models_of_the_user_hold_for_the_embedded_model() -> None:
    assert environment.model_environment({"MODELS": "a, b"}, PORTS, provider=False)["DEFAULT_MODEL"] == "a"


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"HOST": "0.0.0.0"}, "HOST=0.0.0.0"),
        ({"OIDC_ISSUER": "https://x"}, "OIDC_AUDIENCE"),
        ({"FAKE_LLM_DELAY_MS": "abc"}, "FAKE_LLM_DELAY_MS"),
        ({"FAKE_LLM_TTFT_MS": "-5"}, "FAKE_LLM_TTFT_MS"),
        ({"CHAT_SETTLE_DELAY_S": "901"}, "CHAT_SETTLE_DELAY_S"),
        ({"CHAT_QUOTA_STREAMS": "-1"}, "CHAT_QUOTA_STREAMS"),
        ({"OIDC_AUDIENCE": "x"}, "OIDC_ISSUER"),
        ({"PORT": "eighty"}, "PORT=eighty"),
        ({"PORT": "70000"}, "PORT=70000"),
        ({"CHAT_WORKERS": "0"}, "CHAT_WORKERS=0"),
        ({"CHAT_WORKERS": "-1"}, "CHAT_WORKERS=-1"),
    ],
)
def test_what_cannot_work_is_one_sentence(env: dict[str, str], said: str) -> None:
    with pytest.raises(Unusable) as caught:
        Settings.from_env(env)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_with_sign_in_strangers_may_come() -> None:
    env = {"HOST": "0.0.0.0", "OIDC_ISSUER": "https://issuer", "OIDC_AUDIENCE": "me"}
    assert Settings.from_env(env).host == "0.0.0.0"


def test_no_way_leads_to_a_real_aws_account() -> None:
    mine = {
        "AWS_PROFILE": "work",
        "AWS_ACCESS_KEY_ID": "AKIAREAL",
        "AWS_SESSION_TOKEN": "real",
        "AWS_ENDPOINT_URL_SQS": "https://sqs.real",
        "AWS_LAMBDA_FUNCTION_NAME": "real",
        "HOME": "/home/me",
    }
    given = environment.base(mine, PORTS)
    assert given["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    assert given["AWS_CONFIG_FILE"] == given["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull
    assert given["AWS_ACCESS_KEY_ID"] == "local"
    assert not {"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_SQS", "AWS_LAMBDA_FUNCTION_NAME"} & given.keys()
    assert given["HOME"] == "/home/me"


def test_a_proxy_is_not_asked_for_the_way_to_the_next_process() -> None:
    given = environment.base({"HTTPS_PROXY": "http://proxy", "NO_PROXY": "intranet"}, PORTS)
    assert given["HTTPS_PROXY"] == "http://proxy"
    assert given["NO_PROXY"] == given["no_proxy"] == "intranet,127.0.0.1,localhost"


def test_the_settle_delay_is_the_users_or_the_stacks() -> None:
    assert environment.base({}, PORTS)["CHAT_SETTLE_DELAY_S"] == "900"
    assert environment.base({"CHAT_SETTLE_DELAY_S": "2"}, PORTS)["CHAT_SETTLE_DELAY_S"] == "2"


def test_free_ports_are_all_different() -> None:
    ports = Ports.free(4)
    assert len({ports.aws, ports.model, ports.conversations, *ports.chat}) == 7
