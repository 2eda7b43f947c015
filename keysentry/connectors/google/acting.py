"""Acting in Google Workspace: calls that change something, whom they are made for, and what their refusals mean.

A call that changes something may have had its effect although no answer came. So it is sent once (`client._Watched`);
only what Google surely did not do, because there were too many calls, is simply sent again. Else it is looked for
first.

Scopes (https://developers.google.com/workspace/drive/api/guides/api-specific-auth,
https://developers.google.com/workspace/gmail/api/auth/scopes,
https://developers.google.com/workspace/chat/authenticate-authorize): `drive` is the least that changes permissions of
files that this app did not make, and covers cells as well; `gmail.modify` puts labels on mails; `chat.messages` changes
and deletes messages, `chat.memberships.readonly` tells whose a message is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from keysentry.connectors.google import Options as SourceOptions
from keysentry.connectors.google.client import Client, Wait
from keysentry.connectors.google.failures import APIS, Api, Denied, Limited, Rejected
from keysentry.connectors.google.fields import Fields
from keysentry.connectors.google.quarantine import Options
from keysentry.connectors.pace import Refused
from keysentry.errors import AccessError, GoneError, InputError, UnclearError

_AUTH: Final = "https://www.googleapis.com/auth/"
SCOPES: Final[dict[Api, tuple[str, ...]]] = {
    "drive": (f"{_AUTH}drive",),
    "sheets": (f"{_AUTH}drive",),
    "gmail": (f"{_AUTH}gmail.modify",),
    "chat": (f"{_AUTH}chat.messages", f"{_AUTH}chat.memberships.readonly"),
}
_PER_SECOND: Final[dict[Api, float]] = {"drive": 10.0, "sheets": 50 / 60, "gmail": 10.0, "chat": 1.0}
"""What Google allows, with room to spare: Sheets 60 calls a minute and user, Chat one message a second in a space
(https://developers.google.com/workspace/sheets/api/limits, https://developers.google.com/workspace/chat/limits).
"""
_USUAL: Final = 50.0
_SETTLING: Final = 4
"""How often a call whose outcome is not known is looked for, and made anew."""
_ECHOES: Final = frozenset(("sheets", "chat"))
"""Interfaces that say again in a refusal what they were sent."""


class Actor(Client):
    """Calls that change something, for any of `users` ("" stands for the one to whom the credentials belong)."""

    def __init__(self, options: Options, source: SourceOptions, *, wait: Wait | None = None) -> None:
        """Users and the address of the interface are those of the source where there are none of ours. Raises
        `ConfigError`.
        """
        users = options.users or (source.users if options.credentials else ())
        rate = {f"{api}_per_second": options.per_minute / _USUAL * most for api, most in _PER_SECOND.items()}
        told = SourceOptions(
            name=f"{options.source} (acting)",
            credentials=options.credentials,
            token=options.token,
            users=users,
            base_url=options.base_url or source.base_url,
            drive_per_second=rate["drive_per_second"],
            sheets_per_second=rate["sheets_per_second"],
            gmail_per_second=rate["gmail_per_second"],
            chat_per_second=rate["chat_per_second"],
        )
        super().__init__(told, wait=wait)
        self.users: tuple[str, ...] = tuple(dict.fromkeys(user.lower() for user in users)) or ("",)
        self.manager = options.manager.lower()

    def scopes(self, api: Api) -> tuple[str, ...]:
        """The scopes that acting takes."""
        return SCOPES[api]

    def user(self, address: str) -> str:
        """The user to act for, given an address."""
        return address.lower() if address.lower() in self.users else self.users[0]

    def known(self, address: str) -> bool:
        """Whether it may act for somebody."""
        return address.lower() in self.users

    def responsible(self) -> tuple[str, ...]:
        """The users to be tried for what is nobody's own, the manager first."""
        return tuple(dict.fromkeys((self.manager, *self.users))) if self.manager else self.users

    def look(self, api: Api, user: str, method: str, **parameters: object) -> Fields | None:
        """What a method answers; None for what is not there. Raises `SourceError`."""
        try:
            return self.call(api, user, method, **parameters)
        except GoneError:
            return None

    def change(
        self, api: Api, user: str, method: str, done: Callable[[], bool], *, advice: str = "", **parameters: object
    ) -> None:
        """Call a method that changes something, once. If no answer came, `done` tells whether it had its effect.

        Raises `GoneError`, `AccessError` (with `advice`, if there is one), `InputError` for what Google does not take,
        `UnclearError` after some tries.
        """
        pace = self._paces[api]
        for attempt in range(1, _SETTLING + 1):
            try:
                pace.call(lambda: self._once(api, user, method, parameters))
                return
            except UnclearError:
                pace.pause(0.5 * 2 ** (attempt - 1))
                if done():
                    return
                if attempt == _SETTLING:
                    raise
            except Denied as error:
                raise AccessError(error.reason, place=error.place, advice=advice or error.advice) from None
            except Rejected as error:
                raise self._rejected(api, method, error) from None

    def _once(self, api: Api, user: str, method: str, parameters: dict[str, object]) -> None:
        try:
            self._send(api, user, self._request(api, method, parameters))
        except Limited:
            raise
        except Refused as refused:
            raise UnclearError(refused.reason, place=self._subject(api, user).place) from None

    @staticmethod
    def _rejected(api: Api, method: str, error: Rejected) -> Exception:
        if "protected" in error.reason:
            return AccessError(
                "it lies in a protected range",
                place=error.place,
                advice="let the user who is acted for edit the range, or set `sheets` to file",
            )
        said = "" if api in _ECHOES else f": {error.reason}"
        return InputError(f"{APIS[api].title} does not take {method}{said}", place=error.place)
