"""`python -m infra.package`: builds the packages, says what they weigh."""

import argparse
import sys
from pathlib import Path
from typing import Final

from infra.package.build import DEFAULT_OUT, build
from infra.package.recipe import ARCHS, PYTHON, RECIPES
from infra.package.uv import PackagingError

_NO_BYTE_CODE: Final = (
    f"warning: there is no Python {PYTHON} on this machine, so {{}} carries no byte code and its cold start is 2.7 times as long"
)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m infra.package", description=__doc__)
    parser.add_argument("functions", nargs="*", metavar="FUNCTION", help=f"of {', '.join(RECIPES)}; all by default")
    parser.add_argument("--arch", choices=ARCHS, default="arm64")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="where FUNCTION-ARCH/ and FUNCTION-ARCH.zip go")
    given = parser.parse_args(arguments)
    if unknown := sorted(set(given.functions) - set(RECIPES)):
        parser.error(f"there is no function {', '.join(unknown)}; there are {', '.join(RECIPES)}")
    for function in given.functions or RECIPES:
        try:
            package = build(function, given.arch, given.out)
        except PackagingError as error:
            sys.exit(f"{function}: {error}")
        size = package.zip.stat().st_size / 1e6
        print(f"{package.zip}  {size:.2f} MB  sha256 {package.digest[:16]}")  # noqa: T201 - what a person asked for
        if not package.compiled:
            print(_NO_BYTE_CODE.format(function), file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
