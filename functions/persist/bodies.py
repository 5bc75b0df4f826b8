"""Bodies of DynamoDB's calls, written in one go: the parameters of persist are the protocol's own JSON already.

botocore walks the parameters of a call three times: to find ARNs of tables in them (a jmespath search), to give each value the
form of its shape, and to write JSON. Here a value has its form from the start (entries.py), texts and numbers as texts only, and
tables go by their names. So its public events hand over the finished body instead, and signing, sending and reading the reply
stay its own.
"""

from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_json

if TYPE_CHECKING:
    from botocore.hooks import BaseEventHooks
    from botocore.model import OperationModel

_OPERATIONS: Final = ("BatchGetItem", "TransactWriteItems")
_BODY: Final = "persist.body"


def written_in_one_go(events: "BaseEventHooks") -> None:
    """For a DynamoDB client's `meta.events`. A call then raises PydanticSerializationError for a text that has no UTF-8."""
    # Behind botocore's own handlers of the event, one of which gives a transaction its ClientRequestToken; theirs are registered
    # for all operations, and those of a single one come before them.
    events.register_last("before-parameter-build", _write)
    for operation in _OPERATIONS:
        events.register(f"before-call.dynamodb.{operation}", _hand_over)


def _write(params: dict[str, Any], model: "OperationModel", context: dict[str, Any], **_: Any) -> None:
    if model.name not in _OPERATIONS:
        return
    context[_BODY] = to_json(params)
    for name, value in params.items():
        params[name] = type(value)()  # empty: nothing is left for botocore to walk through


def _hand_over(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    params["body"] = context.pop(_BODY)
