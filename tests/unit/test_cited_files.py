"""A file that a comment, a docstring or a document names is there."""

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
TRACKED: Final = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.splitlines()
# Each file by its path from the root, from any folder above it, and by its name alone.
THERE: Final = {"/".join(parts[at:]) for parts in (PurePosixPath(name).parts for name in TRACKED) for at in range(len(parts))}
# A name with such an end, alone or with folders before it; not a part of an address, nor of a longer name.
CITED: Final = re.compile(r"(?<![\w/.@:*{<-])((?:[\w.-]+/)*[\w-][\w.-]*\.(?:py|md|tsx?|mjs|sh|toml|css|svg|lock))(?![\w/*}>-])")
LINK: Final = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
ELSEWHERE: Final = {
    "sitecustomize.py",  # Python's
    "results.md",  # what a bench writes
}


def prose(name: str, text: str) -> Iterator[str]:
    """What of a file is written for a reader."""
    if name.endswith(".py"):
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                yield token.string
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield ast.get_docstring(node) or ""
    elif name.endswith((".ts", ".tsx", ".js", ".mjs", ".css")):
        yield from re.findall(r"/\*.*?\*/|//[^\n]*", text, re.DOTALL)
    elif name.endswith(".md"):
        yield text
    elif name.endswith((".sh", ".toml", ".yml", ".yaml")) or PurePosixPath(name).name in {"Makefile", "run"}:
        yield from re.findall(r"#[^\n]*", text)


def cited(name: str, text: str) -> set[str]:
    return {found.lstrip("./") for part in prose(name, text) for found in CITED.findall(part)}


READ: Final = [name for name in TRACKED if (ROOT / name).is_file() and not name.startswith(("docs/performance/", "web/public/"))]


def test_every_file_that_is_named_is_there() -> None:
    missing = {}
    for name in READ:
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if wrong := cited(name, text) - THERE - ELSEWHERE:
            missing[name] = sorted(wrong)
    assert missing == {}


@pytest.mark.parametrize("name", [name for name in TRACKED if name.endswith(".md")])
def test_every_link_of_a_document_leads_somewhere(name: str) -> None:
    page = ROOT / name
    broken = [target for target in LINK.findall(page.read_text(encoding="utf-8")) if not (page.parent / target).exists()]
    assert broken == []


def test_what_is_not_there_would_be_found() -> None:
    text = '"""See API.md and docs/nowhere.md, not https://x.y/z.md."""\nx = "in-no-prose.md"  # as gone.py has it\n'
    assert cited("a.py", text) - THERE == {"API.md", "docs/nowhere.md", "gone.py"}
    assert {"functions/common/log.py", "common/log.py", "log.py"} <= THERE
