"""Before `make deploy`: a sentence now instead of a trace of the CDK CLI later. Takes the arguments that cdk will get."""

import argparse
import sys

from infra.account import check_ready, session, told_plainly


@told_plainly
def main(arguments: list[str]) -> None:
    aws = session(region_of(arguments))
    account = check_ready(aws)
    print(f"Account {account}, region {aws.region_name}.")  # noqa: T201 - where it goes is worth a line


def region_of(arguments: list[str]) -> str | None:
    """The region among cdk's own arguments, if it is there: `-c region=…`."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-c", "--context", action="append", default=[])
    given, _ = parser.parse_known_args(arguments)
    pairs = dict(pair.partition("=")[::2] for pair in given.context)
    return pairs.get("region") or None


if __name__ == "__main__":
    main(sys.argv[1:])
