"""Google Secret Manager, by its REST interface (https://cloud.google.com/secret-manager/docs/reference/rest).

The role `roles/secretmanager.admin`, or a custom one with `secretmanager.secrets.create`, `.versions.add` and
`.versions.access`, is enough. A secret's payload goes with its CRC-32C, so that a byte that was lost on the way is
noticed on the other side.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import ClassVar
from urllib.parse import quote, urlsplit

import msgspec

from keysentry.errors import ChangedError, ConfigError, InputError
from keysentry.model.action import Receipt
from keysentry.model.sensitive import Sensitive
from keysentry.response.base import Vault
from keysentry.response.googleauth import CLOUD_PLATFORM, GoogleToken
from keysentry.response.outbound import Outbound, Outgoing, Reply, ask, refused
from keysentry.response.vault.base import VaultOptions, VaultTools, flat, kept_already, kept_now, needed

__all__ = ["GoogleVault", "Options", "open_vault"]

_ADVICE = "the role roles/secretmanager.admin on the project"
_LARGEST = 64 * 1024
_LABELS = 20
_CASTAGNOLI = 0x82F63B78


class Options(VaultOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings for Google Secret Manager.

    `project`: the project that keeps the secrets. `location`: a region, if they must not leave it (the interface of
    that region is used then). `credentials`: the JSON of the service account's key; without it, what the machine
    offers. `base_url`: another address of the interface.
    """

    project: str = ""
    location: str = ""
    credentials: Sensitive | None = None
    base_url: str = ""

    kind: ClassVar[str] = "google"
    environment: ClassVar[dict[str, tuple[str, ...]]] = {"credentials": ("KEYSENTRY_GOOGLE_VAULT_CREDENTIALS",)}

    def check(self) -> None:
        """Raise `ConfigError` for values that do not fit together."""
        needed(self.project, self, "project")

    @property
    def parent(self) -> str:
        """What secrets are kept under."""
        where = f"/locations/{self.location}" if self.location else ""
        return f"projects/{self.project}{where}"

    @property
    def address(self) -> str:
        """The interface. https://cloud.google.com/secret-manager/regional-secrets/create-regional-secret"""
        region = f".{self.location}.rep" if self.location else ""
        return self.base_url.rstrip("/") or f"https://secretmanager{region}.googleapis.com"


class GoogleVault:
    """Keeps secrets in Google Secret Manager."""

    def __init__(self, options: Options, outbound: Outbound) -> None:
        self.name = options.name
        self._options = options
        self._host = urlsplit(options.address).hostname or ""
        self._outbound = outbound
        self._token = GoogleToken(options.credentials, outbound, options.name, [CLOUD_PLATFORM])

    def reference(self, path: str) -> str:
        """`google-secretmanager:projects/PROJECT/secrets/NAME`."""
        return f"google-secretmanager:{self._secret(path)}"

    def put(self, path: str, secret: Sensitive, facts: dict[str, str]) -> Receipt:
        """Keep a secret as a new version."""
        before = self._read(path)
        if before is not None and before[0] == secret:
            return kept_already(self.reference(path), {"version": before[1]})
        if len(secret) > _LARGEST:
            raise InputError("the secret is larger than Secret Manager keeps", place=self.name, advice="64 KiB at most")
        if before is None:
            self._create(path, facts)
        data = secret.reveal_bytes()
        payload = {"data": base64.b64encode(data).decode(), "dataCrc32c": str(crc32c(data))}
        reply = self._send("POST", f"{self._secret(path)}:addVersion", {"payload": payload})
        if reply.status != 200:
            raise refused(reply, self.name, _ADVICE)
        after = self._read(path)
        if after is None or after[0] != secret:
            raise ChangedError("what was kept is not what is read back", place=self.name, advice="look at the secret")
        return kept_now(self.reference(path), {"version": after[1]})

    def kept(self, path: str, secret: Sensitive) -> Receipt | None:
        """Whether the latest version is this secret."""
        found = self._read(path)
        if found is None or found[0] != secret:
            return None
        return kept_already(self.reference(path), {"version": found[1]})

    def close(self) -> None:
        """Nothing is held open."""

    def _create(self, path: str, facts: dict[str, str]) -> None:
        """Make the secret that versions belong to. That it is there already is fine."""
        labels = {_label(name): _label(value) for name, value in list(facts.items())[:_LABELS] if _label(name)}
        body: dict[str, object] = {"labels": {"made-by": "keysentry", **labels}}
        if not self._options.location:
            body["replication"] = {"automatic": {}}
        name = self._secret(path).rpartition("/")[2]
        reply = self._send("POST", f"{self._options.parent}/secrets?secretId={name}", body)
        if reply.status not in (200, 409):
            raise refused(reply, self.name, _ADVICE)

    def _read(self, path: str) -> tuple[Sensitive, str] | None:
        """The latest version and its number; None where there is none, or it was disabled or destroyed."""
        reply = ask(self._outbound, self._outgoing("GET", f"{self._secret(path)}/versions/latest:access"))
        if reply.status == 404 or (reply.status == 400 and _status(reply) == "FAILED_PRECONDITION"):
            return None
        if reply.status != 200:
            raise refused(reply, self.name, _ADVICE)
        payload = reply.field("payload")
        data = payload.get("data", "") if isinstance(payload, dict) else ""
        try:
            value = base64.b64decode(str(data), validate=True)
        except (binascii.Error, ValueError):
            value = b""
        return Sensitive(value), str(reply.field("name") or "").rpartition("/")[2]

    def _secret(self, path: str) -> str:
        return f"{self._options.parent}/secrets/{flat(self._options.path(path), '0-9A-Za-z_-', 255)}"

    def _send(self, method: str, path: str, body: object) -> Reply:
        return self._outbound.send(self._outgoing(method, path, msgspec.json.encode(body)))

    def _outgoing(self, method: str, path: str, body: bytes = b"") -> Outgoing:
        headers = {"Authorization": f"Bearer {self._token.value()}", "Accept": "application/json"}
        if body:
            headers["Content-Type"] = "application/json"
        return Outgoing(
            method=method,
            url=f"{self._options.address}/v1/{quote(path, safe='/:?=')}",
            headers=headers,
            body=body,
            hosts=(self._host,),
            shown=self._host,
            repeatable=True,  # a second version with the same value changes nothing for anyone
        )


def _status(reply: Reply) -> object:
    error = reply.field("error")
    return error.get("status") if isinstance(error, dict) else None


def _label(text: str) -> str:
    """A label as Google takes it: small letters, digits, `_` and `-`, 63 at most, beginning with a letter."""
    return re.sub(r"[^0-9a-z_-]", "-", text.lower())[:63]


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli; RFC 3720, appendix B.4), bit by bit: secrets are small."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (_CASTAGNOLI if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def open_vault(options: VaultOptions, tools: VaultTools) -> Vault:
    """Make it."""
    if not isinstance(options, Options):
        raise ConfigError("these are not options of Google Secret Manager", place=options.name)
    return GoogleVault(options, tools.outbound)
