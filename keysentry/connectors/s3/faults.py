"""What the AWS SDK raises, as our errors: what may be tried again, what a person must do, what is one object's matter.

Codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
and https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html
"""

from __future__ import annotations

from typing import Any

from botocore import exceptions as sdk
from botocore.parsers import ResponseParserError

from keysentry.connectors.objects.store import CredentialsError, Denied
from keysentry.connectors.pace import Refused
from keysentry.errors import AccessError, GoneError, InputError, SourceError

SDK_ERRORS = (sdk.ClientError, sdk.BotoCoreError, ResponseParserError)
"""Everything that a call of the SDK may raise."""

_PASSING = frozenset(
    {
        "SlowDown",
        "ServiceUnavailable",
        "InternalError",
        "InternalFailure",
        "RequestTimeout",
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequests",
        "BandwidthLimitExceeded",
        "OperationAborted",
        "RequestThrottled",
        "KmsThrottled",
    }
)
_CREDENTIALS = {
    "ExpiredToken": "the session token has expired",
    "ExpiredTokenException": "the session token has expired",
    "TokenRefreshRequired": "the session token has expired",
    "InvalidToken": "the session token is not valid",
    "InvalidAccessKeyId": "there is no such access key",
    "InvalidClientTokenId": "there is no such access key",
    "UnrecognizedClientException": "there is no such access key",
    "AuthFailure": "the access key was not accepted",
    "SignatureDoesNotMatch": "the secret access key does not fit the access key",
    "IncompleteSignature": "the request was not signed as it should be",
    "InvalidSecurity": "the credentials were not accepted",
    "NotSignedUp": "the account does not use this service",
    "AccountProblem": "there is a problem with the account",
    "AllAccessDisabled": "all access is disabled",
}
_DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "Forbidden", "403", "AuthorizationError", "KMS.AccessDenied"}
)
_GONE = frozenset({"NoSuchBucket", "AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"})
_NO_CREDENTIALS = (
    sdk.NoCredentialsError,
    sdk.PartialCredentialsError,
    sdk.CredentialRetrievalError,
    sdk.TokenRetrievalError,
    sdk.SSOError,
    sdk.RefreshWithMFAUnsupportedError,
    sdk.ProfileNotFound,
    sdk.ConfigParseError,
)
_BROKEN = (sdk.HTTPClientError, sdk.ConnectionError, sdk.IncompleteReadError, ResponseParserError)
_LOGIN = "give credentials: in the configuration, in AWS_* variables, or as a profile or role"


def code_of(error: BaseException) -> str:
    """The service's error code; empty where there was no answer."""
    answer: dict[str, Any] = getattr(error, "response", None) or {}
    return str(answer.get("Error", {}).get("Code", ""))


def told(error: BaseException, place: str, permission: str) -> Exception:
    """What to raise for a call about a bucket or a queue that failed; `permission` is what the call needs."""
    code = code_of(error)
    common = _common(error, code, place)
    if common is not None:
        return common
    if code in _DENIED:
        return AccessError("access is denied", place=place, advice=f"grant {permission}")
    if code in _GONE:
        return GoneError("it is not there any more", place=place, advice="take it out of the configuration")
    return SourceError(_words(error, code), place=place)


def told_of_object(error: BaseException, place: str, permission: str) -> Exception:
    """What to raise for a call about one object that failed."""
    code = code_of(error)
    common = _common(error, code, place)
    if common is not None:
        return common
    if code in _DENIED:
        if "kms:" in _message(error):
            return InputError("the key that it is encrypted with may not be used (it needs kms:Decrypt)", place=place)
        return Denied(f"access to this object is denied (it needs {permission})", place=place)
    if code in ("PreconditionFailed", "412", "InvalidRange", "416"):
        return InputError("it changed while it was read; it comes again", place=place)
    if code in ("NoSuchKey", "NoSuchVersion", "404"):
        return InputError("it was deleted before it could be read", place=place)
    if code == "InvalidObjectState":
        return InputError("it is archived: restore it first", place=place)
    if code.startswith("KMS."):
        return InputError(f"the key that it is encrypted with cannot be used ({code})", place=place)
    if code in ("InvalidRequest", "400") and "ncryption" in _message(error):
        return InputError("it is encrypted with a key that its owner keeps (SSE-C)", place=place)
    if code in _GONE:
        return GoneError("the bucket is not there any more", place=place)
    return InputError(_words(error, code), place=place)


def _common(error: BaseException, code: str, place: str) -> Exception | None:
    """What is the same whatever was asked: another try, or credentials."""
    if isinstance(error, _NO_CREDENTIALS):
        return CredentialsError(_sentence(error), place=place, advice=_LOGIN)
    if isinstance(error, sdk.ClientError):
        return _answered(error, code, place)
    if isinstance(error, _BROKEN):
        return Refused(f"no full answer ({type(error).__name__})")
    return None


def _answered(error: sdk.ClientError, code: str, place: str) -> Exception | None:
    answer = error.response.get("ResponseMetadata", {})
    status = int(answer.get("HTTPStatusCode", 0))
    if code in _PASSING or status == 429 or (status >= 500 and status != 501):
        return Refused(f"it answers {code or status}", _after(answer.get("HTTPHeaders", {})))
    if code in _CREDENTIALS:
        return CredentialsError(_CREDENTIALS[code], place=place, advice=_LOGIN)
    if code in _DENIED and error.operation_name == "AssumeRole":
        return CredentialsError("the role may not be taken on", place=place, advice="allow sts:AssumeRole in its trust")
    if code in ("RequestTimeTooSkewed", "RequestExpired"):
        return AccessError("the clock of this machine is wrong", place=place, advice="set it: requests carry its time")
    return None


def _after(headers: dict[str, str]) -> float | None:
    """Retry-After in seconds, if it is given as such."""
    try:
        return max(0.0, float(headers.get("retry-after", "")))
    except ValueError:
        return None


def _message(error: BaseException) -> str:
    answer: dict[str, Any] = getattr(error, "response", None) or {}
    return str(answer.get("Error", {}).get("Message", ""))


def _words(error: BaseException, code: str) -> str:
    return f"it answers {code}: {_message(error)}" if code else _sentence(error)


def _sentence(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
