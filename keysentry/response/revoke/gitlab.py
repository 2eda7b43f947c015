"""GitLab: tokens end themselves, or, on an instance of your own, an administrator's token ends any of them.

- Personal, project, group and impersonation tokens: `DELETE /personal_access_tokens/self` with the token, 204
  (https://docs.gitlab.com/api/personal_access_tokens/).
- Runner authentication tokens: `DELETE /runners` with the token, 204; the runner is gone with it
  (https://docs.gitlab.com/api/runners/).
- With an administrator's token: `DELETE /admin/token`, 204, for every kind of token that GitLab can identify
  (https://docs.gitlab.com/api/admin/token/; on instances of your own).

A token that is dead gets 401 (a runner's 403), so asking twice does no harm.
"""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import urlencode, urlsplit

import msgspec

from keysentry.errors import ConfigError, InputError
from keysentry.model.action import Credential, Receipt
from keysentry.model.sensitive import Sensitive
from keysentry.response.base import Revoker
from keysentry.response.outbound import Outbound, Outgoing, Reply, ask, refused
from keysentry.response.revoke.base import RevokerOptions, Tools, web_text

__all__ = ["GitLabRevoker", "Options", "open_revoker"]

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_RUNNER = "gitlab.runner-token"


class Options(RevokerOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings for GitLab.

    `base_url`: the instance. `admin_token`: an administrator's personal access token with the scopes `api` and
    `admin_mode`, for tokens that cannot end themselves (deploy, feed, trigger, agent and other tokens).
    """

    base_url: str = "https://gitlab.com"
    admin_token: Sensitive | None = None

    kind: ClassVar[str] = "gitlab"
    default_handles: ClassVar[tuple[str, ...]] = ("gitlab.*",)
    environment: ClassVar[dict[str, tuple[str, ...]]] = {"admin_token": ("KEYSENTRY_GITLAB_ADMIN_TOKEN",)}


class GitLabRevoker:
    """Revokes GitLab's tokens."""

    def __init__(self, options: Options, outbound: Outbound) -> None:
        self.name = options.name
        self.handles = options.handled
        self._admin = options.admin_token
        self._url = f"{options.base_url.rstrip('/')}/api/v4"
        self._host = urlsplit(options.base_url).hostname or ""
        self._outbound = outbound

    def accepts(self, credential: Credential) -> bool:
        """Whether it can be ended: with an administrator's token all can."""
        return self._admin is not None or credential.rule == _RUNNER or credential.rule.startswith("gitlab.pat")

    def revoke(self, credential: Credential, key: str) -> Receipt:
        """End it."""
        if not self.accepts(credential):
            raise InputError(
                "such a token cannot end itself", place=self._host, advice="give this revoker an admin_token"
            )
        by_itself = self._admin is None
        reply = self._outbound.send(self._ending(credential, key))
        evidence = self._evidence(reply)
        if reply.status == 204:
            return Receipt(outcome="done", note="GitLab revoked the token", evidence=evidence)
        if reply.status == 404 or (by_itself and reply.status in (401, 403)):
            if by_itself and reply.status == 403 and credential.rule != _RUNNER:
                raise InputError("the token lives, but may not end itself", place=self._host, advice="set admin_token")
            return Receipt(outcome="already", note="GitLab does not know the token", evidence=evidence)
        if reply.status == 422:
            raise InputError("GitLab cannot end this kind of token", place=self._host)
        raise refused(reply, self._host, "" if by_itself else "admin_token: of an administrator, api and admin_mode")

    def revoked(self, credential: Credential, key: str) -> Receipt | None:
        """Ask whether the token is known. None also where it cannot be asked for: ending it again does no harm."""
        if self._admin is not None:
            token = self._admin.reveal().strip()
            body = msgspec.json.encode({"token": credential.secret.reveal().strip()})
            asked, dead = self._outgoing("POST", "/admin/token", "", token=token, body=body, repeatable=True), {404}
        elif credential.rule == _RUNNER:
            body = urlencode({"token": credential.secret.reveal().strip()}).encode()
            asked, dead = self._outgoing("POST", "/runners/verify", "", body=body, form=True, repeatable=True), {403}
        else:
            token = web_text(credential)
            asked, dead = self._outgoing("GET", "/personal_access_tokens/self", "", token=token, repeatable=True), {401}
        reply = ask(self._outbound, asked)
        if reply.status not in dead and not _inactive(reply):
            return None
        return Receipt(outcome="done", note="GitLab does not take the token any more", evidence=self._evidence(reply))

    def _ending(self, credential: Credential, key: str) -> Outgoing:
        secret = credential.secret.reveal().strip()
        if self._admin is not None:
            body = msgspec.json.encode({"token": secret})
            return self._outgoing("DELETE", "/admin/token", key, token=self._admin.reveal().strip(), body=body)
        if credential.rule == _RUNNER:
            return self._outgoing("DELETE", "/runners", key, body=urlencode({"token": secret}).encode(), form=True)
        return self._outgoing("DELETE", "/personal_access_tokens/self", key, token=web_text(credential))

    def _outgoing(
        self,
        method: str,
        path: str,
        key: str,
        *,
        token: str = "",
        body: bytes = b"",
        form: bool = False,
        repeatable: bool = False,
    ) -> Outgoing:
        headers = dict(_FORM) if form else {"Content-Type": "application/json"} if body else {}
        if token:
            headers["PRIVATE-TOKEN"] = token
        url, host = f"{self._url}{path}", self._host
        return Outgoing(
            method=method,
            url=url,
            headers=headers,
            body=body,
            hosts=(host,),
            shown=host,
            repeatable=repeatable,
            key=key,
        )

    def _evidence(self, reply: Reply) -> dict[str, str]:
        return {"host": self._host, "status": str(reply.status)}


def _inactive(reply: Reply) -> bool:
    """Whether GitLab knows the token and says that it is revoked."""
    return reply.status == 200 and (reply.field("revoked") is True or reply.field("active") is False)


def open_revoker(options: RevokerOptions, tools: Tools) -> Revoker:
    """Make it."""
    if not isinstance(options, Options):
        raise ConfigError("these are not options of GitLab", place=options.name)
    return GitLabRevoker(options, tools.outbound)
