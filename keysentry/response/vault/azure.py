"""Azure Key Vault: secrets by its REST interface (https://learn.microsoft.com/en-us/rest/api/keyvault/secrets/).

The role `Key Vault Secrets Officer` on the vault is enough. Names may only hold letters, digits and hyphens: a path is
written as one, with a digest where that changes it. A secret that was deleted and may still be recovered blocks its
name; that is told.
"""

from __future__ import annotations

import re
from typing import ClassVar
from urllib.parse import urlsplit

import msgspec

from keysentry.errors import ChangedError, ConfigError, InputError
from keysentry.model.action import Receipt
from keysentry.model.sensitive import Sensitive
from keysentry.response.base import Vault
from keysentry.response.entra import LOGIN, EntraToken
from keysentry.response.outbound import Outbound, Outgoing, Reply, ask, refused
from keysentry.response.vault.base import VaultOptions, VaultTools, flat, kept_already, kept_now, needed

__all__ = ["AzureVault", "Options", "open_vault"]

API = "7.4"
_ADVICE = "the role Key Vault Secrets Officer on the vault"
_TAGS = 15
_LARGEST = 25 * 1024


class Options(VaultOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings for Azure Key Vault.

    `url`: the vault (`https://NAME.vault.azure.net`); one behind a private endpoint must be named in `allow_private` of
    the outgoing requests. `tenant`, `client_id`, `client_secret`: an application that logs in; without a secret, what
    the machine offers (a managed identity). `scope`: what its token is for, in national clouds. `login_url`: the
    address of the login.
    """

    url: str = ""
    tenant: str = ""
    client_id: str = ""
    client_secret: Sensitive | None = None
    scope: str = "https://vault.azure.net/.default"
    login_url: str = LOGIN

    kind: ClassVar[str] = "azure"
    environment: ClassVar[dict[str, tuple[str, ...]]] = {"client_secret": ("KEYSENTRY_AZURE_VAULT_SECRET",)}

    def check(self) -> None:
        """Raise `ConfigError` for values that do not fit together."""
        needed(self.url.startswith("https://") and self.url, self, "url (https://...)")
        if self.client_secret is not None:
            needed(self.tenant, self, "tenant")
            needed(self.client_id, self, "client_id")


class AzureVault:
    """Keeps secrets in Azure Key Vault."""

    def __init__(self, options: Options, outbound: Outbound) -> None:
        self.name = options.name
        self._options = options
        self._url = options.url.rstrip("/")
        self._host = urlsplit(options.url).hostname or ""
        self._outbound = outbound
        self._token = EntraToken(
            outbound,
            options.name,
            options.scope,
            tenant=options.tenant,
            client_id=options.client_id,
            client_secret=options.client_secret,
            login_url=options.login_url,
        )

    def reference(self, path: str) -> str:
        """`azure-keyvault:HOST/NAME`."""
        return f"azure-keyvault:{self._host}/{self._secret(path)}"

    def put(self, path: str, secret: Sensitive, facts: dict[str, str]) -> Receipt:
        """Keep a secret, as a new version where the name is taken."""
        before = self._read(path)
        if before is not None and before[0] == secret:
            return kept_already(self.reference(path), {"version": before[1]})
        text = self._text(secret)
        tags = {re.sub(r"[^ -~]", "?", name)[:256]: value[:256] for name, value in list(facts.items())[:_TAGS]}
        body = msgspec.json.encode({"value": text, "tags": tags, "contentType": "kept by keysentry"})
        reply = self._outbound.send(self._outgoing("PUT", path, body))
        if reply.status == 409:
            advice = "a deleted secret has this name: purge or recover it, or choose another prefix"
            raise InputError("it answered 409", place=self.name, advice=advice)
        if reply.status != 200:
            raise refused(reply, self.name, _ADVICE)
        after = self._read(path)
        if after is None or after[0] != secret:
            raise ChangedError("what was kept is not what is read back", place=self.name, advice="look at the secret")
        return kept_now(self.reference(path), {"version": after[1]})

    def kept(self, path: str, secret: Sensitive) -> Receipt | None:
        """Whether the current version is this secret."""
        found = self._read(path)
        if found is None or found[0] != secret:
            return None
        return kept_already(self.reference(path), {"version": found[1]})

    def close(self) -> None:
        """Nothing is held open."""

    def _text(self, secret: Sensitive) -> str:
        try:
            text = secret.reveal_bytes().decode()
        except UnicodeDecodeError:
            raise InputError("the secret is not text", place=self.name) from None
        if len(secret) > _LARGEST:
            raise InputError("the secret is larger than Key Vault keeps", place=self.name, advice="25 kB at most")
        return text

    def _read(self, path: str) -> tuple[Sensitive, str] | None:
        """What is kept, and its version; None where there is nothing."""
        reply = ask(self._outbound, self._outgoing("GET", path))
        if reply.status == 404:
            return None
        if reply.status != 200:
            raise refused(reply, self.name, _ADVICE)
        value = reply.field("value")
        return Sensitive(value if isinstance(value, str) else ""), _version(reply)

    def _secret(self, path: str) -> str:
        return flat(self._options.path(path), "0-9A-Za-z-", 127)

    def _outgoing(self, method: str, path: str, body: bytes = b"") -> Outgoing:
        headers = {"Authorization": f"Bearer {self._token.value()}", "Accept": "application/json"}
        if body:
            headers["Content-Type"] = "application/json"
        return Outgoing(
            method=method,
            url=f"{self._url}/secrets/{self._secret(path)}?api-version={API}",
            headers=headers,
            body=body,
            hosts=(self._host,),
            shown=self._host,
            repeatable=True,  # a second version with the same value changes nothing for anyone
        )


def _version(reply: Reply) -> str:
    return str(reply.field("id") or "").rpartition("/")[2]


def open_vault(options: VaultOptions, tools: VaultTools) -> Vault:
    """Make it."""
    if not isinstance(options, Options):
        raise ConfigError("these are not options of Azure Key Vault", place=options.name)
    return AzureVault(options, tools.outbound)
