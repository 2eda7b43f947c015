"""Acting in Microsoft 365: calls of Microsoft Graph that change something, and what their refusals mean.

Calls. A call that changes something may have had its effect although no answer came, or one that says nothing (5xx).
So `once` sends it once and tells of that as `UnclearError`, and `change` looks whether it is done before it sends it
again. What was surely not carried out (no connection, no token, 429) is tried again as any call.

Preconditions. Files take `If-Match` and answer 412 if they are in another state
(https://learn.microsoft.com/en-us/graph/api/driveitem-update, .../driveitem-delete). Messages of Teams and mails have
no such precondition.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import httpx
import msgspec
from kiota_abstractions.method import Method
from kiota_abstractions.request_information import RequestInformation

from keysentry.connectors.microsoft.client import Answer, GraphClient, _lower
from keysentry.connectors.microsoft.delta import rows
from keysentry.connectors.microsoft.faults import PLACE, ForbiddenError, LockedError, _detail, fault, retry_after
from keysentry.connectors.pace import Refused
from keysentry.errors import AccessError, ChangedError, GoneError, InputError, KeysentryError, SourceError, UnclearError

Fields = dict[str, Any]

for _name in ("httpx", "httpcore"):  # they write addresses, in which names of files stand, and others are secrets
    logging.getLogger(_name).setLevel(logging.WARNING)

_SETTLING: Final = 4
"""How often a call whose outcome is not known is looked for, and sent again."""
_UNSENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_UNKNOWN: Final = frozenset((408, 500, 502, 503, 504, 509))
_TEAMS: Final = "; messages that were sent from another tenant can only be blocked there"
_FILES: Final = "Files.ReadWrite.All, for a SharePoint library Sites.ReadWrite.All"

_CHANGING: Final = tuple(
    (re.compile(pattern), permission)
    for pattern, permission in (
        (r"/teams/[^/]+/channels/[^/]+/messages", f"ChannelMessage.UpdatePolicyViolation.All{_TEAMS}"),
        (r"/chats/[^/]+/messages", f"Chat.UpdatePolicyViolation.All{_TEAMS}"),
        (r"/users/[^/]+/teamwork", "TeamsActivity.Send"),
        (r"/users/[^/]+/messages/[^/]+/send", "Mail.Send"),
        (r"/users/[^/]+/(?:mailFolders|messages)", "Mail.ReadWrite"),
        (r"/drives", _FILES),
    )
)
"""Which application permission a changing call needs: the least that its page in the Graph reference names."""
_LOOKING: Final = tuple(
    (re.compile(pattern), permission)
    for pattern, permission in (
        (r"/users/[^/]+/(?:mailFolders|messages)", "Mail.ReadWrite"),
        (r"/drives", _FILES),
    )
)
"""Which one covers reading as well, for those who act."""


class NotDone(Refused):
    """A call that surely had no effect, and may be tried again."""


class TakenError(SourceError):
    """409: there is something under that name already."""


class Actor(GraphClient):
    """One app that may act. Safe to use from several threads."""

    # -- looking ----------------------------------------------------------------------------------------------------

    def get(self, path: str, *, prefer: str = "", messages: bool = False) -> Answer:
        """As for reading, with the advice that is right for an app that acts, and no names of files in errors."""
        try:
            return super().get(path, prefer=prefer, messages=messages)
        except SourceError as error:
            needed = _needed(_LOOKING, path) if type(error) is ForbiddenError else ""
            reason = error.reason.replace(path.partition("?")[0], _told(path))
            raise type(error)(reason, place=error.place, advice=_grant(needed) or error.advice) from None

    def look(self, path: str, *, prefer: str = "", messages: bool = False) -> Fields | None:
        """A thing as it is now; None if it is not there. Raises `SourceError`."""
        try:
            body = self.get(path, prefer=prefer, messages=messages).body
        except GoneError:
            return None
        return as_fields(body, path)

    def listed(self, under: str, first: str, *, prefer: str = "") -> Iterator[Fields]:
        """Every object of a list, whose first page is `first` under a path. Raises `SourceError`."""
        for raw in rows(self, f"{under}/", first, prefer=prefer):
            yield as_fields(bytes(raw), under)

    # -- changing ---------------------------------------------------------------------------------------------------

    def once(
        self,
        method: str,
        path: str,
        body: Fields | bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        messages: bool = False,
    ) -> Answer:
        """The answer to a call that must not be carried out twice.

        Raises `UnclearError` if no answer came that tells; `ChangedError` (412), `TakenError` (409), `GoneError` (404),
        `AccessError` (401, 402, 403), `InputError` (400), `LockedError` (423) or another `SourceError`.
        """

        def attempt() -> Answer:
            try:
                return self._wait(self._changed(method, path, body, headers or {}))
            except NotDone:
                raise
            except Refused as refused:
                if isinstance(refused.__cause__, _UNSENT):
                    raise
                raise UnclearError(refused.reason, place=PLACE) from None

        return self._paces[messages].call(attempt)

    def change(
        self,
        method: str,
        path: str,
        done: Callable[[], bool],
        body: Fields | bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        messages: bool = False,
    ) -> Answer | None:
        """Change something, once. `done` tells whether it is so, and is asked where the answer does not tell; then
        there is no answer.

        Raises what `once` does, and `UnclearError` only after some tries.
        """
        for attempt in range(1, _SETTLING + 1):
            try:
                return self.once(method, path, body, headers=headers, messages=messages)
            except UnclearError:
                self.pause(0.5 * 2 ** (attempt - 1))
                if done():
                    return None
                if attempt == _SETTLING:
                    raise
        raise AssertionError("unreachable")

    async def _changed(self, method: str, path: str, body: Fields | bytes | None, headers: Mapping[str, str]) -> Answer:
        for fresh in (False, True):
            try:
                request = await self._made(method, path, body, headers)
            except Refused as refused:  # there is no token: nothing was sent
                raise NotDone(refused.reason, refused.after) from None
            response = await self._http.send(request, follow_redirects=False)
            said = _lower(response.headers)
            if response.status_code < 400:
                return Answer(said, response.content)
            if response.status_code != 401 or fresh or not self._tokens.forget():
                break
        raise _refusal(response.status_code, said, response.content, path, self._tokens.advice)

    async def _made(
        self, method: str, path: str, body: Fields | bytes | None, headers: Mapping[str, str]
    ) -> httpx.Request:
        info = RequestInformation(Method[method])
        info.url = self._base + path
        for name, value in {"Accept": "application/json", **headers}.items():
            info.headers.add(name, value)
        if body is not None:
            raw = isinstance(body, bytes)
            info.headers.add("Content-Type", "text/plain; charset=utf-8" if raw else "application/json")
            info.content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return await self._adapter.convert_to_native_async(info)


def as_fields(body: bytes, path: str) -> Fields:
    """An object of JSON. Raises `SourceError` if it is none."""
    try:
        return msgspec.json.decode(body, type=Fields)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise SourceError(f"{_told(path)} does not answer with an object", place=PLACE) from None


def text(fields: Fields | None, *names: str) -> str:
    """A text in an object, by the way to it; empty where there is none."""
    value: object = fields
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def _refusal(status: int, headers: Mapping[str, str], body: bytes, path: str, token_advice: str) -> Exception:
    """What an answer to a changing call means that is no success."""
    code, message = _detail(body)
    said = ": ".join(filter(None, (f"{status} {code}".strip(), message)))
    if status == 429:
        return NotDone(f"{PLACE} answers {said}", retry_after(headers.get("retry-after")))
    if status in _UNKNOWN:
        return Refused(f"{PLACE} answers {said}", retry_after(headers.get("retry-after")))
    return _final(status, headers, body, path, token_advice, said)


def _final(status: int, headers: Mapping[str, str], body: bytes, path: str, token_advice: str, said: str) -> Exception:
    told = _told(path)
    kinds: dict[int, KeysentryError] = {
        400: InputError(f"{told} cannot be changed so ({said})", place=PLACE),
        404: GoneError(f"{told} is not there ({said})", place=PLACE),
        409: TakenError(f"{told} is taken already ({said})", place=PLACE),
        410: GoneError(f"{told} is not there any more ({said})", place=PLACE),
        412: ChangedError(f"{told} was changed since it was looked at ({said})", place=PLACE),
        423: LockedError(f"{told} is locked ({said})", place=PLACE),
    }
    if status == 403:
        return AccessError(f"{told} may not be changed ({said})", place=PLACE, advice=_grant(_needed(_CHANGING, path)))
    return kinds.get(status) or fault(status, headers, body, told, token_advice)


def _told(path: str) -> str:
    """A path as errors name it: without names of files, which may hold what must not be told."""
    return path.partition("?")[0].partition(":/")[0]


def _needed(table: tuple[tuple[re.Pattern[str], str], ...], path: str) -> str:
    return next((permission for pattern, permission in table if pattern.match(path)), "")


def _grant(permission: str) -> str:
    name, semicolon, rest = permission.partition(";")
    return (
        f"give the app that acts the application permission {name}, with admin consent{semicolon}{rest}" if name else ""
    )
