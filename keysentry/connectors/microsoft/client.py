"""The one place that knows the SDK of Microsoft Graph, and that it is asynchronous.

What is used of the SDK: its request adapter (kiota), which authenticates and builds requests, and azure-identity for
tokens. Not used are the generated models (decoding a page with them costs many times what the page is worth, and they
hide delta tokens inside links) and the retry handler: `Pace` alone decides when a call is tried again, also in
azure-identity, so that no wait multiplies another.

Algorithm. An event loop runs in a thread of its own; callers hand it coroutines and wait for their results. Everything
outside this file is synchronous.

Invariants.

- The token goes to the host of `base_url` only, never to the address of a download.
- `close` cancels what is under way: whoever waits, in any thread, gets a `ClosedError`; then the thread ends.
- A content is never held: at most one piece of it is here.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple, TypeVar, cast
from urllib.parse import urlsplit

import httpx
from azure.core.exceptions import AzureError
from azure.identity import ClientSecretCredential
from kiota_abstractions.authentication import (
    AccessTokenProvider,
    AllowedHostsValidator,
    BaseBearerTokenAuthenticationProvider,
)
from kiota_abstractions.method import Method
from kiota_abstractions.request_information import RequestInformation
from kiota_http.httpx_request_adapter import HttpxRequestAdapter

from keysentry.connectors.microsoft import BASE_URL, Options
from keysentry.connectors.microsoft.faults import PLACE, fault, retry_after
from keysentry.connectors.pace import Pace, Refused
from keysentry.errors import AccessError, ClosedError, SourceError
from keysentry.model.sensitive import Sensitive

T = TypeVar("T")

CHUNK = 1 << 19
"""How many bytes of a content come at once, at most."""
_TIMES = httpx.Timeout(connect=15, read=90, write=30, pool=None)
_LOGIN = "https://login.microsoftonline.com"

_NEW_TOKEN = "put a fresh application token into KEYSENTRY_GRAPH_TOKEN or KF_TEAMS_TOKEN (`token`)"  # noqa: S105
_NEW_SECRET = (
    "make a new secret of the app in Entra (Certificates & secrets) and set AZURE_CLIENT_SECRET (`client_secret`)"  # noqa: S105
)
_CHECK = "check AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"
_SIGN_IN = {
    "AADSTS7000215": _NEW_SECRET,
    "AADSTS7000222": _NEW_SECRET,
    "AADSTS700016": "set AZURE_CLIENT_ID (`client_id`) to the application id of an app in this tenant",
    "AADSTS90002": "set AZURE_TENANT_ID (`tenant_id`) to the directory id of the organisation",
}
_BUSY = ("AADSTS90033", "AADSTS90006")
"""https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes"""


class Answer(NamedTuple):
    """A whole answer: its headers (names in lower case) and its body."""

    headers: Mapping[str, str]
    body: bytes


class Download(NamedTuple):
    """A content that has begun to come: the status (200: from its start, 206: from where it was asked for) and its
    pieces. The pieces raise `Refused` if the connection breaks.
    """

    status: int
    pieces: Iterator[bytes]


class GraphClient:
    """Calls Microsoft Graph; safe to use from any number of threads. `close` it."""

    def __init__(self, options: Options, pace: Pace, messages_pace: Pace) -> None:
        """`pace` limits all calls, `messages_pace` those for the messages of Teams."""
        self._base = (options.base_url or BASE_URL).rstrip("/")
        self._paces = (pace, messages_pace)
        self._lock = threading.Lock()
        self._closed = False
        self._tokens = _Tokens(options, self._base)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="microsoft-graph", daemon=True)
        self._thread.start()
        try:
            self._http, self._adapter = self._wait(self._connect())
        except (ValueError, ImportError, OSError) as error:  # a proxy or a certificate of the environment
            self._stop()
            raise SourceError(f"no connection can be prepared: {error}", place=PLACE) from error

    def get(self, path: str, *, prefer: str = "", messages: bool = False) -> Answer:
        """The answer to GET `path` (which begins with a slash, its parts quoted); tried again as often as `Pace` does.

        Raises `AccessError`, `GoneError` (404), `ResyncError`, `LockedError`, `ClosedError` or another `SourceError`.
        """
        headers = {"Accept": "application/json"} | ({"Prefer": prefer} if prefer else {})
        return self._paces[messages].call(lambda: self._answer(path, headers))

    def value(self, path: str) -> Download:
        """The raw value of something of Graph (`.../$value`), from its start."""
        return self._paces[0].call(lambda: self._wait(self._begin(self._base + path, path, {})))

    def download(self, url: str, start: int) -> Download:
        """A content behind a pre-authenticated address, from the byte `start` on; without the token.

        https://learn.microsoft.com/en-us/graph/api/driveitem-get-content#partial-range-downloads
        """
        if urlsplit(self._base).scheme == "https" != urlsplit(url).scheme:
            raise SourceError("a download is offered without encryption and is not read", place=PLACE)
        headers = {"Range": f"bytes={start}-"} if start else {}
        return self._paces[0].call(lambda: self._wait(self._begin(url, "", headers)))

    def redirect(self, path: str) -> str:
        """Where `path` redirects to; empty if it does not."""
        return self._paces[0].call(lambda: self._wait(self._location(path)))

    def pause(self, seconds: float) -> None:
        """Wait. Raises `ClosedError` if closed meanwhile."""
        self._paces[0].pause(seconds)

    def close(self) -> None:
        """End what is under way, and the thread."""
        for pace in self._paces:
            pace.close()
        with self._lock:
            if self._closed:
                return
            self._closed = True
            ending = asyncio.run_coroutine_threadsafe(self._end(), self._loop)
        ending.result()
        self._stop()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._tokens.close()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()

    async def _connect(self) -> tuple[httpx.AsyncClient, HttpxRequestAdapter]:
        limits = httpx.Limits(max_connections=16, max_keepalive_connections=8)
        http = httpx.AsyncClient(timeout=_TIMES, limits=limits, follow_redirects=False, verify=_trusted())
        adapter = HttpxRequestAdapter(BaseBearerTokenAuthenticationProvider(self._tokens), http_client=http)
        return http, adapter

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._http.aclose()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine, which runs in the loop's thread."""
        with self._lock:
            if self._closed:
                work.close()
                raise ClosedError("closed", place=PLACE)
            future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except CancelledError:
            raise ClosedError("closed while it waited", place=PLACE) from None
        except httpx.TransportError as error:
            raise Refused(f"the connection broke ({type(error).__name__}: {str(error)[:200]})") from error
        except (httpx.InvalidURL, httpx.StreamError, httpx.DecodingError) as error:
            raise SourceError(f"an answer cannot be read ({error})", place=PLACE) from error

    def _answer(self, path: str, headers: Mapping[str, str]) -> Answer:
        return self._wait(self._whole(path, headers))

    async def _whole(self, path: str, headers: Mapping[str, str]) -> Answer:
        response = await self._send(self._base + path, path, headers)
        try:
            await response.aread()
        finally:
            await response.aclose()
        return Answer(_lower(response.headers), response.content)

    async def _begin(self, url: str, path: str, headers: Mapping[str, str]) -> Download:
        response = await self._send(url, path, {"Accept-Encoding": "identity", **headers})
        if response.status_code >= 300:
            await response.aclose()
            raise SourceError(f"{path} leads elsewhere, and a token does not go there", place=PLACE)
        return Download(response.status_code, self._pieces(response))

    async def _location(self, path: str) -> str:
        response = await self._send(self._base + path, path, {})
        await response.aclose()
        return cast(str, response.headers.get("location", ""))

    def _pieces(self, response: httpx.Response) -> Iterator[bytes]:
        pieces = response.aiter_bytes(CHUNK)
        try:
            while piece := self._wait(_next(pieces)):
                yield piece
        finally:
            with suppress(ClosedError):
                self._wait(response.aclose())

    async def _send(self, url: str, path: str, headers: Mapping[str, str]) -> httpx.Response:
        """An answer that is a success or a redirection, its body still to come; all else is raised.

        With a `path` the call is one of Graph and carries the token. A token that the service does not accept is
        replaced once, where there is a way to get another.
        """
        for fresh in (False, True):
            request = await self._request(url, path, headers)
            response = await self._http.send(request, stream=True, follow_redirects=not path)
            if response.status_code < 400:
                return response
            try:
                await response.aread()
            finally:
                await response.aclose()
            if response.status_code != 401 or not path or fresh or not self._tokens.forget():
                break
        said = _lower(response.headers)
        raise fault(response.status_code, said, response.content, path.partition("?")[0], self._tokens.advice)

    async def _request(self, url: str, path: str, headers: Mapping[str, str]) -> httpx.Request:
        if not path:
            return self._http.build_request("GET", url, headers=headers)
        info = RequestInformation(Method.GET)
        info.url = url
        for name, value in headers.items():
            info.headers.add(name, value)
        return await self._adapter.convert_to_native_async(info)


