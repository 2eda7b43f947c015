"""AWS Secrets Manager. Permissions: `secretsmanager:CreateSecret`, `PutSecretValue`, `GetSecretValue`, `TagResource`.

https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html and API_PutSecretValue.html. The
`ClientRequestToken` is made from the path and the secret's digest: a request that comes twice makes one version.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any, ClassVar

from keysentry.errors import ChangedError, ConfigError, GoneError, InputError
from keysentry.model.action import Receipt
from keysentry.model.sensitive import Sensitive
from keysentry.response.awsclient import AwsClients, AwsLogin
from keysentry.response.base import Vault
from keysentry.response.vault.base import VaultOptions, VaultTools, kept_already, kept_now

__all__ = ["AwsVault", "Options", "open_vault"]

_TAG = re.compile(r"[^0-9A-Za-z _.:/=+@-]")
_TAGS = 20


class Options(VaultOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings for AWS Secrets Manager. Without any credentials here, those that the AWS command line would use count.

    `region`: where the secrets are kept. `kms_key`: the key that they are encrypted with; the account's own if empty.
    `profile`: a profile of the AWS configuration files. `role_arn`, `external_id`: a role to take on, and the id that
    its owner asks for. `access_key_id`, `secret_access_key`, `session_token`: credentials, where no chain of the SDK
    shall be followed. `base_url`: another address of the interface.
    """

    region: str = ""
    kms_key: str = ""
    profile: str = ""
    role_arn: str = ""
    external_id: str = ""
    access_key_id: Sensitive | None = None
    secret_access_key: Sensitive | None = None
    session_token: Sensitive | None = None
    base_url: str = ""

    kind: ClassVar[str] = "aws"
    environment: ClassVar[dict[str, tuple[str, ...]]] = {
        "access_key_id": ("KEYSENTRY_AWS_VAULT_ACCESS_KEY_ID",),
        "secret_access_key": ("KEYSENTRY_AWS_VAULT_SECRET_ACCESS_KEY",),
        "session_token": ("KEYSENTRY_AWS_VAULT_SESSION_TOKEN",),
    }

    def login(self) -> AwsLogin:
        """How to log in."""
        return AwsLogin(
            self.region,
            self.profile,
            self.role_arn,
            self.external_id,
            self.access_key_id,
            self.secret_access_key,
            self.session_token,
            self.base_url,
        )


class AwsVault:
    """Keeps secrets in AWS Secrets Manager."""

    def __init__(self, options: Options) -> None:
        self.name = options.name
        self._options = options
        self._clients = AwsClients(options.login(), options.name)

    def reference(self, path: str) -> str:
        """`aws-secretsmanager:NAME`."""
        return f"aws-secretsmanager:{self._options.path(path)}"

    def put(self, path: str, secret: Sensitive, facts: dict[str, str]) -> Receipt:
        """Keep a secret: in a new entry, or as a new version of the one that is there."""
        whole = self._options.path(path)
        before = self._read(whole)
        if before is not None and before[0] == secret:
            return kept_already(self.reference(path), {"version": before[1]})
        token = _token(whole, secret)
        if before is None:
            self._create(whole, secret, token, facts)
        else:
            self._put(whole, secret, token)
        after = self._read(whole)
        if after is None or after[0] != secret:
            raise ChangedError("what was kept is not what is read back", place=self.name, advice="look at the entry")
        return kept_now(self.reference(path), {"version": after[1]})

    def kept(self, path: str, secret: Sensitive) -> Receipt | None:
        """Whether the entry's current version is this secret."""
        found = self._read(self._options.path(path))
        if found is None or found[0] != secret:
            return None
        return kept_already(self.reference(path), {"version": found[1]})

    def close(self) -> None:
        """Let go of connections."""
        self._clients.close()

    def _read(self, name: str) -> tuple[Sensitive, str] | None:
        """What is kept, and its version; None where there is nothing."""
        try:
            told = self._call(lambda client: client.get_secret_value(SecretId=name), "GetSecretValue")
        except GoneError:
            return None
        value = told.get("SecretString")
        kept = Sensitive(value if value is not None else told.get("SecretBinary", b""))
        return kept, str(told.get("VersionId", ""))

    def _create(self, name: str, secret: Sensitive, token: str, facts: dict[str, str]) -> None:
        tags = [
            {"Key": _TAG.sub("-", key)[:128], "Value": _TAG.sub("-", value)[:256]}
            for key, value in list(facts.items())[:_TAGS]
        ]
        asked = {"Name": name, "ClientRequestToken": token, "Tags": tags, **_value(secret)}
        if self._options.kms_key:
            asked["KmsKeyId"] = self._options.kms_key
        self._call(lambda client: client.create_secret(**asked), "CreateSecret and secretsmanager:TagResource")

    def _put(self, name: str, secret: Sensitive, token: str) -> None:
        self._call(
            lambda client: client.put_secret_value(SecretId=name, ClientRequestToken=token, **_value(secret)),
            "PutSecretValue",
        )

    def _call(self, operation: Callable[[Any], Any], needs: str) -> Any:
        try:
            return self._clients.call("secretsmanager", operation, f"secretsmanager:{needs}")
        except InputError as error:
            refused = error
        advice = "if it is scheduled for deletion, restore it or choose another prefix"
        raise InputError(refused.reason, place=self.name, advice=advice)


def _value(secret: Sensitive) -> dict[str, Any]:
    try:
        return {"SecretString": secret.reveal_bytes().decode()}
    except UnicodeDecodeError:
        return {"SecretBinary": secret.reveal_bytes()}


def _token(name: str, secret: Sensitive) -> str:
    """32 to 64 characters, the same for the same secret in the same place; it tells nothing of the secret."""
    inner = hashlib.sha256(secret.reveal_bytes()).digest()
    return hashlib.sha256(b"keysentry vault\x00" + name.encode() + b"\x00" + inner).hexdigest()


def open_vault(options: VaultOptions, tools: VaultTools) -> Vault:
    """Make it."""
    if not isinstance(options, Options):
        raise ConfigError("these are not options of AWS Secrets Manager", place=options.name)
    return AwsVault(options)
