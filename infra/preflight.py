"""Before `make deploy`: a sentence now instead of a trace of the CDK CLI later. Takes the arguments that cdk will get."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

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


def context_of(arguments: list[str]) -> dict[str, Any]:
    """The context as cdk will have it: the files' own, and over it what its arguments set (`-c region=…`)."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-c", "--context", action="append", default=[])
    given, _ = parser.parse_known_args(arguments)
    found: dict[str, Any] = {}
    for file in (Path.home() / ".cdk.json", Path("cdk.json")):
        if file.is_file():
            found |= json.loads(file.read_text(encoding="utf-8")).get("context", {})
    return found | dict(pair.partition("=")[::2] for pair in given.context)


if __name__ == "__main__":
    main(sys.argv[1:])
