"""Access tokens for Google's interfaces, for revokers and vaults: from a key that was given, or from the surroundings.

A key that was given is exchanged through `Outbound`. Without one, the SDK looks for what the machine offers
(https://cloud.google.com/docs/authentication/application-default-credentials), with its own connections.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from keysentry.errors import AccessError, ConfigError, SourceError
from keysentry.model.sensitive import Sensitive
from keysentry.response.outbound import Outbound, Outgoing
from keysentry.response.quiet import quiet

CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"


class GoogleToken:
    """A token that is renewed when it must be. Safe to use from several threads."""

    def __init__(self, key: Sensitive | None, outbound: Outbound, place: str, scopes: Sequence[str]) -> None:
        """`key` is the JSON of a service account's key."""
        self._key = key
        self._outbound = outbound
        self._place = place
        self._scopes = list(scopes)
        self._lock = threading.Lock()
        self._credentials: Any = None
        self._request: Any = None

    def value(self) -> str:
        """A token that is good now. Raises `AccessError`, `ConfigError` and `SourceError`."""
        import google.auth
        import google.auth.exceptions

        with self._lock, quiet():
            try:
                if self._credentials is None:
                    self._load()
                if not self._credentials.valid:
                    self._credentials.refresh(self._request)
                return str(self._credentials.token)
            except google.auth.exceptions.TransportError:
                fault: Exception = SourceError("no token could be fetched", place=self._place)
            except (msgspec.DecodeError, ValueError, TypeError, KeyError):
                fault = ConfigError("credentials are not the JSON of a service account's key", place=self._place)
            except google.auth.exceptions.GoogleAuthError as error:
                reason = f"Google gives no token ({type(error).__name__})"
                fault = AccessError(reason, place=self._place, advice="look at the service account's key and its state")
        raise fault

    def _load(self) -> None:
        import google.auth

        auth: Any = google.auth
        if self._key is None:
            import google.auth.transport.requests

            self._credentials, _ = auth.default(scopes=self._scopes)
            self._request = auth.transport.requests.Request()
            return
        from google.oauth2 import service_account

        made: Any = service_account.Credentials
        info = msgspec.json.decode(self._key.reveal_bytes(), type=dict)
        self._credentials = made.from_service_account_info(info, scopes=self._scopes)
        self._request = _Through(self._outbound, self._place)


class _Through:
    """What Google's SDK takes for a transport: requests go through `Outbound`, to the host that the key names."""

    def __init__(self, outbound: Outbound, place: str) -> None:
        self._outbound = outbound
        self._place = place

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_more: object,
    ) -> _Response:
        sent = body.encode() if isinstance(body, str) else body or b""
        host = urlsplit(url).hostname or ""
        outgoing = Outgoing(
            method=method,
            url=url,
            headers=dict(headers or {}),
            body=sent,
            hosts=(host,),
            shown=f"{self._place}: {host}",
            repeatable=True,
        )
        reply = self._outbound.send(outgoing)
        return _Response(reply.status, reply.headers, reply.body)


class _Response:
    def __init__(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
        self.status = status
        self.headers = headers
        self.data = data
