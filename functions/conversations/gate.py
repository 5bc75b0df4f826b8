"""The gate before the router: who calls, and whether the body is one to read.

Every request passes it, so a new route cannot forget its token, and a request without one learns nothing, not even that its input
was wrong.
"""

import base64
import binascii
import re
import time
from collections.abc import Mapping
from threading import Lock
from typing import Any, Final

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import LambdaFunctionUrlResolver
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.common.access import Caller
from functions.common.auth import IssuerUnavailable, TokenVerifier, Unauthenticated
from functions.common.failures import Failures
from functions.common.problems import (
    AuthenticationRequired,
    Field,
    InvalidRequest,
    Problem,
    TooLarge,
    Unavailable,
    UnsupportedMediaType,
)
from functions.conversations import answers
from functions.conversations.routes import PUBLIC

MAX_BODY_BYTES: Final = 16 * 1024
_WITH_BODY = re.compile(r"PATCH /api/conversations/[^/]+")  # other methods are told that they do not exist, whatever they carry
Event = Mapping[str, Any]


class Gate:
    """Answers function-URL events (payload version 2.0). One request at a time, as a Lambda function does."""

    def __init__(
        self,
        app: LambdaFunctionUrlResolver,
        verifier: TokenVerifier,
        authorization_header: str,
        logger: Logger,
        failures: Failures,
    ) -> None:
        self._app = app
        self._verifier = verifier
        self._header = authorization_header
        self._logger = logger
        self._failures = failures
        self._lock = Lock()  # Powertools keeps the current event on a class: two at once would see each other's

    def __call__(self, event: Event, context: LambdaContext) -> dict[str, Any]:
        started = time.monotonic()
        method, path = event["requestContext"]["http"]["method"], event["rawPath"]
        with self._lock:
            try:
                caller = None if (method, path) in PUBLIC else self._caller(event)
                event = _with_text_body(event) if _WITH_BODY.fullmatch(f"{method} {path}") else event
                self._app.context["caller"] = caller
                answer = self._app.resolve(event, context)
            except Problem as problem:
                answer = answers.problem_answer(problem)
        answer = answers.deliver(answer, event["headers"].get("accept-encoding", ""))
        duration_ms = round(1000 * (time.monotonic() - started), 1)
        seen = {"operation": method, "path": path, "status": answer["statusCode"], "duration_ms": duration_ms}
        self._logger.info("request", extra=seen)
        return answer

    def _caller(self, event: Event) -> Caller:
        """Who calls; raises AuthenticationRequired or Unavailable. Asks the issuer only for a key that is not at hand."""
        authorization = event["headers"].get(self._header)
        try:
            # Once an hour, on a request's time: between requests a Lambda function stands still.
            if self._verifier.stale and (fault := self._verifier.refresh()):
                self._logger.warning("the issuer's keys were not fetched; those from before still count", extra={"reason": fault})
                self._failures.sign_in(fault)
            return self._verifier.check(authorization)
        except IssuerUnavailable as error:
            self._logger.error("sign-in cannot be checked", extra={"reason": error.reason})
            self._failures.sign_in(error.reason)
            raise Unavailable("The sign-in service does not answer.", headers={"retry-after": "5"}) from None
        except Unauthenticated as error:
            self._logger.info("not signed in", extra={"reason": error.reason})
            self._failures.sign_in(error.reason)
            raise AuthenticationRequired from None


def _with_text_body(event: Event) -> Event:
    """The event with its body as text; raises UnsupportedMediaType, TooLarge or InvalidRequest."""
    media_type = event["headers"].get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMediaType("content-type must be application/json")
    try:
        body = event.get("body") or ""
        raw = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
        if len(raw) > MAX_BODY_BYTES:
            raise TooLarge(f"body: {len(raw)} bytes, at most {MAX_BODY_BYTES} are taken")
        text = raw.decode()
    except (binascii.Error, UnicodeError):
        raise InvalidRequest("body: not UTF-8", [Field("body", "not UTF-8")]) from None
    headers = {**event["headers"], "content-type": "application/json"}
    return {**event, "headers": headers, "body": text, "isBase64Encoded": False}
