"""docs/guarantees.md stays true to the tests: every row is there, and each test that a row names exists."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROWS = frozenset({*range(1, 39), 40, 41})
ROW = re.compile(r"^\| (\d+) \| (.+?) \| (.*) \|$", re.MULTILINE)
TEST = re.compile(r"`([^`]+)`")


def faults_of(document: str) -> list[str]:
    """What is wrong with the first table of the document, as sentences."""
    table = document.partition("\n## ")[0]
    rows = [(int(number), proofs) for number, _, proofs in ROW.findall(table)]
    found = [f"row {number} is missing" for number in sorted(ROWS) if number not in dict(rows)]
    found += [f"row {number} is there twice or unknown" for number, _ in rows if [n for n, _ in rows].count(number) > 1]
    found += [f"row {number} is unknown" for number, _ in rows if number not in ROWS]
    for number, proofs in rows:
        named = TEST.findall(proofs)
        found += [f"row {number} names no test"] if not named else []
        found += [f"row {number}: there is no {test}" for test in named if not exists(test)]
    return found


def exists(test: str) -> bool:
    """Whether a node id, `tests/…/test_x.py::test_y`, is a test of this repository."""
    path, _, name = test.partition("::")
    return name in names_in(path)


@cache
def names_in(path: str) -> frozenset[str]:
    file = ROOT / path
    if not (path.startswith("tests/") and file.is_file()):
        return frozenset()
    nodes = ast.parse(file.read_text()).body
    functions = (node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(function.name for function in functions if function.name.startswith("test_"))


def document() -> str:
    return (ROOT / "docs" / "guarantees.md").read_text()


def test_every_promise_is_in_the_document_with_tests_that_exist() -> None:
    assert faults_of(document()) == []


def test_a_row_that_is_missing_is_noticed() -> None:
    without = re.sub(r"^\| 17 \|.*\n", "", document(), flags=re.MULTILINE)

    assert faults_of(without) == ["row 17 is missing"]


def test_a_test_that_was_renamed_is_noticed() -> None:
    name = "test_a_model_that_falls_silent_has_stalled"
    renamed = document().replace(name, f"{name}_no_more")

    assert faults_of(renamed) == [f"row 3: there is no tests/faults/test_model_faults.py::{name}_no_more"]


def test_a_row_that_names_no_test_is_noticed() -> None:
    emptied = re.sub(r"^(\| 7 \| .+? \|).*\|$", r"\1 by thought alone |", document(), flags=re.MULTILINE)

    assert faults_of(emptied) == ["row 7 names no test"]
