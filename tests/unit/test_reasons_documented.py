"""Whoever reads a code in the log finds it in the documents, and the documents name no other."""

import re
from pathlib import Path
from typing import Final

import pytest

from functions.chat_stream import errors
from functions.common.auth import IssuerFault, Refusal
from functions.common.storage_faults import StorageFault

ROOT: Final = Path(__file__).parents[2]
OPERATIONS: Final = (ROOT / "docs/operations.md").read_text(encoding="utf-8")


def reasons_in(text: str, column: int) -> set[str]:
    """The codes in a column of the tables of a part of a document."""
    rows = [
        line.split("|") for line in text.splitlines() if line.startswith("| ") and not line.startswith(("| reason", "| what"))
    ]
    return {code for row in rows for code in re.findall(r"`([a-z_]+)`", row[column])}


def part(text: str, heading: str) -> str:
    return text.split(heading + "\n", 1)[1].split("\n#", 1)[0]


@pytest.mark.parametrize(
    ("heading", "codes"),
    [("### When sign-in fails", {*Refusal, *IssuerFault}), ("### When a call to AWS fails", {*StorageFault})],
)
def test_operations_say_what_to_do_about_each_code(heading: str, codes: set[str]) -> None:
    assert reasons_in(part(OPERATIONS, heading), column=1) == codes


def test_the_trouble_table_names_five_causes_by_codes_that_there_are() -> None:
    table = part((ROOT / "README.md").read_text(encoding="utf-8"), "## Trouble")
    of_models = {kind.reason for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.TurnFailed)}
    assert len(re.findall(r"^\| (?!what|-)", table, re.MULTILINE)) == 5
    assert reasons_in(table, column=2) <= {*Refusal, *IssuerFault, *StorageFault, *of_models}
