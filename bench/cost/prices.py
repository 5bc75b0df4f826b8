"""AWS's list prices in us-east-1, each with its unit, its page, and how it was confirmed; first tiers, no free tier, no discount.

AWS's pricing pages show their figures only to a browser, so each was read from a copy of AWS's Price List API that somebody had
published with its date (`PRICE_LIST`), or agreed upon by several published copies of the page without a date of their own
(`QUOTED`). Check them against the page before you sign for a budget.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

REGION: Final = "us-east-1"
GB: Final = 1_000_000_000  # AWS's price lists count traffic in GB; the difference to GiB is 7 %, and counted against us
MONTH_H: Final = 730


class Read(Enum):
    """How a price was confirmed."""

    PRICE_LIST = "Price List API, as published"
    QUOTED = "quoted from the page by others"


@dataclass(frozen=True, slots=True)
class Price:
    """`usd` for one `unit`. `as_of` is the date at which it was true."""

    name: str
    usd: float
    unit: str
    source: str
    read: Read
    as_of: str

    def __mul__(self, units: float) -> float:
        return self.usd * units


_LAMBDA: Final = "https://aws.amazon.com/lambda/pricing/"
_DYNAMODB: Final = "https://aws.amazon.com/dynamodb/pricing/on-demand/"
_CLOUDFRONT: Final = "https://aws.amazon.com/cloudfront/pricing/pay-as-you-go/"
_CLOUDWATCH: Final = "https://aws.amazon.com/cloudwatch/pricing/"
_SECRETS: Final = "https://aws.amazon.com/secrets-manager/pricing/"
_VPC: Final = "https://aws.amazon.com/vpc/pricing/"
_LIST, _QUOTED = Read.PRICE_LIST, Read.QUOTED

LAMBDA_GB_S: Final = {
    "arm64": Price("Lambda, arm64", 0.0000133334, "GB-second", _LAMBDA, _LIST, "2026-09-19"),
    "x86_64": Price("Lambda, x86_64", 0.0000166667, "GB-second", _LAMBDA, _LIST, "2026-09-19"),
}
LAMBDA_REQUEST: Final = Price("Lambda, request", 0.20e-6, "request", _LAMBDA, _LIST, "2026-09-19")
STREAMED_GB: Final = Price("Lambda, streamed response above 6 MB", 0.008, "GB", _LAMBDA, _LIST, "2026-09-19")
STREAMED_FREE_BYTES: Final = 6_000_000  # of each response: "beyond the first 6 MB per request" (same page)
SNAPSTART_CACHE: Final = Price("SnapStart, cache", 0.0000015046, "GB-second", _LAMBDA, _LIST, "2026-09-19")
SNAPSTART_RESTORE: Final = Price("SnapStart, restore", 0.0001397998, "GB", _LAMBDA, _LIST, "2026-09-19")
MANAGED_FEE: Final = Price("Lambda Managed Instances, fee", 0.15, "USD of EC2 on demand", _LAMBDA, _LIST, "2026-09-19")
C7G_XLARGE: Final = Price(
    "EC2 c7g.xlarge, 4 vCPU, 8 GiB", 0.145, "hour", "https://aws.amazon.com/ec2/pricing/on-demand/", _LIST, "2026-09-19"
)
NAT_HOUR: Final = Price("NAT gateway", 0.045, "hour", _VPC, _QUOTED, "2026-09-28")
NAT_GB: Final = Price("NAT gateway, data", 0.045, "GB", _VPC, _QUOTED, "2026-09-28")
EGRESS_GB: Final = Price(
    "data to the internet", 0.09, "GB", "https://aws.amazon.com/ec2/pricing/on-demand/#Data_Transfer", _LIST, "2026-09-28"
)
SQS_REQUEST: Final = Price(
    "SQS, standard queue", 0.40e-6, "request of 64 KB", "https://aws.amazon.com/sqs/pricing/", _QUOTED, "2026-06-13"
)
SQS_CHUNK_BYTES: Final = 64 * 1024
WRITE_UNIT: Final = Price("DynamoDB, write request unit", 0.625e-6, "unit", _DYNAMODB, _QUOTED, "2026-08-01")
READ_UNIT: Final = Price("DynamoDB, read request unit", 0.125e-6, "unit", _DYNAMODB, _QUOTED, "2026-08-01")
TABLE_GB: Final = Price("DynamoDB, storage", 0.25, "GB-month", _DYNAMODB, _QUOTED, "2026-09-06")
RECOVERY_GB: Final = Price("DynamoDB, point-in-time recovery", 0.20, "GB-month", _DYNAMODB, _QUOTED, "2026-09-06")
EDGE_REQUEST: Final = Price("CloudFront, HTTPS request", 0.01e-4, "request", _CLOUDFRONT, _QUOTED, "2026-11-24")
EDGE_FUNCTION: Final = Price("CloudFront Functions", 0.10e-6, "invocation", _CLOUDFRONT, _QUOTED, "2026-11-24")
EDGE_OUT_GB: Final = Price("CloudFront, to the reader (US, Europe)", 0.085, "GB", _CLOUDFRONT, _QUOTED, "2026-11-24")
EDGE_IN_GB: Final = Price("CloudFront, to the origin", 0.020, "GB", _CLOUDFRONT, _QUOTED, "2026-11-24")
LOG_GB: Final = Price("CloudWatch Logs, ingested", 0.50, "GB", _CLOUDWATCH, _QUOTED, "2026-08-01")
LOG_KEPT_GB: Final = Price("CloudWatch Logs, kept", 0.03, "GB-month", _CLOUDWATCH, _QUOTED, "2026-11-24")
ALARM: Final = Price("CloudWatch alarm", 0.10, "metric-month", _CLOUDWATCH, _QUOTED, "2026-08-01")
DASHBOARD: Final = Price("CloudWatch dashboard", 3.00, "month", _CLOUDWATCH, _QUOTED, "2026-11-24")
METRIC: Final = Price("CloudWatch custom metric", 0.30, "month", _CLOUDWATCH, _QUOTED, "2026-11-24")
TRACE: Final = Price("X-Ray, trace recorded", 5.00e-6, "trace", "https://aws.amazon.com/xray/pricing/", _QUOTED, "2026-11-24")
SECRET: Final = Price("Secrets Manager, secret", 0.40, "month", _SECRETS, _QUOTED, "2026-11-24")
SECRET_CALL: Final = Price("Secrets Manager, call", 0.05e-4, "call", _SECRETS, _QUOTED, "2026-11-24")

ALL: Final = tuple(
    price
    for value in list(globals().values())
    for price in (value.values() if isinstance(value, dict) else [value])
    if isinstance(price, Price)
)
