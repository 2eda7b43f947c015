"""What the SDK of Azure Blob Storage raises, as our errors.

Codes: https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes
and https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes
"""

from __future__ import annotations

from typing import Any

from azure.core import exceptions as sdk

from keysentry.connectors.objects.store import CredentialsError, Denied
from keysentry.connectors.pace import Refused
from keysentry.errors import AccessError, GoneError, InputError, SourceError

SDK_ERRORS = (sdk.AzureError, ValueError, ConnectionError)
"""Everything that a call of the SDK may raise; ValueError for keys and connection strings that are none."""

_CREDENTIALS = {
    "AuthenticationFailed": "the key or token is not accepted, or has expired",
    "InvalidAuthenticationInfo": "the token is not valid, or has expired",
    "NoAuthenticationInformation": "no credentials were shown",
    "AccountIsDisabled": "the account is disabled",
    "KeyBasedAuthenticationNotPermitted": "the account does not accept keys",
}
_LOGIN = "set account_key, sas_token or connection_string, or log in: az login"


def code_of(error: BaseException) -> str:
    """The service's error code; empty where there was no answer."""
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")


def told(error: BaseException, place: str, permission: str) -> Exception:
    """What to raise for a call about a container that failed; `permission` is what the call needs."""
    common = _common(error, place)
    if common is not None:
        return common
    status, code = _status(error), code_of(error)
    if status in (401, 403):
        return AccessError("access is denied", place=place, advice=f"grant {permission}")
    if code in ("ContainerNotFound", "ContainerBeingDeleted", "ResourceNotFound"):
        return GoneError("it is not there any more", place=place, advice="take it out of the configuration")
    return SourceError(_words(error, code), place=place)


def told_of_object(error: BaseException, place: str, permission: str) -> Exception:
    """What to raise for a call about one blob that failed."""
    common = _common(error, place)
    if common is not None:
        return common
    status, code = _status(error), code_of(error)
    if status in (412, 416):
        return InputError("it changed while it was read; it comes again", place=place)
    if code == "BlobArchived":
        return InputError("it is archived: rehydrate it first", place=place)
    if code == "BlobUsesCustomerSpecifiedEncryption":
        return InputError("it is encrypted with a key that its owner keeps", place=place)
    if code == "ContainerNotFound":
        return GoneError("the container is not there any more", place=place)
    if status == 404:
        return InputError("it was deleted before it could be read", place=place)
    if status in (401, 403):
        return Denied(f"access to this blob is denied (it needs {permission})", place=place)
    return InputError(_words(error, code), place=place)


def _common(error: BaseException, place: str) -> Exception | None:
    """What is the same whatever was asked: another try, or credentials."""
    status, code = _status(error), code_of(error)
    if isinstance(error, ValueError):
        return CredentialsError("the key or connection string is none", place=place, advice=_LOGIN)
    if code in _CREDENTIALS:
        return CredentialsError(_CREDENTIALS[code], place=place, advice=_LOGIN)
    if isinstance(error, sdk.ClientAuthenticationError) and status == 0:
        return CredentialsError(_words(error, ""), place=place, advice=_LOGIN)
    if status in (408, 429) or (status >= 500 and status != 501):
        return Refused(f"it answers {code or status}", _after(error))
    if status == 0:
        return Refused(f"no full answer ({type(error).__name__})")
    return None


def _status(error: BaseException) -> int:
    """The status of the answer; 0 where there was none, or not a whole one."""
    return int(getattr(error, "status_code", None) or 0)


def _after(error: BaseException) -> float | None:
    """Retry-After in seconds, if it is given as such."""
    headers: Any = getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        return max(0.0, float(headers.get("Retry-After", "")))
    except ValueError:
        return None


def _words(error: BaseException, code: str) -> str:
    first = str(getattr(error, "message", None) or error).partition("\n")[0]
    return f"it answers {code}: {first}"[:300] if code else first[:300].rstrip(".") or type(error).__name__
