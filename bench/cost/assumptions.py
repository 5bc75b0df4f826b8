"""What the model takes as given because the code does not say it: each named, with its source. None was measured on AWS."""

from typing import Final

# Of the network, one call from a Lambda function to DynamoDB: AWS says single-digit milliseconds; a transaction takes more.
DYNAMODB_CALL_S: Final = 0.010
# Of one CPU, per record: the goal that bench/ holds persist to (docs: persist, one worker).
PERSIST_CPU_S: Final = 0.00025
# "At 1,769 MB, a function has the equivalent of one vCPU" of Lambda:
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
MB_PER_CPU: Final = 1769

# One restore of the snapshot, and one look at the secret, in so many turns: an environment that streams without a pause serves 20
# turns of 30 s in 10 minutes.
TURNS_PER_RESTORE: Final = 20
# Lambda's own lines of an invocation in JSON: platform.start and platform.report; and what CloudWatch Logs adds to each event.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutLogEvents.html ("plus 26 bytes for each log event")
PLATFORM_LINES: Final = 2
PLATFORM_BYTES: Final = 700
EVENT_BYTES: Final = 26
# Headers and TLS of one request and one response at the edge.
REQUEST_OVERHEAD_BYTES: Final = 3_000
RESPONSE_OVERHEAD_BYTES: Final = 2_000
# A chunk of the provider's stream, one token, in OpenAI's format (only a NAT gateway counts it).
UPSTREAM_TOKEN_BYTES: Final = 250

# Managed Instances. Lambda starts three instances, one per zone, before a version is ready
# (https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-scaling.html); the subnets need a way out to the model.
STREAMS_PER_ENVIRONMENT: Final = 64
ENVIRONMENTS_PER_INSTANCE: Final = 3  # of 1 vCPU and 2 GiB, the least there is, on 4 vCPU and 8 GiB: one part is left to the host
LEAST_INSTANCES: Final = 3
NAT_GATEWAYS: Final = 3
# They scale by CPU, and "if your traffic more than doubles within 5 minutes, you may see throttles": half is kept ready.
HEADROOM: Final = 2.0

# Idle. A queue with a maximum concurrency is asked by five pollers, each with the longest of long polls.
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
POLLERS: Final = 5
LONG_POLL_S: Final = 20
