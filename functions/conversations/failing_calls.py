"""Every call of a boto3 client that fails is counted and logged by its cause, whatever becomes of the error afterwards."""

from typing import TYPE_CHECKING, Any

from functions.common.failures import Failures
from functions.common.storage_faults import fault_of, fault_of_cancelled, fault_of_code

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

_CONDITION_FAILED = "ConditionalCheckFailedException"


def watch(client: "DynamoDBClient", failures: Failures) -> None:
    """Botocore calls these once a call is over, its own retries included."""

    def answered(http_response: Any, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        code = str(parsed.get("Error", {}).get("Code", ""))
        if http_response.status_code < 300 or code == _CONDITION_FAILED:
            return
        reasons = [reason.get("Code", "") for reason in parsed.get("CancellationReasons", ())]
        fault = fault_of_cancelled(reasons) if "CancellationReasons" in parsed else fault_of_code(code, http_response.status_code)
        if fault is not None:
            failures.storage(model.name, fault, code)

    def broke(exception: Exception, event_name: str, **_: Any) -> None:
        failures.storage(event_name.rpartition(".")[2], fault_of(exception), type(exception).__name__)

    client.meta.events.register("after-call.dynamodb", answered)
    client.meta.events.register("after-call-error.dynamodb", broke)
