"""What the SDK of Google Cloud Storage raises, as our errors.

Statuses and reasons: https://cloud.google.com/storage/docs/json_api/v1/status-codes
"""

from __future__ import annotations

from typing import Any

import requests
import urllib3
from google.api_core import exceptions as api
from google.auth import exceptions as auth

from keysentry.connectors.objects.store import CredentialsError, Denied
from keysentry.connectors.pace import Refused
from keysentry.errors import AccessError, GoneError, InputError, SourceError

SDK_ERRORS = (
    api.GoogleAPIError,
    auth.GoogleAuthError,
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    ConnectionError,
)
"""Everything that a call of the SDK may raise."""

_TOO_FAST = frozenset({"rateLimitExceeded", "userRateLimitExceeded"})
_LOGIN = "name a key file in credentials, or log in: gcloud auth application-default login"


def told(error: BaseException, place: str, permission: str) -> Exception:
    """What to raise for a call about a bucket that failed; `permission` is what the call needs."""
    common = _common(error, place)
    if common is not None:
        return common
    status = _status(error)
    if status == 403:
        return AccessError("access is denied", place=place, advice=f"grant {permission}")
    if status == 404:
        return GoneError("it is not there any more", place=place, advice="take it out of the configuration")
    return SourceError(_words(error), place=place)


def told_of_object(error: BaseException, place: str, permission: str) -> Exception:
    """What to raise for a call about one object that failed."""
    common = _common(error, place)
    if common is not None:
        return common
    status, words = _status(error), _words(error)
    if status in (412, 416):
        return InputError("it changed while it was read; it comes again", place=place)
    if status == 404:
        return InputError("it was deleted before it could be read", place=place)
    if status == 403 and "KMS" in words:
        return InputError("the key that it is encrypted with may not be used", place=place)
    if status == 403:
        return Denied(f"access to this object is denied (it needs {permission})", place=place)
    if status == 400 and "ncrypt" in words:
        return InputError("it is encrypted with a key that its owner keeps", place=place)
    return InputError(words, place=place)


def reason_of(error: BaseException) -> str:
    """The reason that the service gives in a word, `forbidden` for instance; empty if it gives none."""
    details = getattr(error, "errors", None) or ()
    return next((str(one.get("reason", "")) for one in details if isinstance(one, dict)), "")


def _common(error: BaseException, place: str) -> Exception | None:
    """What is the same whatever was asked: another try, credentials, or who pays."""
    status, reason = _status(error), reason_of(error)
    if isinstance(error, auth.TransportError) or (isinstance(error, auth.RefreshError) and error.retryable):
        return Refused("the credentials could not be renewed")
    if isinstance(error, auth.GoogleAuthError):
        return CredentialsError(_words(error), place=place, advice=_LOGIN)
    if status in (408, 429) or status >= 500 or reason in _TOO_FAST:
        return Refused(f"it answers {status}", _after(error))
    if status == 401:
        return CredentialsError("the credentials are not accepted", place=place, advice=_LOGIN)
    if "UserProject" in reason or "userProject" in reason:
        return AccessError("its requesters pay", place=place, advice="name the project that pays in user_project")
    if status == 0:
        return Refused(f"no full answer ({type(error).__name__})")
    return None


def _status(error: BaseException) -> int:
    """The status of the answer; 0 where there was none."""
    return int(error.code or 0) if isinstance(error, api.GoogleAPICallError) else 0


def _after(error: BaseException) -> float | None:
    """Retry-After in seconds, if it is given as such."""
    headers: Any = getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        return max(0.0, float(headers.get("retry-after", "")))
    except ValueError:
        return None


def _words(error: BaseException) -> str:
    """The service's own words, without the address that was asked."""
    text = str(getattr(error, "message", None) or error)
    if text.startswith(("GET ", "HEAD ")):
        text = text.partition(": ")[2] or text
    return " ".join(text.split())[:300].rstrip(".") or type(error).__name__
