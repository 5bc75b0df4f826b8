"""Why a call to AWS failed, in one of few codes: for the log and the metric of an operator who has to do something about it.

AWS has a name for each error of each service, and botocore a class for each of its own; what to do about them falls into these.
"""

import ssl
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final


class StorageFault(StrEnum):
    THROTTLED = "throttled"
    CONFLICT = "conflict"  # with another transaction; trying again helps
    NO_REGION = "no_region"
    NO_CREDENTIALS = "no_credentials"  # none were found, or where they come from does not answer
    CREDENTIALS_EXPIRED = "credentials_expired"
    CREDENTIALS_REFUSED = "credentials_refused"  # an unknown key, a wrong signature
    CLOCK_WRONG = "clock_wrong"
    NO_PERMISSION = "no_permission"  # of IAM, or of the KMS key
    NOT_FOUND = "not_found"  # the table, the queue, the secret
    REJECTED = "rejected"  # the request itself: too large, not valid
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed_out"
    UNTRUSTED = "untrusted"  # the certificate at the other end
    BROKEN_REPLY = "broken_reply"
    UNAVAILABLE = "unavailable"  # AWS says that the fault is its own
    UNKNOWN = "unknown"


_CODES: Final[Mapping[StorageFault, tuple[str, ...]]] = {
    StorageFault.THROTTLED: (
        "LimitExceededException", "PriorRequestNotComplete", "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException", "RequestLimitExceeded", "RequestThrottled", "RequestThrottledException",
        "SlowDown", "Throttled", "ThrottledException", "Throttling", "ThrottlingError", "ThrottlingException",
        "TooManyRequestsException", "KMSThrottled", "KmsThrottled",
    ),
    StorageFault.CONFLICT: (
        "ReplicatedWriteConflictException", "TransactionConflict", "TransactionConflictException",
        "TransactionInProgressException",
    ),
    StorageFault.CREDENTIALS_EXPIRED: ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"),
    StorageFault.CREDENTIALS_REFUSED: (
        "AuthFailure", "IncompleteSignature", "IncompleteSignatureException", "InvalidAccessKeyId", "InvalidClientTokenId",
        "InvalidSecurity", "InvalidSignatureException", "InvalidToken", "MissingAuthenticationToken",
        "MissingAuthenticationTokenException", "SignatureDoesNotMatch", "UnrecognizedClientException",
    ),
    StorageFault.CLOCK_WRONG: ("RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed"),
    StorageFault.NO_PERMISSION: (
        "AccessDenied", "AccessDeniedException", "AuthorizationError", "DecryptionFailure", "KMSAccessDeniedException",
        "KmsAccessDenied", "KmsDisabled", "NotAuthorized", "OptInRequired", "UnauthorizedOperation",
    ),
    StorageFault.NOT_FOUND: (
        "AWS.SimpleQueueService.NonExistentQueue", "KmsNotFound", "NonExistentQueue", "QueueDoesNotExist",
        "ResourceNotFoundException", "TableNotFoundException",
    ),
    StorageFault.UNAVAILABLE: (
        "InternalError", "InternalFailure", "InternalServerError", "InternalServiceError", "ServiceUnavailable",
        "ServiceUnavailableException",
    ),
}  # fmt: skip
_BY_CODE: Final = {code: fault for fault, codes in _CODES.items() for code in codes}

# Classes of asyncio, httpx2 and botocore by name, so that none of them is imported for this. The nearest base class counts.
_BY_CLASS: Final[Mapping[str, StorageFault]] = {
    "TimeoutError": StorageFault.TIMED_OUT,
    "TimeoutException": StorageFault.TIMED_OUT,
    "ConnectTimeoutError": StorageFault.TIMED_OUT,
    "ReadTimeoutError": StorageFault.TIMED_OUT,
    "RemoteProtocolError": StorageFault.BROKEN_REPLY,
    "ResponseParserError": StorageFault.BROKEN_REPLY,
    "ChecksumError": StorageFault.BROKEN_REPLY,
    "NetworkError": StorageFault.UNREACHABLE,
    "NewConnectionError": StorageFault.UNREACHABLE,  # urllib3's, a kind of time-out to it
    "ProxyError": StorageFault.UNREACHABLE,
    "HTTPClientError": StorageFault.UNREACHABLE,
    "ConnectionError": StorageFault.UNREACHABLE,
    "OSError": StorageFault.UNREACHABLE,
    "SSLError": StorageFault.UNTRUSTED,
    "NoRegionError": StorageFault.NO_REGION,
    "NoCredentialsError": StorageFault.NO_CREDENTIALS,
    "PartialCredentialsError": StorageFault.NO_CREDENTIALS,
    "CredentialRetrievalError": StorageFault.NO_CREDENTIALS,
    "MetadataRetrievalError": StorageFault.NO_CREDENTIALS,
    "UnknownCredentialError": StorageFault.NO_CREDENTIALS,
    "ProfileNotFound": StorageFault.NO_CREDENTIALS,
    "SSOError": StorageFault.CREDENTIALS_EXPIRED,
    "TokenRetrievalError": StorageFault.CREDENTIALS_EXPIRED,
}


def fault_of_code(code: str, status: int = 0) -> StorageFault:
    """What an error that AWS names is; by its HTTP status where the name is new."""
    if fault := _BY_CODE.get(code):
        return fault
    if status == 429:
        return StorageFault.THROTTLED
    if status in {401, 403}:
        return StorageFault.NO_PERMISSION
    if 400 <= status < 500:
        return StorageFault.REJECTED
    return StorageFault.UNAVAILABLE if status >= 500 else StorageFault.UNKNOWN


def fault_of_cancelled(codes: Sequence[str]) -> StorageFault | None:
    """Why a transaction was cancelled, by its items' reasons; None where only their conditions did not hold."""
    told = {code for code in codes if code not in {"", "None"}}
    if told == {"ConditionalCheckFailed"}:
        return None
    faults = [fault_of_code(code, 400) for code in sorted(told - {"ConditionalCheckFailed"})]
    return next(iter(faults), StorageFault.UNKNOWN)


def fault_of(error: BaseException) -> StorageFault:
    """What a failed call is: told by the exception that is the most specific of those that led to this one."""
    found = [fault for one in _causes(error) if (fault := _fault_of_one(one)) is not None]
    told = [fault for fault in found if fault is not StorageFault.UNREACHABLE]  # "no connection" is often half of the story
    return (told or found or [StorageFault.UNKNOWN])[0]


def _fault_of_one(error: BaseException) -> StorageFault | None:
    if isinstance(fault := getattr(error, "fault", None), StorageFault):
        return fault
    if isinstance(error, RuntimeError) and "refreshed credentials are still expired" in str(error):  # botocore's only word for it
        return StorageFault.CREDENTIALS_EXPIRED
    if isinstance(response := getattr(error, "response", None), dict) and "Error" in response:  # botocore's ClientError
        return _of_response(response)
    if isinstance(error, ssl.SSLError):
        return StorageFault.UNTRUSTED
    return next((_BY_CLASS[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in _BY_CLASS), None)


def _of_response(response: Mapping[str, Any]) -> StorageFault:
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return fault_of_code(str(response["Error"].get("Code", "")), status if isinstance(status, int) else 0)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and what it was raised from, some steps deep."""
    for _ in range(5):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__
