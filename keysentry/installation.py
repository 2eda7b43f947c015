"""The two things that a machine keeps for keysentry: a folder of compiled Programs, and the key of its fingerprints.

`KEYSENTRY_CACHE_DIR` and `KEYSENTRY_KEY` override both. Without a key in the environment one is made at its first
use and kept, readable by its owner only, in the user's data folder.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import TYPE_CHECKING

from keysentry.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_KEY_BYTES = 32


def _user_folder(kind: str) -> str:
    """The user's cache or data folder, as the platform has it (XDG base directories on Linux)."""
    home = os.path.expanduser("~")  # noqa: PTH111  at every start: importing pathlib takes longer than all of this
    if sys.platform == "win32":
        return os.path.join(os.environ.get("LOCALAPPDATA", rf"{home}\AppData\Local"), "keysentry", kind)  # noqa: PTH118
    if sys.platform == "darwin":
        return f"{home}/Library/{'Caches' if kind == 'cache' else 'Application Support'}/keysentry"
    variable, usual = ("XDG_CACHE_HOME", ".cache") if kind == "cache" else ("XDG_DATA_HOME", ".local/share")
    return f"{os.environ.get(variable) or f'{home}/{usual}'}/keysentry"


def cache_folder() -> str:
    """Where compiled Programs are kept. It need not exist."""
    return os.environ.get("KEYSENTRY_CACHE_DIR") or _user_folder("cache")


def data_folder() -> str:
    """Where what must be kept is kept: the key, and the store that nobody named a place for. It need not exist."""
    return _user_folder("data")


@cache
def key() -> bytes:
    """The installation's key for fingerprints.

    Raises `ConfigError` if `KEYSENTRY_KEY` is set but shorter than 16 characters. Where no key can be kept, a
    warning says that fingerprints will differ from run to run.
    """
    given = os.environ.get("KEYSENTRY_KEY")
    if given is not None:
        if len(given) < 16:
            raise ConfigError("the key is too short", place="KEYSENTRY_KEY", advice="use 16 characters or more")
        return given.encode()
    place = f"{data_folder()}/fingerprint.key"
    try:
        with open(place, "rb") as file:  # noqa: PTH123  at the first finding: pathlib would take longer
            return file.read().strip()
    except OSError:
        pass  # it is made, or told
    import secrets
    import warnings
    from pathlib import Path

    path = Path(place)
    try:
        return _kept_key(path)
    except OSError as error:
        warnings.warn(
            f"{path}: {error.strerror}; fingerprints will differ in the next run (set KEYSENTRY_KEY against that)",
            stacklevel=2,
        )
        return secrets.token_bytes(_KEY_BYTES)


def _kept_key(path: Path) -> bytes:
    """Read the key file, or make it; of two processes that make it at once, the first one's is used by both."""
    import secrets

    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    if not path.exists():
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(_KEY_BYTES))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_bytes().strip()


def key_id(fingerprint_key: bytes) -> str:
    """Names a key without telling it, so that fingerprints made with different keys are never compared."""
    import hashlib
    import hmac

    return hmac.new(fingerprint_key, b"keysentry key id", hashlib.sha256).hexdigest()[:12]
