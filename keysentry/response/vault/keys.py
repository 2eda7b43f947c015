"""The key that originals are sealed with, from a key service: it never lies on this machine.

References:

- `aws-kms:CIPHERTEXT[,CIPHERTEXT...]`: data keys that AWS KMS encrypted, in base64; each is decrypted when keysentry
  starts (permission `kms:Decrypt`). `aws kms generate-data-key-without-plaintext --key-id KEY --key-spec AES_256` makes
  one (https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateDataKeyWithoutPlaintext.html).
- `vault:MOUNT/PATH#FIELD`: a field of an entry of HashiCorp Vault or OpenBao that holds keys as a person writes them,
  one a line or between commas.

The first key seals; the others open what was sealed before the key was changed.
"""

from __future__ import annotations

import base64
import binascii
import re

from keysentry.errors import AccessError, ConfigError, GoneError, InputError
from keysentry.response.awsclient import AwsClients, AwsLogin
from keysentry.response.vault import hashicorp
from keysentry.store.sealing import KEY_BYTES, read_key

_VAULT = re.compile(r"([^#]+)#([^#]+)")


def is_key_reference(reference: str) -> bool:
    """Whether a reference is one of a key service's."""
    return reference.startswith(("aws-kms:", "vault:"))


def seal_keys(reference: str, *, aws: AwsLogin | None = None, vault: hashicorp.Options | None = None) -> list[bytes]:
    """The keys that a reference leads to, the current one first.

    Raises `ConfigError` for a reference that leads nowhere, `AccessError` and `SourceError` where the service refuses
    or does not answer.
    """
    kind, _, rest = reference.partition(":")
    if kind == "aws-kms" and rest:
        return _from_kms(rest, aws or AwsLogin())
    match = _VAULT.fullmatch(rest)
    if kind == "vault" and match:
        return _from_vault(match[1], match[2], vault)
    raise ConfigError(
        "this is no reference of a key service", place="seal key", advice="aws-kms:... or vault:PATH#FIELD"
    )


def _from_kms(text: str, login: AwsLogin) -> list[bytes]:
    clients = AwsClients(login, "seal key")
    keys = []
    try:
        for one in filter(None, (part.strip() for part in text.split(","))):
            try:
                blob = base64.b64decode(one, validate=True)
            except (binascii.Error, ValueError):
                raise ConfigError("a ciphertext of AWS KMS is not base64", place="seal key") from None
            keys.append(_decrypted(clients, blob))
    finally:
        clients.close()
    if not keys:
        raise ConfigError("the reference holds no ciphertext", place="seal key")
    return keys


def _decrypted(clients: AwsClients, blob: bytes) -> bytes:
    try:
        told = clients.call("kms", lambda kms: kms.decrypt(CiphertextBlob=blob), "kms:Decrypt")
    except (InputError, GoneError) as error:
        advice = "look at the ciphertext, and at the state and region of its key"
        raise AccessError(error.reason, place="seal key", advice=advice) from None
    key = bytes(told["Plaintext"])
    if len(key) != KEY_BYTES:
        raise ConfigError(f"the data key has {len(key)} bytes", place="seal key", advice="make it with AES_256")
    return key


def _from_vault(path: str, field: str, options: hashicorp.Options | None) -> list[bytes]:
    if options is None:
        raise ConfigError("no vault of kind hashicorp is configured", place="seal key", advice="configure one")
    mount = f"{options.mount.strip('/')}/"
    if not path.startswith(mount):
        raise ConfigError(f"the path does not begin with the vault's mount ({mount})", place="seal key")
    options.check()
    vault = hashicorp.HashicorpVault(options)
    try:
        text = vault.get(path.removeprefix(mount), field).reveal()
    finally:
        vault.close()
    keys = [read_key(one, "seal key") for one in re.split(r"[\s,]+", text) if one]
    if not keys:
        raise ConfigError(f"the field {field!r} is empty", place="seal key")
    return keys
