"""Lambda on demand against Managed Instances: a stream that waits costs a whole environment in the one, a 64th in the other."""

from dataclasses import dataclass
from math import ceil

from bench.cost import assumptions as given
from bench.cost import prices
from bench.cost.provider import Shape
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

    def usd_per_hour(self, mean_streams: float, peak_to_mean: float = 1.0) -> float:
        """Instances with their fee and the NAT gateways, busy or not; and what the mean of the streams sends through these."""
        instance = prices.C7G_XLARGE.usd * (1 + prices.MANAGED_FEE.usd)
        upstream = mean_streams * Shape(0).tokens_per_s * given.UPSTREAM_TOKEN_BYTES * 3600
        ready = self.instances(mean_streams * peak_to_mean) * instance + prices.NAT_HOUR * given.NAT_GATEWAYS
        return ready + prices.NAT_GB * (upstream / prices.GB)

    def cpu_budget_us(self, tokens_per_s: float) -> float:
        """Microseconds of CPU that one token may cost, all in all, if an environment of one vCPU is to carry its streams."""
        return 1e6 / (self.streams * tokens_per_s)


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
        if fleet.usd_per_hour(tenths / 10, peak_to_mean) >= on_demand_usd_per_hour(tenths / 10, config):
            dearer = tenths
    return None if dearer + 1 >= ceil(10 * most) else (dearer + 1) / 10
