"""Calling Google: the only file that knows its libraries.

One `Client` serves all four interfaces and all users. It works from the static discovery documents inside
google-api-python-client, so that nothing but the interfaces themselves is ever asked
(https://googleapis.github.io/google-api-python-client/docs/start.html).

Invariants. httplib2 is not made for several threads: each thread has a connection pool of its own, which goes with the
thread. No answer larger than `LARGEST` is taken into memory. Whatever goes wrong becomes a `Refused` inside the pace,
and a `SourceError` outside.
"""

from __future__ import annotations

import http.client
import json
import logging
import socket
import threading
import weakref
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, cast

import google_auth_httplib2
import httplib2
from google.auth import exceptions as auth_errors
from google.auth.credentials import Credentials
from google.oauth2.credentials import Credentials as UserCredentials
from google.oauth2.service_account import Credentials as ServiceCredentials
from googleapiclient.discovery import build_from_document
from googleapiclient.discovery_cache import get_static_doc
from googleapiclient.errors import HttpError
from googleapiclient.http import HttpRequest

from keysentry.connectors.google import Options
from keysentry.connectors.google.failures import APIS, Api, Denied, Rejected, Subject, failure, token_failure
from keysentry.connectors.google.fields import Fields
from keysentry.connectors.pace import Pace, Refused
from keysentry.errors import AccessError, ClosedError, ConfigError, SourceError

LARGEST = 96 << 20
"""The largest answer that is taken into memory, in bytes: a mail's attachment of the largest size, in base64."""
TIMEOUT = 90.0
"""Seconds without a byte after which a connection counts as broken."""

Wait = Callable[[float], bool]

logging.getLogger("googleapiclient.http").setLevel(logging.ERROR)
"""It warns of each refusal, in words of the answer; here every one becomes an error or another try."""

_USER: Any = UserCredentials
_SERVICE: Any = ServiceCredentials


class Answer(NamedTuple):
    """An answer's content, and its headers with names in lower case."""

    content: Any
    headers: dict[str, str]


