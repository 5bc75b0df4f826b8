"""Coverage of functions/ at half the price: where none of it runs, nothing is traced.

A tracer slows every instruction of Python 3.11, not only those of the files it is asked for; and most of what the tests run is
boto3, the embedded AWS and the scripted model.
"""

import functools
import sys
from collections.abc import Callable
from typing import Any

from botocore.client import BaseClient
from botocore.session import Session

from local.aws_server import Server
from local.model.script import ScriptedModel


def install() -> None:
    """From here on: a call of AWS, with moto where it is in the same process; the embedded AWS; the model's loop."""
    for owner, name in (
        (BaseClient, "_make_api_call"),
        (Session, "create_client"),
        (Server, "serve"),
        (ScriptedModel, "_run"),
    ):
        setattr(owner, name, _untraced(getattr(owner, name)))


def _untraced(run: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(run)
    def without(*args: Any, **kwargs: Any) -> Any:
        tracer = sys.gettrace()
        sys.settrace(None)
        try:
            return run(*args, **kwargs)
        finally:
            sys.settrace(tracer)

    return without
