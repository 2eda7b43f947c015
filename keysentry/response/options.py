"""What response as a whole can be told."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from keysentry.model.sensitive import Sensitive


class ResponseOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How actions are carried out.

    `seal_key`: 32 bytes in hexadecimal or base64; what is found is kept sealed with it, and without it nothing can be
    held, released or revoked. `old_seal_keys`: earlier ones, until `keysentry store rotate-key` has ended.
    `seal_key_service`: where the key comes from instead: `aws-kms:BASE64` (an encrypted data key) or
    `vault:PATH#FIELD`. `workers`: how many
    actions at a time. `lease`: seconds that a worker has an action to itself unless it renews that. `attempts`: how
    often an action is tried before it needs a person. `longest_backoff`: seconds between two tries, at most. `poll`:
    seconds between two looks for actions that other processes filed. `contact`: whom people can ask, as notices and
    placeholders name it. `templates`: a folder whose texts replace the built-in ones. `language`: of placeholders.
    """

    seal_key: Sensitive | None = None
    old_seal_keys: Sensitive | None = None
    seal_key_service: str = ""
    workers: int = 4
    lease: float = 120.0
    attempts: int = 8
    longest_backoff: float = 900.0
    poll: float = 0.5
    contact: str = ""
    templates: str = ""
    language: str = "en"

    environment: ClassVar[dict[str, tuple[str, ...]]] = {
        "seal_key": ("KEYSENTRY_SEAL_KEY",),
        "old_seal_keys": ("KEYSENTRY_OLD_SEAL_KEYS",),
    }
    paths: ClassVar[tuple[str, ...]] = ("templates",)
