"""What titles and file names become: cases that the server and the web client share (web/tests/titles.test.ts)."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Case:
    why: str
    text: str
    title: str
    file: str | None  # None: not a case of a file's name


def cases() -> list[Case]:
    rows = json.loads(Path(__file__).with_name("titles.json").read_text(encoding="utf-8"))
    return [
        Case(row["why"], row.get("text") or _text(row["repeat"]), _text(row["title"]), row["file"] and _text(row["file"]))
        for row in rows
    ]


def _text(written: Any) -> str:
    """A text, or [text, how often, end]; an end that begins with a backspace takes the last character away."""
    if isinstance(written, str):
        return written
    text, times, *end = written
    return "".join([text * times, *end]) if not end or end[0][0] != "\b" else (text * times)[:-1] + end[0][1:]
