"""Slack: `auth.revoke` with the token itself; `auth.test` tells afterwards whether it is dead.

https://docs.slack.dev/reference/methods/auth.revoke and https://docs.slack.dev/reference/methods/auth.test. Slack
answers 200 also where it refuses; `error` says why. A token that is dead gets `invalid_auth`, `token_revoked`,
`token_expired` or `account_inactive`, so asking twice does no harm. App-level tokens (`xapp-`), cookies and webhooks
cannot be revoked like this.
"""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import urlsplit

from keysentry.errors import AccessError, ConfigError, InputError, SourceError, UnclearError
from keysentry.model.action import Credential, Receipt
from keysentry.response.base import Revoker
from keysentry.response.outbound import Outbound, Outgoing, Reply, ask, refused
from keysentry.response.revoke.base import RevokerOptions, Tools, web_text

__all__ = ["Options", "SlackRevoker", "open_revoker"]

_DEAD = frozenset({"invalid_auth", "token_revoked", "token_expired", "account_inactive"})
_LATER = frozenset({"ratelimited", "service_unavailable", "request_timeout"})
_UNCLEAR = frozenset({"fatal_error", "internal_error"})


class Options(RevokerOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings for Slack.

    `base_url`: the address of the Web API, up to `/api`.
    """

    base_url: str = "https://slack.com/api"

    kind: ClassVar[str] = "slack"
    default_handles: ClassVar[tuple[str, ...]] = (
        "slack.bot-token",
        "slack.user-token",
        "slack.legacy-token",
        "slack.rotated-token",
    )


class SlackRevoker:
    """Revokes Slack's tokens."""

    def __init__(self, options: Options, outbound: Outbound) -> None:
        self.name = options.name
        self.handles = options.handled
        self._url = options.base_url.rstrip("/")
        self._host = urlsplit(options.base_url).hostname or ""
        self._outbound = outbound

    def revoke(self, credential: Credential, key: str) -> Receipt:
        """Revoke it."""
        reply = self._outbound.send(self._outgoing("auth.revoke", credential, key, repeatable=False))
        if reply.status != 200:
            raise refused(reply, self._host)
        said = self._said(reply)
        evidence = {"host": self._host, "status": "200", "answer": said}
        if reply.field("ok") is True and reply.field("revoked") is True:
            return Receipt(outcome="done", note="Slack revoked the token", evidence=evidence)
        if said in _DEAD:
            return Receipt(outcome="already", note="Slack does not take the token any more", evidence=evidence)
        raise self._refusal(said)

    def revoked(self, credential: Credential, key: str) -> Receipt | None:
        """Ask `auth.test`."""
        reply = ask(self._outbound, self._outgoing("auth.test", credential, "", repeatable=True))
        said = self._said(reply)
        if said not in _DEAD:
            return None
        evidence = {"host": self._host, "status": str(reply.status), "answer": said}
        return Receipt(outcome="done", note="Slack does not take the token any more", evidence=evidence)

    def _refusal(self, said: str) -> InputError | SourceError:
        if said in _LATER:
            return SourceError(f"Slack answered {said}", place=self._host)
        if said in _UNCLEAR or said == "not revoked":
            return UnclearError(f"Slack answered {said}", place=self._host)
        if said in ("missing_scope", "no_permission", "ekm_access_denied", "access_denied"):
            return AccessError(f"Slack answered {said}", place=self._host, advice="revoke it in the app's settings")
        return InputError(f"Slack answered {said}", place=self._host, advice="revoke it in the app's settings")

    @staticmethod
    def _said(reply: Reply) -> str:
        """Slack's word for what happened."""
        error = reply.field("error")
        if isinstance(error, str) and error.replace("_", "").isalnum():
            return error[:60]
        return "ok" if reply.field("ok") is True and reply.field("revoked") is not False else "not revoked"

    def _outgoing(self, method: str, credential: Credential, key: str, *, repeatable: bool) -> Outgoing:
        headers = {
            "Authorization": f"Bearer {web_text(credential)}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        return Outgoing(
            method="POST",
            url=f"{self._url}/{method}",
            headers=headers,
            hosts=(self._host,),
            shown=self._host,
            repeatable=repeatable,
            key=key,
        )


def open_revoker(options: RevokerOptions, tools: Tools) -> Revoker:
    """Make it."""
    if not isinstance(options, Options):
        raise ConfigError("these are not options of Slack", place=options.name)
    return SlackRevoker(options, tools.outbound)
