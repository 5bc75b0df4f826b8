"""What a deployment costs in a month in which nobody chats."""

from collections.abc import Mapping
from typing import Final

from bench.cost import assumptions as given
from bench.cost import prices
from infra.config import Config

# What infra/watch.py and infra/model_key.py make; tests/infra holds them to the template.
ALARM_METRICS: Final = 17
DASHBOARDS: Final = 1
SECRETS: Final = 1
# AWS's free tiers that never end, for one account: alarms' metrics, dashboards, SQS requests a month.
FREE_ALARMS: Final = 10
FREE_DASHBOARDS: Final = 3
FREE_SQS: Final = 1_000_000


def monthly(config: Config, *, free_tier: bool) -> Mapping[str, float]:
    """USD a month, by what it is for. `free_tier`: the account's free tiers are there to be used."""
    polls = given.POLLERS * prices.MONTH_H * 3600 / given.LONG_POLL_S
    cached = config.chat_memory_mb / 1024 * prices.MONTH_H * 3600 if config.snap_start else 0
    return {
        "SnapStart's cache of one version": prices.SNAPSTART_CACHE * cached,
        "the secret": prices.SECRET * (0 if config.model_key_secret else SECRETS),
        "alarms": prices.ALARM * _beyond(ALARM_METRICS, FREE_ALARMS, free_tier),
        "the dashboard": prices.DASHBOARD * _beyond(DASHBOARDS, FREE_DASHBOARDS, free_tier),
        "the queue's pollers": prices.SQS_REQUEST * _beyond(polls, FREE_SQS, free_tier),
    }


def _beyond(used: float, free: float, free_tier: bool) -> float:
    return max(0, used - free) if free_tier else used