class Client:
    """Calls of all interfaces, for any user, from any thread."""

    def __init__(self, options: Options, *, wait: Wait | None = None) -> None:
        """`wait` takes the place of waiting, as in `Pace`. Raises `ConfigError` for credentials that cannot be used."""
        if (not options.credentials) == (options.token is None):
            advice = (
                "set credentials (a JSON file, or GOOGLE_APPLICATION_CREDENTIALS) or token "
                "(or GOOGLE_OAUTH_ACCESS_TOKEN), and not both"
            )
            raise ConfigError("it needs credentials of one kind", place=options.name, advice=advice)
        self._options = options
        rates = {
            "drive": options.drive_per_second,
            "sheets": options.sheets_per_second,
            "gmail": options.gmail_per_second,
            "chat": options.chat_per_second,
        }
        self._paces = {
            api: Pace(facts.title, per_second=rates[api], burst=max(1, int(rates[api]) * 2), wait=wait)
            for api, facts in APIS.items()
        }
        self._lock = threading.Lock()
        self._credentials: dict[tuple[str, tuple[str, ...]], Credentials] = {}
        self._local = threading.local()
        self._pools: weakref.WeakSet[_Pool] = weakref.WeakSet()
        self._closed = False
        self._load("drive", options.users[0] if options.users else "")

    def call(self, api: Api, user: str, method: str, **parameters: object) -> Fields:
        """What a method (`files.list`) answers to parameters, for a user ("": whoever the credentials belong to).

        Raises `SourceError`: `GoneError` for what is not there, `Denied`, `Rejected`, `AccessError`.
        """
        return cast(Fields, self.answer(api, user, method, **parameters).content)

    def answer(self, api: Api, user: str, method: str, **parameters: object) -> Answer:
        """Like `call`, with the answer's headers."""
        answer = self._paces[api].call(lambda: self._send(api, user, self._request(api, method, parameters)))
        if not isinstance(answer.content, dict):
            raise SourceError(f"{method} answers with no object", place=self._subject(api, user).place)
        return answer

    def raw(
        self, api: Api, user: str, method: str, span: tuple[int, int] | None = None, **parameters: object
    ) -> Answer:
        """What a method answers, as the bytes that came; `span` asks for bytes from a first to a last one."""

        def send() -> Answer:
            request = self._request(api, method, parameters)
            request.postproc = _as_it_came
            if span is not None:
                request.headers["range"] = f"bytes={span[0]}-{span[1]}"
            return self._send(api, user, request)

        return self._paces[api].call(send)

    def close(self) -> None:
        """End all calls, also those under way in other threads, and the connections."""
        self._closed = True
        for pace in self._paces.values():
            pace.close()
        with self._lock:
            pools = list(self._pools)
        for pool in pools:
            pool.end()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def _request(self, api: Api, method: str, parameters: dict[str, object]) -> HttpRequest:
        return _method(api, method, self._options.base_url)(**parameters)

    def _send(self, api: Api, user: str, request: HttpRequest) -> Answer:
        subject = self._subject(api, user)
        headers: dict[str, str] = {}
        request.add_response_callback(headers.update)
        pool = self._pool()
        try:
            authorized = google_auth_httplib2.AuthorizedHttp(self._load(api, user), http=pool)
            return Answer(request.execute(http=authorized), headers)
        except HttpError as error:
            raise self._noted(failure(subject, error.resp.status, error.resp, error.content)) from None
        except auth_errors.RefreshError as error:
            raise self._noted(_refused_token(subject, error, ready=self._options.token is not None)) from None
        except ConfigError as error:  # the file was exchanged for one that cannot be used
            raise SourceError(error.reason, place=error.place, advice=error.advice) from None
        except _TooLarge:
            raise Rejected(f"an answer is larger than {LARGEST >> 20} MiB", place=subject.place) from None
        except Exception as error:
            pool.close()
            if self._closed:
                raise ClosedError("closed while it waited for an answer", place=subject.place) from None
            if isinstance(error, _BROKEN):
                raise Refused(f"the connection broke: {error or type(error).__name__}") from None
            raise

    def _pool(self) -> _Pool:
        pool = getattr(self._local, "pool", None)
        if pool is None:
            pool = self._local.pool = _Pool(timeout=TIMEOUT)
            with self._lock:
                self._pools.add(pool)
        if self._closed:
            pool.end()
        return cast(_Pool, pool)

    # -- credentials ------------------------------------------------------------------------------------------------

    def scopes(self, api: Api) -> tuple[str, ...]:
        """The scopes that are asked for."""
        return APIS[api].scopes

    def _load(self, api: Api, user: str) -> Credentials:
        """The credentials of a user for an interface; read again from their file after they were refused."""
        key = (user, self.scopes(api))
        with self._lock:
            found = self._credentials.get(key)
            if found is None:
                found = self._credentials[key] = self._read(*key)
        return found

    def _noted(self, error: Exception) -> Exception:
        if isinstance(error, AccessError) and not isinstance(error, Denied):
            with self._lock:
                self._credentials.clear()
        return error

    def _read(self, user: str, scopes: tuple[str, ...]) -> Credentials:
        options = self._options
        if options.token is not None:
            if len(options.users) > 1:
                raise ConfigError("a token acts for one user only", place=options.name, advice="give one user, or none")
            return cast(Credentials, _USER(token=options.token.reveal()))
        path = options.credentials
        advice = "the JSON file of a service account or of an authorised user"
        try:
            with open(path, "rb") as file:  # noqa: PTH123
                info = json.load(file)
            if info["type"] == "service_account":
                found = _SERVICE.from_service_account_info(info, scopes=scopes, subject=user or None)
                return cast(Credentials, found)
            if info["type"] == "authorized_user" and len(options.users) <= 1:
                return cast(Credentials, _USER.from_authorized_user_info(info))
        except OSError as error:
            raise ConfigError(f"cannot be read: {error.strerror}", place=path, advice=advice) from None
        except (ValueError, KeyError, TypeError, auth_errors.GoogleAuthError):
            raise ConfigError("holds no credentials of Google", place=path, advice=advice) from None
        reason = "holds credentials of one user" if info["type"] == "authorized_user" else "is of a kind not read here"
        raise ConfigError(reason, place=path, advice=f"give {advice}; several users take a service account")

    def _subject(self, api: Api, user: str) -> Subject:
        options = self._options
        who = user or next(iter(options.users), "")
        if options.token is not None:
            renew = "the access token (token) has expired or was revoked: give a new one"
            return Subject(api, who, renew, "to the access token (token)", self.scopes(api))
        renew = f"renew the credentials in {options.credentials}, or give {who or 'the user'} access again"
        grant = f"to the client of {options.credentials} (Admin console, domain-wide delegation, or its consent screen)"
        return Subject(api, who, renew, grant, self.scopes(api))


