"""Failures as metrics: how many, by the code of their cause. Each is one line of the log (EMF) with nothing of the request in it.

The codes are few and fixed (auth.Refusal, auth.IssuerFault, storage_faults.StorageFault): each is a metric that costs money.
"""

import time
from typing import Final

from aws_lambda_powertools.metrics import MetricUnit, single_metric

from functions.common.log import get_logger
from functions.common.storage_faults import StorageFault

METRICS_NAMESPACE: Final = "streaming-first-chat"  # where no deployment gives its own
SIGN_IN_FAILURES: Final = "SignInFailures"
STORAGE_FAILURES: Final = "StorageFailures"
_AGAIN_S: Final = 10.0


class Failures:
    """The counters of one function."""

    def __init__(self, namespace: str, service: str) -> None:
        self._namespace = namespace
        self._service = service
        self._logger = get_logger(service)
        self._told: dict[tuple[str, StorageFault], float] = {}

    def sign_in(self, reason: str) -> None:
        """A request whose token was refused or could not be checked, or a fetch of the issuer's keys that failed."""
        self._count(SIGN_IN_FAILURES, reason)

    def storage(self, operation: str, fault: StorageFault, code: str) -> None:
        """A call to AWS that failed; each attempt counts. The log names each cause at most once in some seconds."""
        self._count(STORAGE_FAILURES, fault)
        now = time.monotonic()
        if self._told.get((operation, fault), -_AGAIN_S) <= now - _AGAIN_S:
            self._told[operation, fault] = now
            self._logger.warning("a call to AWS failed", extra={"operation": operation, "reason": fault, "code": code})

    def _count(self, name: str, reason: str) -> None:
        dimensions = {"service": self._service, "reason": reason}
        with single_metric(name, MetricUnit.Count, 1, namespace=self._namespace, default_dimensions=dimensions):
            pass
