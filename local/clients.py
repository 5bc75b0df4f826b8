"""boto3 clients of the embedded AWS."""

from typing import Any, Final

import boto3
from botocore.config import Config

from local.environment import aws_environment

_CONFIG: Final = Config(retries={"mode": "standard", "max_attempts": 2}, connect_timeout=2, read_timeout=30)


def client(service: str, endpoint_url: str) -> Any:
    """A boto3 client of `service` at the embedded AWS, whatever the caller's own AWS settings are."""
    env = aws_environment(endpoint_url)
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=endpoint_url,
        region_name=env["AWS_DEFAULT_REGION"],
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        config=_CONFIG,
    )
