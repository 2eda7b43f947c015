"""HashiCorp Vault and OpenBao: the key/value engine, version 2, through hvac.

https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2 and https://openbao.org/api-docs/secret/kv/kv-v2/. A
secret is one field of an entry; facts about it go into the entry's custom metadata, where the token may write them.
Every write checks that the version is still the one that was read (`cas`), so that nothing of another's is lost.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, TypeVar
from urllib.parse import urlsplit

from keysentry.errors import (
    AccessError,
    ChangedError,
    ConfigError,
    GoneError,
    InputError,
    KeysentryError,
    MissingExtraError,
    SourceError,
)
from keysentry.model.action import Receipt
from keysentry.model.sensitive import Sensitive
from keysentry.response.base import Vault
from keysentry.response.quiet import quiet
from keysentry.response.vault.base import VaultOptions, VaultTools, kept_already, kept_now, needed

__all__ = ["HashicorpVault", "Options", "open_vault"]

T = TypeVar("T")

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_FACTS = 16
_NAME = re.compile(r"[0-9A-Za-z_-]+(?:/[0-9A-Za-z_-]+)*")


class Options(VaultOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings for HashiCorp Vault and OpenBao. A token or an AppRole logs in.

    `url`: the server; plain HTTP only on this machine (an agent). `mount`: where the engine is mounted. `field`: the
    field of an entry that holds the secret. `namespace`: the namespace, where there are some. `token`: a token.
    `role_id`, `secret_id`: an AppRole. `approle_mount`: where that method is mounted. `ca_file`: the authority that the
    server's certificate is checked by. `seconds`: how long an answer may take.
    """

    url: str = ""
    mount: str = "secret"
    field: str = "value"
    namespace: str = ""
    token: Sensitive | None = None
    role_id: str = ""
    secret_id: Sensitive | None = None
    approle_mount: str = "approle"
    ca_file: str = ""
    seconds: float = 15.0

    kind: ClassVar[str] = "hashicorp"
    environment: ClassVar[dict[str, tuple[str, ...]]] = {
        "token": ("KEYSENTRY_VAULT_TOKEN", "VAULT_TOKEN"),
        "secret_id": ("KEYSENTRY_VAULT_SECRET_ID",),
    }
    paths: ClassVar[tuple[str, ...]] = ("ca_file",)

    def check(self) -> None:
        """Raise `ConfigError` for values that do not fit together."""
        needed(self.url, self, "url")
        address = urlsplit(self.url)
        if address.scheme != "https" and not (address.scheme == "http" and address.hostname in _LOOPBACK):
            raise ConfigError("url is not HTTPS", place=self.name, advice="plain HTTP is for this machine only")
        if self.token is None and (not self.role_id or self.secret_id is None):
            raise ConfigError("nothing logs in", place=self.name, advice="set token, or role_id and secret_id")
        if not _NAME.fullmatch(self.mount.strip("/")):
            raise ConfigError("mount is not the name of a mount", place=self.name)


class Entry(NamedTuple):
    """An entry as it is: its current version (0: there is none) and its fields (none where it was deleted)."""

    version: int
    fields: dict[str, Any]


