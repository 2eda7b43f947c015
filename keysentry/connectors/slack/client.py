"""Slack's Web API: calls within its limits, pages, and its errors in our terms. It is built on `wire`.

Limits are Slack's, a method and workspace each (https://docs.slack.dev/apis/web-api/rate-limits): tier 2 is 20 calls a
minute, tier 3 is 50, tier 4 is 100. Some calls may come at once, the rest at a steady rate, so that no minute sees
more than its tier. An answer of 429 says in Retry-After how many seconds to wait.

Nothing of a request or an answer is logged: the SDK's own logging, which writes bodies at its debug level, is given a
logger that drops everything, and no text of an exception of the SDK (it quotes the answer) is passed on.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPException
from socket import SHUT_RDWR
from typing import Any, Final, NamedTuple

from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.socket_mode import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.web import WebClient
from slack_sdk.web.slack_response import SlackResponse

from keysentry.connectors.pace import Pace, Refused
from keysentry.connectors.slack.wire import Sent, Web
from keysentry.errors import AccessError, GoneError, SourceError
from keysentry.model.sensitive import Sensitive

Fields = dict[str, Any]
"""A JSON object as Slack sent it: any field may be missing, null or of the wrong type."""

_TIER_2: Final = 20.0
_TIER_3: Final = 50.0
_TIER_4: Final = 100.0
_PER_MINUTE: Final[Mapping[str, float]] = {
    "apps.connections.open": 1.0,
    "conversations.history": _TIER_3,
    "conversations.info": _TIER_3,
    "conversations.list": _TIER_2,
    "conversations.replies": _TIER_3,
    "users.list": _TIER_2,
}
_BURST: Final[Mapping[str, int]] = {"apps.connections.open": 3}
"""How many calls may come at once where that is not a fifth of the limit."""
_MESSAGES: Final = ("conversations.history", "conversations.replies")
"""The methods whose limit is a setting: an app that is sold outside the Slack Marketplace has 1 call a minute."""

_REFUSED: Final = frozenset(
    (
        *("invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "no_permission"),
        *("org_login_required", "ekm_access_denied", "not_allowed_token_type", "team_access_not_granted"),
        *("access_denied", "enterprise_is_restricted", "two_factor_setup_required", "accesslimited"),
        *("restricted_action", "invalid_app_token"),
    )
)
_GONE: Final = frozenset(
    (
        *("channel_not_found", "not_in_channel", "thread_not_found", "message_not_found", "user_not_found"),
        *("user_not_visible", "users_not_found", "file_not_found", "file_deleted", "team_not_found"),
        *("method_not_supported_for_channel_type", "is_archived", "channel_is_limited_access"),
    )
)
_PASSING: Final = frozenset(
    (
        *("ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"),
        *("team_added_to_org", "rollup_error", "external_channel_migrating"),
    )
)


_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,80}")


class StaleCursorError(SourceError):
    """Slack does not know the cursor of a page any more: paging begins anew at the last message."""


class CodeError(SourceError):
    """Slack answered with an error that is not about access, limits, its own faults or what is gone: asking again
    would not help.
    """


class Page(NamedTuple):
    """One answer of a method that pages: its items, the answer, and how to ask for the next ("" : there is none)."""

    items: list[Any]
    answer: Fields
    following: str
    more: bool


def _quiet() -> logging.Logger:
    """A logger of its own that drops everything: what the SDK logs holds messages and, of some calls, tokens."""
    logger = logging.Logger("keysentry.slack", level=logging.CRITICAL + 10)
    logger.disabled = True
    return logger


Listener = Callable[[str, str, object], None]
"""Takes an envelope: its id, its type, its payload. Called from a thread of the SDK, one at a time."""


class _SocketClient(SocketModeClient):
    """The SDK's Socket Mode client, which asks for its addresses through our limits: left to itself it would sleep
    through a 429 and could not be woken.
    """

    def __init__(self, web: WebClient, address: Callable[[], object]) -> None:
        self._address = address
        super().__init__(app_token="", logger=_quiet(), web_client=web, concurrency=1)

    def issue_new_wss_url(self) -> str:
        """A new address to connect to. Raises `SourceError`."""
        return str(self._address() or "")

    def connect(self) -> None:
        """Connect, and let go of the connection before: the SDK would first wait for it to say something."""
        self.wake()
        super().connect()

    def wake(self) -> None:
        """End what waits for something to come."""
        wire = self.current_session.sock if self.current_session is not None else None
        if wire is not None:
            with contextlib.suppress(OSError):
                wire.shutdown(SHUT_RDWR)


class Socket:
    """A Socket Mode connection (https://docs.slack.dev/apis/events-api/using-socket-mode), which renews itself."""

    def __init__(self, web: WebClient, address: Callable[[], object], listener: Listener) -> None:
        self._closed = False
        self._client = _SocketClient(web, address)
        self._client.socket_mode_request_listeners.append(lambda _, request: listener(*_envelope(request)))

    @property
    def connected(self) -> bool:
        """Whether it stands."""
        return self._client.is_connected()

    def connect(self) -> None:
        """Open it, or open it again. Raises `Refused` and what `Client.call` raises."""
        self._client.connect_to_new_endpoint()
        if self._closed:
            self.close()  # it was closed while it connected
        elif not self.connected:
            raise Refused("no connection for events")

    def acknowledge(self, envelope: str) -> None:
        """Tell Slack that an envelope need not come again; if the connection is gone, it comes again."""
        with contextlib.suppress(SlackClientError, OSError, AttributeError):
            self._client.send_socket_mode_response({"envelope_id": envelope})

    def close(self) -> None:
        """End it. The SDK would wait for each of its threads to time out; they are woken first."""
        client, self._closed = self._client, True
        client.auto_reconnect_enabled = client.default_auto_reconnect_enabled = False
        client.closed = True
        client.current_session_state.terminated = True
        client.wake()
        client.message_queue.put(None)
        client.close()


def _envelope(request: SocketModeRequest) -> tuple[str, str, object]:
    return request.envelope_id, request.type, request.payload


class Client:
    """One token of one workspace. Safe to use from several threads."""

    def __init__(
        self,
        name: str,
        token: Sensitive | None,
        *,
        app_token: Sensitive | None = None,
        base_url: str = "",
        per_minute: float = _TIER_3,
        page: int = 200,
        timeout: int = 30,
        pace: Callable[..., Pace] = Pace,
    ) -> None:
        """`per_minute` is the limit of history and replies; above tier 3 the other methods' limits grow with it, and
        0 is none at all. `page` is how many messages are asked for at a time. `pace` makes the limits (for tests).
        """
        self.place = f"Slack ({name})"
        self.page = page
        self._token = token
        self._app_token = app_token
        self._per_minute = per_minute
        self._make_pace = pace
        self._paces: dict[str, Pace] = {}
        self._closed = False
        self._web = Web(base_url, timeout, _quiet())

    @property
    def base_url(self) -> str:
        """The address of the interface, with its slash."""
        return self._web.base_url

    @property
    def listens(self) -> bool:
        """Whether there is an app-level token, so that events can be listened to."""
        return self._app_token is not None

    @property
    def authorization(self) -> str:
        """What proves to Slack who we are, for a download."""
        return f"Bearer {self._token.reveal()}" if self._token else ""

    def call(self, method: str, **arguments: object) -> Fields:
        """The answer of a method. Raises `SourceError` (`AccessError`, `GoneError`, `ClosedError`)."""
        return self._ask(method, arguments)[0]

    def scopes(self) -> tuple[Fields, frozenset[str] | None]:
        """Who the token is (https://docs.slack.dev/reference/methods/auth.test), and its scopes if Slack tells them."""
        answer, headers = self._ask("auth.test", {})
        told = next((value for key, value in headers.items() if key.lower() == "x-oauth-scopes"), None)
        return answer, None if told is None else frozenset(scope.strip() for scope in told.split(",") if scope.strip())

    def one_page(self, method: str, key: str, sent: Sent | None = None, /, **arguments: object) -> Page:
        """One page: the list under `key`. `sent` is called when only the answer is still waited for.

        Raises `StaleCursorError` as well as what `call` raises.
        """
        answer = self._ask(method, arguments, sent)[0]
        items = answer.get(key)
        rest = answer.get("response_metadata")
        following = rest.get("next_cursor") if isinstance(rest, dict) else None
        following = following if isinstance(following, str) else ""
        more = bool(following) or answer.get("has_more") is True
        return Page(items if isinstance(items, list) else [], answer, following, more)

    def items(self, method: str, key: str, limit: int, **arguments: object) -> Iterator[Fields]:
        """The objects of all pages of a list (https://docs.slack.dev/apis/web-api/pagination)."""
        following = ""
        while True:
            page = self.one_page(method, key, limit=limit, cursor=following or None, **arguments)
            yield from (item for item in page.items if isinstance(item, dict))
            if not page.following or page.following == following:
                return
            following = page.following

    def pace(self, method: str) -> Pace:
        """The limit that calls of a method keep to."""
        found = self._paces.get(method)
        if found is None:
            per_minute = self._limit(method)
            burst = _BURST.get(method, max(1, int(per_minute // 5)))
            steady = per_minute - burst if per_minute > 2 * burst > 2 else per_minute
            made = self._make_pace(self.place, per_second=steady / 60, burst=burst)
            found = self._paces.setdefault(method, made)
            if self._closed:
                found.close()
        return found

    def _limit(self, method: str) -> float:
        if not self._per_minute or method == "files":
            return 0.0
        if method in _MESSAGES:
            return self._per_minute
        return _PER_MINUTE.get(method, _TIER_4) * max(1.0, self._per_minute / _TIER_3)

    def socket(self, listener: Listener) -> Socket:
        """A connection for events that gives what it receives to a listener; it is not open yet."""
        app_token = self._app_token.reveal() if self._app_token else ""
        return Socket(self._web, lambda: self.call("apps.connections.open", token=app_token).get("url"), listener)

    def close(self) -> None:
        """Make every call that waits raise `ClosedError`, and let go of connections."""
        self._closed = True
        for pace in list(self._paces.values()):
            pace.close()
        self._web.close()

    def _ask(
        self, method: str, arguments: Mapping[str, object], sent: Sent | None = None
    ) -> tuple[Fields, Mapping[str, str]]:
        return self.pace(method).call(lambda: self._try(method, arguments, sent))

    def _try(self, method: str, arguments: Mapping[str, object], sent: Sent | None) -> tuple[Fields, Mapping[str, str]]:
        token = self._token.reveal() if self._token else ""
        try:
            response = self._web.call(method, {"token": token, **arguments}, sent)
        except SlackApiError as error:
            raise self._failure(method, error.response) from None
        except SlackClientError as error:
            raise SourceError(f"the call {method} cannot be made: {type(error).__name__}", place=self.place) from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise Refused(f"no answer to {method}: {reason or type(error).__name__}") from None
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise Refused(f"the answer to {method} cannot be understood ({type(error).__name__})") from None
        if not isinstance(response.data, dict):
            raise Refused(f"the answer to {method} is no object")
        return response.data, response.headers

    def _failure(self, method: str, response: SlackResponse) -> Exception:
        """What an error means (each method's page lists its own)."""
        data = response.data if isinstance(response.data, dict) else {}
        code = data.get("error")
        code = code if isinstance(code, str) and response.status_code == 200 else ""
        if code and not _CODE.fullmatch(code):  # the SDK puts what is no JSON into words
            return Refused(f"the answer to {method} cannot be understood")
        if response.status_code == 429 or code in ("ratelimited", "rate_limited"):
            return Refused(f"too many calls of {method}", retry_after(response.headers))
        if response.status_code >= 500 or code in _PASSING:
            return Refused(f"Slack has a fault of its own at {method} ({code or response.status_code})")
        if code == "missing_scope":
            return self._missing_scope(method, data)
        if code in _REFUSED or response.status_code == 401:
            return self._refused(method, code or "401")
        if code in _GONE:
            return GoneError(f"Slack answers {code} to {method}", place=self.place)
        if code == "invalid_cursor":
            return StaleCursorError(f"Slack does not know the page of {method} any more", place=self.place)
        kind = CodeError if code else SourceError
        return kind(f"Slack answers {code or response.status_code} to {method}", place=self.place)

    def _missing_scope(self, method: str, data: Fields) -> AccessError:
        return AccessError(
            f"{method} needs the scope {data.get('needed') or '(not told)'}; the token has "
            f"{data.get('provided') or 'none'}",
            place=self.place,
            advice="add the scope under OAuth & Permissions of the Slack app and install the app again",
        )

    def _refused(self, method: str, code: str) -> AccessError:
        if method == "apps.connections.open":
            what, where = "app-level token", "`app_token`, or the variable SLACK_APP_TOKEN (scope connections:write)"
        else:
            what, where = "token", "`token`, or the variable SLACK_BOT_TOKEN"
        return AccessError(f"Slack refuses the {what}: {code}", place=self.place, advice=f"set a valid one: {where}")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """How many seconds an answer asks to wait; None if it says nothing that can be understood."""
    told = next((value for key, value in headers.items() if key.lower() == "retry-after"), "")
    try:
        return max(0.0, float(told))
    except (TypeError, ValueError):
        return None
