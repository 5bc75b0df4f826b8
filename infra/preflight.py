"""Before `make deploy`: a sentence now instead of a trace of the CDK CLI later. Takes the arguments that cdk will get."""

import argparse
import sys

from infra.account import check_ready, concurrency_advice, session, told_plainly
from infra.config import Config, ConfigError


@told_plainly
def main(arguments: list[str]) -> None:
    try:
        config = Config.from_context(context_of(arguments))
    except ConfigError as error:
        sys.exit(f"infra: {error}")
    aws = session(region_of(arguments))
    account = check_ready(aws)
    print(f"Account {account}, region {aws.region_name}.")  # noqa: T201 - where it goes is worth a line
    if advice := concurrency_advice(aws, config):
        print(advice)  # noqa: T201 - it may be deployed all the same


def region_of(arguments: list[str]) -> str | None:
    """The region among cdk's own arguments, if it is there."""
    return context_of(arguments).get("region") or None


def context_of(arguments: list[str]) -> dict[str, str]:
    """What cdk's own arguments set: `-c region=…`."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-c", "--context", action="append", default=[])
    given, _ = parser.parse_known_args(arguments)
    return dict(pair.partition("=")[::2] for pair in given.context)


if __name__ == "__main__":
    main(sys.argv[1:])
