"""A turn's figures as CloudWatch metrics: two lines in the log (EMF), once, when the turn is over."""

import asyncio
from typing import Final, NamedTuple

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit, single_metric

SERVICE: Final = "chat_stream"
TURNS: Final = "Turns"
WAIT, WAIT_ADDED, WAIT_MODEL = "TimeToFirstToken", "TimeToFirstTokenAdded", "TimeToFirstTokenModel"
INPUT_TOKENS, OUTPUT_TOKENS = "InputTokens", "OutputTokens"
MODEL_FAILURES: Final = "ModelFailures"
NAMES: Final = (TURNS, MODEL_FAILURES, WAIT, WAIT_ADDED, WAIT_MODEL, INPUT_TOKENS, OUTPUT_TOKENS)


class Moment(asyncio.Event):
    """An event that remembers when it was first set, on the loop's clock."""

    def __init__(self) -> None:
        super().__init__()
        self.at: float | None = None

    def set(self) -> None:
        if self.at is None:
            self.at = asyncio.get_running_loop().time()
        super().set()


class Figures(NamedTuple):
    """What a turn leaves for the statistics; times in seconds on the loop's clock, None for what never happened.

    Ours is the time from `began` until the model's request is on the wire, the model's the time from then to its first token.
    """

    outcome: str
    began: float
    model_sent: float | None
    first_token: float | None
    input_tokens: int
    output_tokens: int


class Meter:
    """Writes the figures of turns, under one namespace."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    def model_failed(self, reason: str) -> None:
        """One call of the model that failed; `reason` is one of the errors' reasons, or its code."""
        dimensions = {"service": SERVICE, "reason": reason}
        with single_metric(MODEL_FAILURES, MetricUnit.Count, 1, namespace=self._namespace, default_dimensions=dimensions):
            pass

    def write(self, figures: Figures) -> None:
        """One turn's metrics. Whose wait it was is told only of turns that had a first token."""
        # A dimension holds for a whole line, and the outcome is the turn's, not the times': one line of its own.
        dimensions = {"service": SERVICE, "outcome": figures.outcome}
        with single_metric(TURNS, MetricUnit.Count, 1, namespace=self._namespace, default_dimensions=dimensions):
            pass
        metrics = EphemeralMetrics(namespace=self._namespace, service=SERVICE)
        metrics.add_metric(INPUT_TOKENS, MetricUnit.Count, figures.input_tokens)
        metrics.add_metric(OUTPUT_TOKENS, MetricUnit.Count, figures.output_tokens)
        if figures.first_token is not None and figures.model_sent is not None:
            for name, begin, end in (
                (WAIT, figures.began, figures.first_token),
                (WAIT_ADDED, figures.began, figures.model_sent),
                (WAIT_MODEL, figures.model_sent, figures.first_token),
            ):
                metrics.add_metric(name, MetricUnit.Milliseconds, (end - begin) * 1000)
        metrics.flush_metrics()
