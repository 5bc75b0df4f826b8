"""The lines of all processes as one log that a person can read: `12:00:01 chat_stream INFO turn ended duration_ms=812`."""

import json
import os
import sys
import time
from collections.abc import Mapping
from typing import Any, Final, TextIO

# What Powertools says about the function on each line; on one machine it says nothing.
_LEFT_OUT: Final = frozenset(
    {
        "level", "location", "timestamp", "service", "message", "sampling_rate", "cold_start", "function_name", "function_arn",
        "function_memory_size", "function_request_id", "xray_trace_id", "frames",
    }
)  # fmt: skip
_LEVELS: Final = ("CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG")
_COLOURS: Final = {"CRITICAL": "31", "ERROR": "31", "WARNING": "33", "DEBUG": "2"}


class Log:
    """Writes to `out`; in colour on a terminal, unless NO_COLOR is set."""

    def __init__(self, out: TextIO | None = None, env: Mapping[str, str] | None = None) -> None:
        self._out = out or sys.stderr
        env = os.environ if env is None else env
        self._colour = self._out.isatty() and not env.get("NO_COLOR")

    def say(self, text: str, level: str = "INFO") -> None:
        """A line of the local run itself."""
        self._write("local", level, text)

    def line(self, source: str, raw: str) -> None:
        """A line that a process wrote; an empty one is left out."""
        raw = raw.rstrip()
        if not raw:
            return
        try:
            entry = json.loads(raw)
        except ValueError:
            entry = None
        if isinstance(entry, dict) and "_aws" in entry:
            self._write(source, "INFO", _metrics_of(entry))
        elif isinstance(entry, dict) and "message" in entry:
            self._write(source, str(entry.get("level", "INFO")), _text_of(entry))
        else:
            self._write(source, *_split_level(raw))

    def _write(self, source: str, level: str, text: str) -> None:
        line = f"{time.strftime('%H:%M:%S')} {source:<13} {level:<7} {text}"
        if self._colour and level in _COLOURS:
            line = f"\x1b[{_COLOURS[level]}m{line}\x1b[0m"
        print(line, file=self._out, flush=True)


def _text_of(entry: Mapping[str, Any]) -> str:
    fields = [f"{name}={value}" for name, value in entry.items() if name not in _LEFT_OUT and value is not None]
    frames = [f"\n    {frame}" for frame in entry.get("frames") or []]
    return " ".join([str(entry["message"]), *fields]) + "".join(frames)


def _metrics_of(entry: Mapping[str, Any]) -> str:
    """The values of a line in CloudWatch's embedded metric format."""
    names = [metric["Name"] for group in entry["_aws"]["CloudWatchMetrics"] for metric in group["Metrics"]]
    values = {name: entry[name] for name in names}
    shown = {
        name: value if not isinstance(value, list) else ",".join(f"{one:.3g}" for one in value) for name, value in values.items()
    }
    return " ".join(["metrics", *(f"{name}={value}" for name, value in shown.items())])


def _split_level(raw: str) -> tuple[str, str]:
    """`WARNING text` and uvicorn's `WARNING:  text`."""
    first, _, rest = raw.partition(" ")
    level = first.rstrip(":")
    return (level, rest.strip()) if level in _LEVELS else ("INFO", raw)