class _Tokens(AccessTokenProvider):
    """Tokens for the host of Graph: the one that was given, or those that Entra gives for the app's secret.

    azure-identity keeps a token until shortly before its end. It blocks, so it has a thread of its own.
    """

    def __init__(self, options: Options, base: str) -> None:
        self._options = options
        self._host = AllowedHostsValidator([urlsplit(base).hostname or ""])
        graph = base if base.startswith("https:") else BASE_URL
        self._scope = f"https://{urlsplit(graph).netloc}/.default"
        self._credential: ClientSecretCredential | None = None
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="microsoft-token")
        self.advice = _NEW_TOKEN if options.token else _NEW_SECRET

    async def get_authorization_token(
        self,
        uri: str,
        additional_authentication_context: dict[str, Any] = {},  # noqa: B006  the SDK's signature
    ) -> str:
        """A token; empty for another host."""
        if not self._host.is_url_host_valid(uri):
            return ""
        if self._options.token:
            return self._options.token.reveal()
        return await asyncio.get_running_loop().run_in_executor(self._worker, self._ask)

    def get_allowed_hosts_validator(self) -> AllowedHostsValidator:
        """The host that may see a token."""
        return self._host

    def forget(self) -> bool:
        """Give up the token that was kept. Answers whether another one can be had."""
        if self._options.token is not None:
            return False
        self._worker.submit(self._drop)
        return True

    def close(self) -> None:
        """Let go of connections to Entra."""
        if self._options.token is None:
            self._worker.submit(self._drop)
        self._worker.shutdown(wait=False)

    def _drop(self) -> None:
        credential, self._credential = self._credential, None
        if credential is not None:
            credential.close()

    def _ask(self) -> str:
        try:
            credential = self._credential = self._credential or self._make()
            return credential.get_token(self._scope).token
        except ValueError as error:  # an id that cannot be one
            raise AccessError(f"no token can be asked for: {error}", place=PLACE, advice=_CHECK) from None
        except AzureError as error:
            self._drop()  # it would give the same answer for a minute, without asking
            raise _no_token(error) from None

    def _make(self) -> ClientSecretCredential:
        options = self._options
        authority = options.authority or _LOGIN
        secret = options.client_secret or Sensitive("")
        return ClientSecretCredential(
            options.tenant_id,
            options.client_id,
            secret.reveal(),
            authority=authority,
            disable_instance_discovery=authority != _LOGIN,
            retry_total=0,
            connection_timeout=15,
            read_timeout=30,
        )


@cache
def _trusted() -> ssl.SSLContext:
    """Whom to trust; reading it takes longer than a call."""
    return httpx.create_ssl_context()


async def _next(pieces: AsyncIterator[bytes]) -> bytes:
    return await anext(pieces, b"")


def _no_token(error: AzureError) -> Exception:
    """What it means that there is no token. azure-identity calls everything a fault of authentication, also a service
    that does not answer; a refusal has a number, or is that of an id that cannot be.
    """
    said = str(error.message or error).strip().partition("\n")[0][:300]
    refused = "AADSTS" in said or isinstance(error.__cause__, ValueError)
    if not refused or any(code in said for code in _BUSY):
        return Refused(f"Entra gives no token: {said}", _wait_of(error))
    advice = next((words for code, words in _SIGN_IN.items() if code in said), "")
    return AccessError(f"Entra gives no token: {said}", place=PLACE, advice=advice or _CHECK)


def _wait_of(error: AzureError) -> float | None:
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    return retry_after(headers.get("Retry-After"))


def _lower(headers: httpx.Headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
