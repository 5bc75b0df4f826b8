"""The context object a Lambda function is handed."""

import time
from dataclasses import dataclass, field
from uuid import uuid4

from local.environment import ACCOUNT, REGION


@dataclass(frozen=True, slots=True)
class LambdaContext:
    """Counts down from `timeout_s`; unlike Lambda, nothing ends the invocation when it reaches zero."""

    function_name: str
    timeout_s: float
    memory_limit_in_mb: int = 512
    function_version: str = "$LATEST"
    aws_request_id: str = field(default_factory=lambda: str(uuid4()))
    started: float = field(default_factory=time.monotonic)

    @property
    def invoked_function_arn(self) -> str:
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self.function_name}"

    @property
    def log_group_name(self) -> str:
        return f"/aws/lambda/{self.function_name}"

    @property
    def log_stream_name(self) -> str:
        return "local"

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self.timeout_s - (time.monotonic() - self.started)) * 1000))
