"""Time as a value: when this turn must be over, and how much of that is left."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

LAMBDA_CONTEXT = "x-amzn-lambda-context"  # set by the Lambda Web Adapter; JSON whose `deadline` is in epoch milliseconds


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the monotonic clock."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> Self:
        return cls(time.monotonic() + seconds)

    @classmethod
    def of_request(cls, headers: Mapping[str, str], in_lambda: bool, at_most_s: float) -> Self:
        """The invocation's own deadline inside Lambda, where the header is the adapter's; `at_most_s` from now elsewhere."""
        if in_lambda and (context := headers.get(LAMBDA_CONTEXT)):
            left = json.loads(context)["deadline"] / 1000 - time.time()
            return cls.after(min(left, at_most_s))
        return cls.after(at_most_s)

    def left(self, reserve: float = 0.0) -> float:
        """Seconds until `reserve` before the deadline; 0 when that has passed."""
        return max(0.0, self.at - reserve - time.monotonic())
