"""How an answer leaves: problem documents, headers that every answer has, compression, and the limit on its weight."""

import base64
import gzip
import json
from typing import Any, Final

from aws_lambda_powertools.event_handler import Response

from functions.common.problems import MEDIA_TYPE, Problem
from functions.conversations.reading import too_large_for_one_answer

MAX_ANSWER_BYTES: Final = 6_200_000  # Lambda: a buffered answer is at most 6 MB (6,291,556 bytes), its JSON envelope included
_GZIP_FROM_CHARS: Final = 2_048
_GZIP_LEVEL: Final = 5
_COMMON: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def from_problem(problem: Problem) -> Response[str]:
    return Response(problem.status, MEDIA_TYPE, problem.body().decode(), headers=problem.headers)


def deliver(answer: dict[str, Any], accept_encoding: str) -> dict[str, Any]:
    """The function URL's answer as it may leave: compressed if that helps and is welcome, a problem if it is too heavy."""
    answer["headers"] |= _COMMON
    body = answer["body"]
    if isinstance(body, str) and len(body) >= _GZIP_FROM_CHARS:
        answer["headers"]["vary"] = "accept-encoding"
        if accepts_gzip(accept_encoding):
            packed = gzip.compress(body.encode(), _GZIP_LEVEL, mtime=0)
            answer |= {"body": base64.b64encode(packed).decode(), "isBase64Encoded": True}
            answer["headers"]["content-encoding"] = "gzip"
        if _weight(answer["body"]) > MAX_ANSWER_BYTES:
            return problem_answer(too_large_for_one_answer())
    return answer


def problem_answer(problem: Problem) -> dict[str, Any]:
    """A function URL's answer that is a problem, for where no router is at hand."""
    return {
        "statusCode": problem.status,
        "headers": {"Content-Type": MEDIA_TYPE, **problem.headers, **_COMMON},
        "body": problem.body().decode(),
        "isBase64Encoded": False,
        "cookies": [],
    }


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether the header allows gzip (RFC 9110 section 12.5.3); `;q=0` says no."""
    for part in accept_encoding.lower().split(","):
        coding, _, parameters = part.partition(";")
        if coding.strip() in {"gzip", "x-gzip"}:
            return parameters.replace(" ", "").rstrip("0.") != "q="
    return False


def _weight(body: str) -> int:
    return len(json.dumps(body, ensure_ascii=False).encode())
