"""The quotas' settings: their defaults, and a bad one named."""

import pytest

from functions.common.quotas import Quotas

SIGNED_IN = {"OIDC_ISSUER": "https://id.example"}


def test_the_defaults_are_those_of_the_documentation() -> None:
    assert Quotas.from_env(SIGNED_IN) == Quotas(streams=10, turns_per_minute=60, tokens_per_day=2_000_000, resumes=50)


def test_without_sign_in_everyone_is_one_user_and_has_a_thousand_times_as_much() -> None:
    assert Quotas.from_env({}) == Quotas(streams=10_000, turns_per_minute=60_000, tokens_per_day=2_000_000_000, resumes=50_000)


def test_each_can_be_set_and_0_is_no_limit() -> None:
    env = {**SIGNED_IN, "CHAT_QUOTA_STREAMS": "0", "CHAT_QUOTA_TURNS_PER_MINUTE": "7", "CHAT_QUOTA_TOKENS_PER_DAY": "8"}
    assert Quotas.from_env(env) == Quotas(0, 7, 8)


@pytest.mark.parametrize("text", ["-1", "1.5", "many", "1e3", "9" * 20, "٣"])
def test_what_is_no_whole_number_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="CHAT_QUOTA_STREAMS"):
        Quotas.from_env({"CHAT_QUOTA_STREAMS": text})
