"""What an answer of Microsoft Graph that is no success means, and what a person should do about it.

Errors come as `{"error": {"code": ..., "message": ...}}`:
https://learn.microsoft.com/en-us/graph/errors
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec

from keysentry.connectors.pace import Refused
from keysentry.errors import AccessError, GoneError, KeysentryError, SourceError

PLACE = "Microsoft Graph"

_PASSING = frozenset((408, 429, 500, 502, 503, 504, 509))
_LOST = frozenset(
    (
        *("resyncrequired", "resyncchangesapplydifferences", "resyncchangesuploaddifferences"),
        *("syncstatenotfound", "syncstateinvalid", "errorinvalidsyncstatedata", "errorsyncstatenotfound"),
    )
)
"""Codes of a delta or skip token that the service does not know any more, whatever the status. (410 alone says it too.)
https://learn.microsoft.com/en-us/graph/delta-query-overview#token-duration
"""
_PERMISSIONS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), permission)
    for pattern, permission in (
        (r"/teams/[^/]+/channels/(?i:getAllMessages)", "ChannelMessage.Read.All"),
        (r"/teams/[^/]+/channels/[^/]+/members", "ChannelMember.Read.All"),
        (r"/teams/[^/]+/channels/[^/]+/messages", "ChannelMessage.Read.All"),
        (r"/teams/[^/]+/channels", "Channel.ReadBasic.All"),
        (r"/teams/[^/]+/members", "TeamMember.Read.All"),
        (r"/teams", "Team.ReadBasic.All"),
        (r"/users/[^/]+/chats|/chats", "Chat.Read.All"),
        (r"/users/[^/]+/(?:mailFolders|messages)", "Mail.Read"),
        (r"/users/[^/]+/drives?", "Files.Read.All"),
        (r"/users", "User.Read.All"),
        (r"/drives", "Files.Read.All, for a SharePoint library Sites.Read.All"),
        (r"/sites", "Sites.Read.All"),
        (r"/organization", "Organization.Read.All"),
    )
)
"""Which application permission a call needs: the least that its page in the Graph reference names."""

_LICENCE = (
    "give the user (of a team: a member) a licence with Microsoft Communications DLP, as in Microsoft 365 E5, or set "
    "teams_export to another model: https://learn.microsoft.com/en-us/graph/teams-licenses"
)
_UNPAID = (
    ("evaluat", 'what is free for trials is used up this month: set teams_export to "A" or "B"'),
    (
        "subscription",
        "link the app to an Azure subscription: https://learn.microsoft.com/en-us/graph/metered-api-setup",
    ),
    ("tenant needs", _LICENCE),
    ("'model'", 'set teams_export to "A"'),
)
"""What the message of a 402 says about more than one user, and what to do about it.

https://learn.microsoft.com/en-us/graph/teams-licenses#payment-related-errors
"""


class ForbiddenError(AccessError):
    """403 (402: see below): the app lacks a permission, or may not see just this."""


class LicenceError(ForbiddenError):
    """402: whoever's messages are asked for has no licence for that; others may have one."""


class PaymentError(ForbiddenError):
    """402: the app or the whole organisation lacks something, or has used up what is free."""


class ResyncError(SourceError):
    """The place in a list is lost: it must be read anew."""


class RejectedError(SourceError):
    """400: the service does not understand the call. Of a call that carries a token it is the token."""


class LockedError(SourceError):
    """This one thing cannot be had, however often it is tried; others can."""


LOSES_PLACE = (ResyncError, RejectedError)
"""What a call with a token of a place may be answered with when the place is lost."""


class _Detail(msgspec.Struct, frozen=True):
    code: str | None = None
    message: str | None = None


class _Answer(msgspec.Struct, frozen=True):
    error: _Detail | None = None


def permission(path: str) -> str:
    """The application permission that a call of this path needs; empty if that is not known."""
    return next((name for pattern, name in _PERMISSIONS if pattern.match(path)), "")


def fault(status: int, headers: Mapping[str, str], body: bytes, path: str, token_advice: str) -> Exception:
    """The exception for an answer: a `Refused` for what is worth another try, else a `KeysentryError`."""
    code, message = _detail(body)
    said = ": ".join(filter(None, (f"{status} {code}".strip(), message)))
    if code.lower() in _LOST or status == 410:
        return ResyncError(f"the place in the list is not known any more ({said})", place=PLACE)
    if status in _PASSING:
        return Refused(f"{PLACE} answers {said}", retry_after(headers.get("retry-after")))
    return _final(status, said, path, token_advice)


def _final(status: int, said: str, path: str, token_advice: str) -> KeysentryError:
    if status == 401:
        return AccessError(f"the token is not accepted ({said})", place=PLACE, advice=token_advice)
    if status == 402:
        return _unpaid(said, path)
    if status == 403:
        needed = permission(path)
        advice = f"give the app the application permission {needed}, with admin consent" if needed else ""
        return ForbiddenError(f"{path} may not be read ({said})", place=PLACE, advice=advice)
    if status == 404:
        return GoneError(f"{path} is not there ({said})", place=PLACE)
    if status in (423, 451):
        return LockedError(f"{path} is locked ({said})", place=PLACE)
    kind = RejectedError if status == 400 else SourceError
    return kind(f"{path} cannot be read ({said})", place=PLACE)


def _unpaid(said: str, path: str) -> KeysentryError:
    reason = f"{path} may not be read ({said})"
    for word, advice in _UNPAID:
        if word in said.lower():
            return PaymentError(reason, place=PLACE, advice=advice)
    return LicenceError(reason, place=PLACE, advice=_LICENCE)


def _detail(body: bytes) -> tuple[str, str]:
    """The code and the message of an error, in one line; of an answer without them its beginning."""
    try:
        error = msgspec.json.decode(body, type=_Answer).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        error = None
    if error is None:
        return "", " ".join(body[:200].decode("utf-8", "replace").split())
    return error.code or "", " ".join((error.message or "").split())[:300]


def retry_after(value: str | None) -> float | None:
    """How long to wait: seconds, or a date (https://www.rfc-editor.org/rfc/rfc9110#field.retry-after)."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