class HashicorpVault:
    """Keeps secrets in a key/value engine."""

    def __init__(self, options: Options) -> None:
        self.name = options.name
        self._options = options
        self._mount = options.mount.strip("/")
        self._lock = threading.Lock()
        self._client: Any = None

    def reference(self, path: str) -> str:
        """`vault:MOUNT/PATH#FIELD`."""
        return f"vault:{self._mount}/{self._options.path(path)}#{self._options.field}"

    def put(self, path: str, secret: Sensitive, facts: dict[str, str]) -> Receipt:
        """Keep a secret beside the other fields of its entry, if there are any."""
        whole, text, field = self._options.path(path), _text(secret, self.name), self._options.field
        entry = self._read(whole)
        if entry.fields.get(field) == text:
            return kept_already(self.reference(path), {"version": str(entry.version)})
        self._call(
            lambda kv: kv.create_or_update_secret(
                path=whole, secret={**entry.fields, field: text}, cas=entry.version, mount_point=self._mount
            ),
            "create and update",
            whole,
        )
        seen = self._read(whole)
        if seen.fields.get(field) != text:
            raise ChangedError("what was kept is not what is read back", place=self.name, advice="look at the entry")
        told = self._tell(whole, facts)
        return kept_now(self.reference(path), {"version": str(seen.version), "facts": told})

    def kept(self, path: str, secret: Sensitive) -> Receipt | None:
        """Whether the entry holds this secret."""
        entry = self._read(self._options.path(path))
        if entry.fields.get(self._options.field) != _text(secret, self.name):
            return None
        return kept_already(self.reference(path), {"version": str(entry.version)})

    def get(self, path: str, field: str) -> Sensitive:
        """A field of an entry, by its path without mount and prefix. Raises `GoneError`."""
        value = self._read(path).fields.get(field)
        if not isinstance(value, str):
            raise GoneError(f"there is no field {field!r} at {path}", place=self.name, advice="write it there first")
        return Sensitive(value)

    def close(self) -> None:
        """Let go of connections."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.adapter.close()

    def _read(self, path: str) -> Entry:
        try:
            answer = self._call(
                lambda kv: kv.read_secret_version(path=path, mount_point=self._mount, raise_on_deleted_version=False),
                "read",
                path,
            )
        except GoneError:
            return Entry(0, {})
        try:
            return Entry(int(answer["data"]["metadata"]["version"]), dict(answer["data"]["data"] or {}))
        except (KeyError, TypeError, ValueError):
            raise SourceError("its answer cannot be read", place=self.name, advice="is the engine version 2?") from None

    def _tell(self, path: str, facts: dict[str, str]) -> str:
        """Write facts into the metadata; what came of it. The secret is kept without them as well."""
        told = {name[:128]: value[:512] for name, value in list(facts.items())[:_FACTS] if value}
        if not told:
            return "none"
        try:
            self._call(
                lambda kv: kv.update_metadata(path=path, custom_metadata=told, mount_point=self._mount), "update", path
            )
        except (AccessError, InputError):
            return "not written"
        return "written"

    def _call(self, operation: Callable[[Any], T], needs: str, path: str, again: bool = True) -> T:
        """What an operation on the engine gives. An AppRole whose token has expired logs in once more."""
        try:
            import hvac.exceptions as faults  # before `quiet`, which must know its loggers
            import requests
        except ImportError:
            raise MissingExtraError("HashiCorp Vault", "vault") from None
        fault: KeysentryError
        with quiet():
            try:
                return operation(self._connected().secrets.kv.v2)
            except (faults.Forbidden, faults.Unauthorized):
                fault = AccessError(
                    "it refuses", place=self.name, advice=f"the token needs {needs} on {self._mount}/data/{path}"
                )
            except faults.InvalidPath:
                fault = GoneError("there is nothing", place=self.name)
            except faults.InvalidRequest as error:
                fault = _invalid(str(error), self.name)
            except (faults.VaultError, requests.RequestException, ValueError) as error:
                fault = SourceError(f"it does not answer as it should ({type(error).__name__})", place=self.name)
        if isinstance(fault, AccessError) and self._options.role_id and again:
            self.close()
            return self._call(operation, needs, path, again=False)
        raise fault

    def _connected(self) -> Any:
        import hvac

        with self._lock:
            if self._client is None:
                options = self._options
                client = hvac.Client(
                    url=options.url,
                    token=options.token.reveal().strip() if options.token else "",
                    verify=options.ca_file or True,
                    timeout=options.seconds,
                    allow_redirects=False,
                    namespace=options.namespace or None,
                )
                if options.token is None and options.secret_id is not None:
                    client.auth.approle.login(
                        role_id=options.role_id,
                        secret_id=options.secret_id.reveal().strip(),
                        mount_point=options.approle_mount,
                    )
                self._client = client
            return self._client


def _invalid(said: str, place: str) -> KeysentryError:
    """A request that the server calls invalid: most often another was faster, and the next attempt sees that."""
    if "check-and-set" in said:
        return SourceError("the entry was changed by another at the same moment", place=place)
    return InputError("it calls the request invalid", place=place, advice="look at mount and at the engine's settings")


def _text(secret: Sensitive, place: str) -> str:
    try:
        return secret.reveal_bytes().decode()
    except UnicodeDecodeError:
        raise InputError("the secret is not text", place=place) from None


def open_vault(options: VaultOptions, tools: VaultTools) -> Vault:
    """Make it."""
    if not isinstance(options, Options):
        raise ConfigError("these are not options of HashiCorp Vault", place=options.name)
    return HashicorpVault(options)
