"""The logger: Powertools' JSON lines, through which no text of a message, prompt, token or exception can pass.

Only the fields named here leave, each only with a value that cannot be prose; an exception leaves as its type and the lines of
code it came through. A new field is added here, on purpose, or it is dropped.
"""

import logging
import re
import traceback
from collections.abc import Mapping
from typing import Any, Final

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

# What a record may say beside Powertools' own keys. Ids, codes, counts, milliseconds.
FIELDS: Final = frozenset(
    {
        "attempt", "bytes", "code", "conversation_id", "count", "delay_ms", "duration_ms", "error", "event_id",
        "finish_reason", "host", "input_tokens", "kind", "message_id", "model", "model_ttft_ms", "nearest", "operation",
        "output_tokens", "parameter", "path", "port", "reason", "receive_count", "record_id", "request_id", "route", "setting",
        "status", "tokens", "ttft_ms", "turn_id", "upstream_status",
    }
)  # fmt: skip
_POWERTOOLS: Final = frozenset(
    {
        "level", "location", "timestamp", "service", "sampling_rate", "cold_start", "function_name", "function_memory_size",
        "function_arn", "function_request_id", "correlation_id", "xray_trace_id", "exception_name",
    }
)  # fmt: skip
_NOT_SHOWN: Final = "(not shown)"
_MOST_VALUES: Final = 20  # of a list of codes
_PROSE_FREE = re.compile(r"[\w.:/#@+\-\[\]]{1,200}", re.ASCII)


class _ClosedFormatter(LambdaPowertoolsFormatter):
    """Lets through the fields above and the logger call's own literal; drops everything else."""

    def serialize(self, log: Mapping[str, Any]) -> str:
        closed = {key: value for key, value in log.items() if key in _POWERTOOLS or key in {"message", "frames"}}
        closed |= {key: _safe(log[key]) for key in FIELDS if log.get(key) is not None}
        return super().serialize(closed)

    def format(self, record: logging.LogRecord) -> str:
        # The call's literal, never its arguments: `logger.info("turn ended", extra={...})`.
        record.msg, record.args = str(record.msg) if isinstance(record.msg, str) else type(record.msg).__name__, None
        if record.exc_info and record.exc_info[0]:
            kind, _, tail = record.exc_info
            record.error = kind.__name__
            record.frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(tail)]
            record.exc_info = None
            record.exc_text = None
        return super().format(record)


def _safe(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple) and len(value) <= _MOST_VALUES and all(isinstance(one, str) for one in value):
        shown = [_safe(one) for one in value]
        return _NOT_SHOWN if _NOT_SHOWN in shown else shown
    return value if isinstance(value, str) and _PROSE_FREE.fullmatch(value) else _NOT_SHOWN


def get_logger(service: str) -> Logger:
    """The function's logger, JSON on stdout; level from POWERTOOLS_LOG_LEVEL, INFO by default."""
    return Logger(service=service, logger_formatter=_ClosedFormatter(), use_rfc3339=True, utc=True)
