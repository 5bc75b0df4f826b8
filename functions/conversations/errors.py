"""Every exception becomes one problem document; what is not a Problem yet is logged and told apart here, in one place."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from functions.common.problems import Field, Internal, InvalidRequest, NotFound, Problem, Unavailable

_RETRY_AFTER_S: Final = "1"


def as_problem(error: Exception, logger: Logger) -> Problem:
    """The problem the caller gets. No text of an exception goes into it; the log gets its type and where it came from."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, NotFoundError):
        return NotFound()
    if isinstance(error, RequestValidationError):
        return _invalid(error.errors())
    if isinstance(error, ClientError):
        logger.error("storage refused", exc_info=error, extra={"code": error.response["Error"].get("Code")})
        return Unavailable(headers={"retry-after": _RETRY_AFTER_S})
    if isinstance(error, BotoCoreError | ResponseParserError):
        logger.error("storage does not answer", exc_info=error)
        return Unavailable(headers={"retry-after": _RETRY_AFTER_S})
    logger.error("unexpected", exc_info=error)
    return Internal()


def _invalid(errors: Sequence[Mapping[str, Any]]) -> InvalidRequest:
    """Names each field and what is wrong with it; the place (query, path, body) is not part of the name."""
    fields = [Field(".".join(str(part) for part in item["loc"][1:]) or str(item["loc"][0]), str(item["msg"])) for item in errors]
    return InvalidRequest(f"{fields[0].field}: {fields[0].message}", fields)