@lru_cache(8)
def _service(api: Api, base_url: str) -> Any:
    """An interface, from its static document."""
    document = json.loads(get_static_doc(*APIS[api].document.split(".")))
    document.pop("mtlsRootUrl", None)
    if base_url:
        document["rootUrl"] = f"{base_url.rstrip('/')}/"
        document["baseUrl"] = document["rootUrl"] + document["servicePath"]
    return build_from_document(document, http=httplib2.Http())


@lru_cache(64)
def _method(api: Api, method: str, base_url: str) -> Callable[..., HttpRequest]:
    """What makes requests of a method (`files.list`). To find it takes a hundred times longer than to call it."""
    *way, last = method.split(".")
    resource = _service(api, base_url)
    for name in way:
        resource = getattr(resource, name)()
    return cast(Callable[..., HttpRequest], getattr(resource, last))


_BROKEN = (OSError, http.client.HTTPException, httplib2.error.HttpLib2Error, auth_errors.TransportError, ValueError)
"""What a connection that breaks looks like; `ValueError`: JSON that ends too early."""


def _as_it_came(_response: object, content: bytes) -> bytes:
    return content


def _refused_token(subject: Subject, error: auth_errors.RefreshError, *, ready: bool) -> Exception:
    if ready:  # a ready token cannot be renewed here: that was the attempt after it was refused
        return failure(subject, 401, {}, b"")
    details = error.args[1] if len(error.args) > 1 and isinstance(error.args[1], dict) else {}
    words = str(details.get("error_description") or details.get("error") or (error.args[0] if error.args else ""))
    if error.retryable:
        return Refused(f"no access token is given out: {words[:300]}")
    return token_failure(subject, str(details.get("error") or ""), words[:300])


class _TooLarge(Exception):
    """An answer that will not be taken into memory."""


class _Bounded(http.client.HTTPResponse):
    """An answer that is refused where it is too large, before memory is given to it."""

    def read(self, amt: int | None = None) -> bytes:
        if amt is not None:
            return super().read(amt)
        if self.length is not None:
            if self.length > LARGEST:
                raise _TooLarge
            return super().read()
        content = super().read(LARGEST + 1)
        if len(content) > LARGEST:
            raise _TooLarge
        return content


class _Watched:
    """A connection that is not made again once its pool has ended, nor for a request that was sent and may have changed
    something (`once`); httplib2 would do so by itself.
    """

    response_class = _Bounded
    pool: weakref.ref[_Pool] | None = None
    once = False
    made = False

    def connect(self) -> None:
        pool = self.pool() if self.pool is not None else None
        if pool is not None and pool.ended:
            raise OSError("closed")
        if self.once and self.made:
            raise OSError("no answer came")
        self.made = True
        super().connect()  # type: ignore[misc]


class _Http(_Watched, httplib2.HTTPConnectionWithTimeout):  # type: ignore[misc]
    pass


class _Https(_Watched, httplib2.HTTPSConnectionWithTimeout):  # type: ignore[misc]
    pass


class _Pool(httplib2.Http):  # type: ignore[misc]
    """The connections of one thread. They are closed with it, and from outside by `end`."""

    ended = False

    def request(self, uri: str, *args: Any, **kwargs: Any) -> Any:
        kwargs["connection_type"] = _Https if uri.startswith("https:") else _Http
        return super().request(uri, *args, **kwargs)

    def _conn_request(self, conn: Any, request_uri: str, method: str, *args: Any) -> Any:
        conn.pool = weakref.ref(self)
        conn.once = method not in ("GET", "HEAD")
        conn.made = False
        if conn.once:
            conn.close()  # one that was kept open may have been closed by the other side
        return super()._conn_request(conn, request_uri, method, *args)

    def end(self) -> None:
        """Close from any thread: whoever waits for an answer is woken by an error."""
        self.ended = True
        for connection in list(self.connections.values()):
            sock = connection.sock
            if sock is not None:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue
        self.close()

    def __del__(self) -> None:
        self.close()
