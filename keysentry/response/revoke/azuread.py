"""Microsoft Entra ID: the secret of an application is removed from it.

`POST /applications/{id}/removePassword` with the id of the secret
(https://learn.microsoft.com/en-us/graph/api/application-removepassword). Microsoft never shows a secret again, but its
first three characters, the hint
(https://learn.microsoft.com/en-us/graph/api/resources/passwordcredential). The applications of the tenant are
listed, and the one secret whose hint fits is meant. Where several fit, nothing is removed: a person must choose.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, NamedTuple
from urllib.parse import quote, urlsplit

import msgspec

from keysentry.errors import ConfigError, InputError, SourceError
from keysentry.model.action import Credential, Receipt
from keysentry.model.sensitive import Sensitive
from keysentry.response.base import Revoker
from keysentry.response.entra import LOGIN, EntraToken
from keysentry.response.outbound import Outbound, Outgoing, ask, refused
from keysentry.response.revoke.base import RevokerOptions, Tools, needed

__all__ = ["AzureAdRevoker", "Options", "open_revoker"]

_HINT = 3
_ADVICE = "the application permission Application.ReadWrite.All (or .OwnedBy, for applications that it owns)"


class Options(RevokerOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings for Microsoft Entra ID.

    `tenant`: the directory's id or domain. `client_id`, `client_secret`: an application with the permission
    Application.ReadWrite.All; without a secret, what the machine offers (a managed identity). `applications`: ids
    (object id or client id) of applications, if only these come into question. `base_url`, `login_url`: the addresses
    of Microsoft Graph and of the login, for national clouds.
    """

    tenant: str = ""
    client_id: str = ""
    client_secret: Sensitive | None = None
    applications: tuple[str, ...] = ()
    base_url: str = "https://graph.microsoft.com"
    login_url: str = LOGIN

    kind: ClassVar[str] = "azuread"
    default_handles: ClassVar[tuple[str, ...]] = ("azure.ad-client-secret",)
    environment: ClassVar[dict[str, tuple[str, ...]]] = {"client_secret": ("KEYSENTRY_ENTRA_REVOKER_SECRET",)}

    def check(self) -> None:
        """Raise `ConfigError` for values that do not fit together."""
        if self.client_secret is not None:
            needed(self.tenant, self, "tenant")
            needed(self.client_id, self, "client_id")


class Secret(NamedTuple):
    """A secret of an application: the application's object id and name, and the secret's id."""

    application: str
    name: str
    key_id: str


class AzureAdRevoker:
    """Removes secrets of applications."""

    def __init__(self, options: Options, outbound: Outbound) -> None:
        self.name = options.name
        self.handles = options.handled
        self._only = frozenset(options.applications)
        self._graph = options.base_url.rstrip("/")
        self._host = urlsplit(options.base_url).hostname or ""
        self._outbound = outbound
        self._token = EntraToken(
            outbound,
            options.name,
            f"{self._graph}/.default",
            tenant=options.tenant,
            client_id=options.client_id,
            client_secret=options.client_secret,
            login_url=options.login_url,
        )

    def revoke(self, credential: Credential, key: str) -> Receipt:
        """Remove it from its application."""
        found = list(self._fitting(credential))
        if not found:
            raise InputError(
                "no application of this tenant has a secret that begins like this",
                place=self.name,
                advice="it may be of another tenant: tell its owner",
            )
        if len(found) > 1:
            names = ", ".join(sorted({one.name for one in found}))
            raise InputError(
                f"{len(found)} secrets begin like this (of {names})",
                place=self.name,
                advice="remove the right one in the Entra admin center, or name its application in applications",
            )
        secret = found[0]
        url = f"{self._graph}/v1.0/applications/{quote(secret.application, safe='')}/removePassword"
        body = msgspec.json.encode({"keyId": secret.key_id})
        reply = self._outbound.send(self._outgoing(url, "POST", body, key))
        if reply.status != 204:
            raise refused(reply, self.name, _ADVICE)
        left = [one for one in self._fitting(credential) if one.key_id == secret.key_id]
        evidence = {
            "application": secret.application,
            "key id": secret.key_id,
            "status": "204",
            "read back": "not yet gone" if left else "gone",
        }
        return Receipt(outcome="done", note=f"the secret of {secret.name} was removed", evidence=evidence)

    def revoked(self, credential: Credential, key: str) -> Receipt | None:
        """Look whether the secret that was there is gone. `revoke` starts only if there is exactly one."""
        if next(self._fitting(credential), None) is not None:
            return None
        note = "no application of the tenant has a secret that begins like this"
        return Receipt(outcome="nothing", note=note, evidence={"host": self._host})

    def _fitting(self, credential: Credential) -> Iterator[Secret]:
        """The secrets of the applications in question whose hint fits."""
        hint = credential.secret.reveal()[:_HINT]
        url = f"{self._graph}/v1.0/applications?$select=id,appId,displayName,passwordCredentials&$top=50"
        while url:
            reply = ask(self._outbound, self._outgoing(url, "GET"))
            if reply.status != 200:
                raise refused(reply, self.name, _ADVICE)
            if not isinstance(reply.field("value"), list):
                raise SourceError("Graph's list of applications cannot be read", place=self.name)
            for application in _objects(reply.field("value")):
                if self._only and not self._only & {str(application.get("id")), str(application.get("appId"))}:
                    continue
                for one in _objects(application.get("passwordCredentials")):
                    if one.get("hint") == hint and one.get("keyId"):
                        name = str(application.get("displayName") or application.get("appId"))
                        yield Secret(str(application.get("id")), name, str(one["keyId"]))
            url = str(reply.field("@odata.nextLink") or "")

    def _outgoing(self, url: str, method: str, body: bytes = b"", key: str = "") -> Outgoing:
        headers = {"Authorization": f"Bearer {self._token.value()}"}
        if body:
            headers["Content-Type"] = "application/json"
        return Outgoing(
            method=method,
            url=url,
            headers=headers,
            body=body,
            hosts=(self._host,),
            shown=self._host,
            repeatable=method == "GET",
            key=key,
        )


def _objects(node: object) -> list[dict[str, object]]:
    return [one for one in node if isinstance(one, dict)] if isinstance(node, list) else []


def open_revoker(options: RevokerOptions, tools: Tools) -> Revoker:
    """Make it."""
    if not isinstance(options, Options):
        raise ConfigError("these are not options of Microsoft Entra ID", place=options.name)
    return AzureAdRevoker(options, tools.outbound)
