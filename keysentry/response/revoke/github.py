"""GitHub: the credential revocation interface, which takes tokens of anyone who found them, without logging in.

https://docs.github.com/en/rest/credentials/revoke: `POST /credentials/revoke` takes up to 1,000 personal access tokens,
OAuth tokens, and user and refresh tokens of GitHub Apps in one request, and 60 requests an hour from one address; a
request with a credential of ours would be refused. It answers 202, and the tokens die a little later; their owners are
told. Tokens of an installation end themselves: `DELETE /installation/token`
(https://docs.github.com/en/rest/apps/installations#revoke-an-installation-access-token).

The first interface answers 202 to tokens that were dead before as well, so it can be sent again without harm; whether
a token is dead is asked with `GET /user`, which answers 401 then.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import ClassVar
from urllib.parse import urlsplit

import msgspec

from keysentry.connectors.pace import Clock
from keysentry.errors import ConfigError, InputError, SourceError
from keysentry.model.action import Credential, Receipt
from keysentry.response.base import Revoker
from keysentry.response.outbound import Outbound, Outgoing, Reply, ask, refused
from keysentry.response.revoke.base import RevokerOptions, Tools, web_text

__all__ = ["GitHubRevoker", "Options", "open_revoker"]

LARGEST = 1000
_INSTALLATION = "ghs_"
_REFRESH = "ghr_"


class Options(RevokerOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings for GitHub.

    `base_url`: the address of the interface (of a GitHub Enterprise server: `https://HOST/api/v3`, which ends tokens of
    installations only). `per_hour`: how many revocations an hour at most; GitHub takes 60 from one address.
    """

    base_url: str = "https://api.github.com"
    per_hour: int = 60

    kind: ClassVar[str] = "github"
    default_handles: ClassVar[tuple[str, ...]] = (
        "github.pat-*",
        "github.oauth-token",
        "github.app-*",
    )


class GitHubRevoker:
    """Revokes GitHub's tokens, one or up to 1,000 in a request."""

    largest = LARGEST

    def __init__(self, options: Options, outbound: Outbound, clock: Clock = time.monotonic) -> None:
        self.name = options.name
        self.handles = options.handled
        self._url = options.base_url.rstrip("/")
        self._host = urlsplit(options.base_url).hostname or ""
        self._outbound = outbound
        self._hourly = _Hourly(options.per_hour, clock)

    def revoke(self, credential: Credential, key: str) -> Receipt:
        """Revoke one."""
        if not credential.secret.reveal().startswith(_INSTALLATION):
            return self.revoke_many([credential], key)
        reply = self._outbound.send(self._outgoing("DELETE", "/installation/token", key, token=web_text(credential)))
        if reply.status == 401:
            return Receipt(outcome="already", note="GitHub does not know the token", evidence=self._evidence(reply))
        if reply.status != 204:
            raise refused(reply, self._host)
        return Receipt(outcome="done", note="GitHub revoked the installation token", evidence=self._evidence(reply))

    def revoke_many(self, credentials: Sequence[Credential], key: str) -> Receipt:
        """Revoke up to 1,000 that are not tokens of installations in one request."""
        tokens = list(dict.fromkeys(web_text(credential) for credential in credentials))
        if not 0 < len(tokens) <= LARGEST or any(token.startswith(_INSTALLATION) for token in tokens):
            raise InputError(f"GitHub takes 1 to {LARGEST} tokens of persons and apps in one request", place=self.name)
        body = msgspec.json.encode({"credentials": tokens})
        self._hourly.take(self._host)
        reply = self._outbound.send(self._outgoing("POST", "/credentials/revoke", key, body=body))
        if reply.status == 422:
            raise InputError("GitHub does not take this kind of credential", place=self._host)
        if reply.status != 202:
            raise refused(reply, self._host)
        evidence = {**self._evidence(reply), "tokens in the request": str(len(tokens))}
        return Receipt(outcome="done", note="GitHub accepted the revocation", evidence=evidence)

    def revoked(self, credential: Credential, key: str) -> Receipt | None:
        """Ask GitHub with the token itself. A refresh token cannot be asked for; revoking it again does no harm."""
        token = web_text(credential)
        if token.startswith(_REFRESH):
            return None
        path = "/installation/repositories?per_page=1" if token.startswith(_INSTALLATION) else "/user"
        reply = ask(self._outbound, self._outgoing("GET", path, "", token=token, repeatable=True))
        if reply.status != 401:
            return None
        return Receipt(outcome="done", note="GitHub does not know the token any more", evidence=self._evidence(reply))

    def _outgoing(
        self, method: str, path: str, key: str, *, body: bytes = b"", token: str = "", repeatable: bool = False
    ) -> Outgoing:
        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
        if body:
            headers["Content-Type"] = "application/json"
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return Outgoing(
            method=method,
            url=f"{self._url}{path}",
            headers=headers,
            body=body,
            hosts=(self._host,),
            shown=self._host,
            repeatable=repeatable,
            key=key,
        )

    def _evidence(self, reply: Reply) -> dict[str, str]:
        return {"host": self._host, "status": str(reply.status)}


class _Hourly:
    """So many in any hour. Nobody waits here: what is too much comes back later, and others go on meanwhile."""

    def __init__(self, most: int, clock: Clock) -> None:
        self._most = most
        self._clock = clock
        self._taken: deque[float] = deque()
        self._lock = threading.Lock()

    def take(self, place: str) -> None:
        """Count one. Raises `SourceError` if there were too many."""
        with self._lock:
            now = self._clock()
            while self._taken and self._taken[0] <= now - 3600:
                self._taken.popleft()
            if len(self._taken) >= self._most:
                wait = self._taken[0] + 3600 - now
                raise SourceError(
                    f"{self._most} revocations were sent within the hour; the next goes in {wait:,.0f} s", place=place
                )
            self._taken.append(now)


def open_revoker(options: RevokerOptions, tools: Tools) -> Revoker:
    """Make it."""
    if not isinstance(options, Options):
        raise ConfigError("these are not options of GitHub", place=options.name)
    return GitHubRevoker(options, tools.outbound)
