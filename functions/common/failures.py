"""Failures as metrics: how many, by the code of their cause. Each is one line of the log (EMF) with nothing of the request in it.

The codes are few and fixed (auth.Refusal, auth.IssuerFault, storage_faults.StorageFault): each is a metric that costs money.
"""

from typing import Final

from aws_lambda_powertools.metrics import MetricUnit, single_metric

METRICS_NAMESPACE: Final = "streaming-first-chat"  # where no deployment gives its own
SIGN_IN_FAILURES: Final = "SignInFailures"
STORAGE_FAILURES: Final = "StorageFailures"


class Failures:
    """The counters of one function."""

    def __init__(self, namespace: str, service: str) -> None:
        self._namespace = namespace
        self._service = service

    def sign_in(self, reason: str) -> None:
        """A request whose token was refused or could not be checked, or a fetch of the issuer's keys that failed."""
        self._count(SIGN_IN_FAILURES, reason)

    def storage(self, reason: str) -> None:
        """A call to AWS that failed; each attempt counts."""
        self._count(STORAGE_FAILURES, reason)

    def _count(self, name: str, reason: str) -> None:
        dimensions = {"service": self._service, "reason": reason}
        with single_metric(name, MetricUnit.Count, 1, namespace=self._namespace, default_dimensions=dimensions):
            pass
