"""Lambda on demand against Managed Instances: a stream that waits costs a whole environment in the one, a 64th in the other."""

from dataclasses import dataclass
from math import ceil

from bench.cost import assumptions as given
from bench.cost import prices
from bench.cost.model import TURNS
from bench.cost.work import Work
from infra.config import Config


@dataclass(frozen=True, slots=True)
class Fleet:
    """The instances that stand ready for the peak.

    `streams` is how many one environment carries at once: one Python process, so one vCPU.
    """

    streams: int = given.STREAMS_PER_ENVIRONMENT
    headroom: float = given.HEADROOM

    @property
    def per_instance(self) -> int:
        return self.streams * given.ENVIRONMENTS_PER_INSTANCE

    def instances(self, peak_streams: float) -> int:
        return max(given.LEAST_INSTANCES, ceil(peak_streams * self.headroom / self.per_instance))

    def usd_per_hour(self, peak_streams: float) -> float:
        """Instances with their fee, and the way out of the subnets, busy or not."""
        instance = prices.C7G_XLARGE.usd * (1 + prices.MANAGED_FEE.usd)
        return self.instances(peak_streams) * instance + prices.NAT_HOUR * given.NAT_GATEWAYS


def on_demand_usd_per_hour(mean_streams: float, config: Config) -> float:
    """What streams cost on Lambda while they last; requests cost the same on both, and are left out."""
    return prices.LAMBDA_GB_S[config.architecture] * (mean_streams * config.chat_memory_mb / 1024 * 3600)


def break_even(config: Config, peak_to_mean: float, fleet: Fleet | None = None) -> float | None:
    """Mean streams at once from which on Managed Instances cost less, to 0.1; None when they never do at such a peak."""
    fleet = fleet or Fleet()
    # Instances come one by one; with twenty times the least fleet a step no longer decides.
    most = 20 * given.LEAST_INSTANCES * fleet.per_instance / (fleet.headroom * peak_to_mean)
    dearer = 0
    for tenths in range(1, ceil(10 * most)):
        if fleet.usd_per_hour(tenths / 10 * peak_to_mean) >= on_demand_usd_per_hour(tenths / 10, config):
            dearer = tenths
    return None if dearer + 1 >= ceil(10 * most) else (dearer + 1) / 10


def nat_usd_per_thousand(work: Work) -> float:
    """What passes the NAT gateway in 1,000 turns: the provider's stream, and the prompt."""
    upstream = work.shape.answer_tokens * given.UPSTREAM_TOKEN_BYTES + work.prompt_bytes
    return TURNS * (prices.NAT_GB * (upstream / prices.GB))


def cpu_budget_us(tokens_per_s: float, fleet: Fleet) -> float:
    """Microseconds of CPU that one token may cost, all in all, if an environment of one vCPU is to carry its streams."""
    return 1e6 / (fleet.streams * tokens_per_s)
