"""What Google's refusals mean: worth another try, a matter for a person, one thing that cannot be had, or gone.

An error is `{"error": {code, message, status, errors: [{reason}], details: [{reason}]}}`; which reasons there are:
https://developers.google.com/workspace/drive/api/guides/handle-errors (Drive, Gmail: `errors`) and
https://google.aip.dev/193 (Sheets, Chat: `details`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final, Literal, NamedTuple

from keysentry.connectors.google.fields import text, thing, things
from keysentry.connectors.pace import Refused
from keysentry.errors import AccessError, GoneError, SourceError

Api = Literal["drive", "sheets", "gmail", "chat"]

_AUTH: Final = "https://www.googleapis.com/auth/"


class Facts(NamedTuple):
    """An interface: what people call it, its discovery document, and the least scopes that reading takes."""

    title: str
    document: str
    scopes: tuple[str, ...]


APIS: Final[dict[Api, Facts]] = {
    "drive": Facts("Google Drive", "drive.v3", (f"{_AUTH}drive.readonly",)),
    "sheets": Facts("Google Sheets", "sheets.v4", (f"{_AUTH}drive.readonly",)),
    "gmail": Facts("Gmail", "gmail.v1", (f"{_AUTH}gmail.readonly",)),
    "chat": Facts("Google Chat", "chat.v1", (f"{_AUTH}chat.spaces.readonly", f"{_AUTH}chat.messages.readonly")),
}

_RATE: Final = frozenset(
    ("rateLimitExceeded", "userRateLimitExceeded", "sharingRateLimitExceeded", "RATE_LIMIT_EXCEEDED")
)
_DAY: Final = frozenset(("dailyLimitExceeded", "dailyLimitExceededUnreg", "quotaExceeded"))
_SCOPE: Final = frozenset(("insufficientPermissions", "insufficientScopes", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"))
_DISABLED: Final = frozenset(("accessNotConfigured", "SERVICE_DISABLED"))
_POLICY: Final = frozenset(("domainPolicy", "appBlockedByAdmin"))
_PASSING: Final = frozenset((408, 500, 502, 503, 504))


class Rejected(SourceError):
    """A request that Google does not take: a page token that has expired, a start that lies too far back."""


class Limited(Refused):
    """A call that Google did not carry out, because there were too many."""


class Denied(AccessError):
    """Something that these credentials may not have, while they may have other things."""


class Subject(NamedTuple):
    """Who asked what: for the errors. `renew` says what to do about credentials that are not accepted, `grant` where
    a scope is granted, `scopes` which ones are wanted."""

    api: Api
    who: str
    renew: str
    grant: str
    scopes: tuple[str, ...]

    @property
    def place(self) -> str:
        """The interface and the account."""
        title = APIS[self.api].title
        return f"{title} of {self.who}" if self.who else title


def failure(subject: Subject, status: int, headers: Mapping[str, str], content: bytes) -> Exception:
    """The error that an answer stands for: `Refused` if it is worth another try, else a `SourceError`."""
    error = _error(content)
    reasons = {text(one, "reason") for key in ("errors", "details") for one in things(error, key)}
    words = text(error, "message")[:300] or f"it answers with status {status}"
    if status == 429 or reasons & _RATE:
        return Limited(f"{words} ({status})", retry_after(headers))
    if status in _PASSING:
        return Refused(f"{words} ({status})", retry_after(headers))
    if reasons & _DAY:
        return SourceError(f"the quota of the day is used up: {words}", place=subject.place)
    if status == 401:
        return AccessError(f"the credentials are not accepted: {words}", place=subject.place, advice=subject.renew)
    if status == 403:
        return _forbidden(subject, reasons, words)
    if status in (404, 410):
        return GoneError(words, place=subject.place)
    if status == 400 and "failedPrecondition" in reasons:
        return Denied(words, place=subject.place, advice=f"{APIS[subject.api].title} is not there for this user")
    return Rejected(f"{words} ({status})", place=subject.place)


def _forbidden(subject: Subject, reasons: set[str], words: str) -> SourceError:
    facts, place = APIS[subject.api], subject.place
    if reasons & _SCOPE:
        names = " and ".join(subject.scopes)
        return AccessError(f"a scope is missing: {words}", place=place, advice=f"grant {names} {subject.grant}")
    if reasons & _DISABLED:
        advice = f"enable the {facts.title} API in the project of the credentials"
        return AccessError(f"the interface is not enabled: {words}", place=place, advice=advice)
    if reasons & _POLICY:
        advice = "an administrator of the domain must allow this app"
        return AccessError(f"the domain does not allow it: {words}", place=place, advice=advice)
    return Denied(words, place=place, advice=f"{subject.who or 'the account'} must be given access")


def token_failure(subject: Subject, code: str, words: str) -> SourceError:
    """The error for credentials that Google gives no access token for.

    The codes are those of https://www.rfc-editor.org/rfc/rfc6749#section-5.2.
    """
    reason = f"no access token is given out: {words or code}"
    if code in ("unauthorized_client", "access_denied", "invalid_scope"):
        names = " and ".join(subject.scopes)
        return AccessError(reason, place=subject.place, advice=f"grant {names} {subject.grant}")
    return AccessError(reason, place=subject.place, advice=subject.renew)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that an answer asks to wait (https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3); None if it
    says nothing. A date counts from the answer's own `Date`, so that no clock of ours matters."""
    value = headers.get("retry-after", "").strip()
    if value.isdigit():
        return float(value)
    then, now = date(value), date(headers.get("date", ""))
    return None if then is None or now is None else max(0.0, then - now)


def date(value: str) -> float | None:
    """A date of HTTP as seconds since 1970."""
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, IndexError):
        return None


def _error(content: bytes) -> object:
    try:
        return thing(json.loads(content), "error")
    except (ValueError, RecursionError):
        return {}
