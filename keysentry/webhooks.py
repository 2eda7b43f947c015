"""Requests that prove where they come from: signing what is sent, and checking what is received.

Sent by keysentry, and by whoever keeps to Standard Webhooks (https://www.standardwebhooks.com): `webhook-id`,
`webhook-timestamp` and `webhook-signature`, where the signature is HMAC-SHA256 over `{id}.{timestamp}.{body}`. A
receiver needs no more than this:

    from keysentry.webhooks import verify
    verify(request.headers, request.body, [os.environ["WEBHOOK_KEY"]])

Two older forms are understood for what others send: Slack's (`verify_slack`), and the bare `sha256=` (`verify_hub`).

Invariants. The body is checked as it came, byte for byte: whoever parses it first and writes it again breaks the
signature. Signatures are compared in constant time. No error tells a key, or the signature that would have been right.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
import re
import secrets
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from keysentry.errors import ConfigError, WebhookError
from keysentry.model.sensitive import Sensitive

TOLERANCE: Final = 300.0
"""How old a request may be, and how far ahead of our clock, in seconds."""
STALE_AFTER: Final = 30 * 86400.0
"""The age at which a key should be replaced, in seconds."""
HUB_HEADER: Final = "X-Hub-Signature-256"

_PREFIX = "whsec_"
_SHORTEST, _LONGEST = 24, 64
_SIGNATURES = 32
"""How many signatures of one request are looked at."""
_ID = re.compile(r"[!-\-/-~]{1,255}")
"""Visible ASCII without the full stop, which separates the id from what follows it in what is signed."""
_STAMP = re.compile(r"[0-9]{1,12}")


class SigningKey(NamedTuple):
    """A key that signs: `whsec_` and base64 of 24 to 64 random bytes. `created` is when it was made (UTC seconds), or
    None where that is not known.
    """

    secret: Sensitive
    created: float | None = None

    @classmethod
    def of(cls, text: str | Sensitive, created: float | None = None) -> SigningKey:
        """A key as it is written down. Raises `ConfigError`."""
        key = cls(text if isinstance(text, Sensitive) else Sensitive(text), created)
        key.value()
        return key

    @classmethod
    def generate(cls, now: float | None = None) -> SigningKey:
        """A new one, of 32 random bytes."""
        text = _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
        return cls(Sensitive(text), time.time() if now is None else now)

    def value(self) -> bytes:
        """The key itself. Raises `ConfigError`, which does not tell it."""
        text = self.secret.reveal().strip().removeprefix(_PREFIX)
        try:
            key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise ConfigError("a signing key is no base64", place="webhooks", advice=_ADVICE) from None
        if not _SHORTEST <= len(key) <= _LONGEST:
            raise ConfigError(
                f"a signing key has {len(key)} bytes; it must have {_SHORTEST} to {_LONGEST}",
                place="webhooks",
                advice=_ADVICE,
            )
        return key


_ADVICE = "it is whsec_ and the base64 of 24 to 64 random bytes"

Key = SigningKey | Sensitive | str


class Seen:
    """A memory of requests, so that none is believed twice. Safe to use from several threads.

    It keeps what is younger than `keep` seconds, `size` requests at most; the oldest are forgotten first. It is for one
    process: where several receive, what must happen once needs the request's id in a store that they share.
    """

    def __init__(self, keep: float = 2 * TOLERANCE, size: int = 100_000) -> None:
        self._keep = keep
        self._size = size
        self._lock = threading.Lock()
        self._times: dict[str, float] = {}

    def first(self, request: str, now: float) -> bool:
        """Whether a request was not seen before; from now on it was."""
        with self._lock:
            known = self._times.get(request)
            if known is not None and now - known <= self._keep:
                return False
            self._times.pop(request, None)
            while self._times:
                oldest = next(iter(self._times))
                if now - self._times[oldest] <= self._keep and len(self._times) < self._size:
                    break
                del self._times[oldest]
            self._times[request] = now
            return True


# -- Standard Webhooks ------------------------------------------------------------------------------------------------


def sign(id: str, timestamp: float, body: bytes, keys: Sequence[Key]) -> dict[str, str]:
    """The headers of a request. `id` is the same whenever the same thing is sent again, `timestamp` (UTC seconds) is
    that of this attempt. With several keys each one signs, so that a receiver may have any of them.

    Raises `ConfigError` for keys that cannot be used, and for an id that is empty, too long, or holds a full stop.
    """
    if not _ID.fullmatch(id):
        raise ConfigError("the id of a webhook must be 1 to 255 visible ASCII characters without a full stop", place=id)
    stamp = str(int(timestamp))
    signatures = [f"v1,{_standard(key, id, stamp, body)}" for key in _keys(keys)]
    return {"webhook-id": id, "webhook-timestamp": stamp, "webhook-signature": " ".join(signatures)}


def verify(
    headers: Mapping[str, str],
    body: bytes,
    keys: Sequence[Key],
    *,
    now: float | None = None,
    tolerance: float = TOLERANCE,
    seen: Seen | None = None,
) -> None:
    """Believe a request, or raise `WebhookError`. Header names may be in any case.

    Any of `keys` may have signed it. `seen` refuses an attempt that came before; a sender's own retry is another
    attempt with another timestamp, and passes: what must happen once is told apart by the id. Raises `ConfigError`
    for keys that cannot be used, whatever the request.
    """
    usable = _keys(keys)
    found = _lowered(headers)
    id, stamp = _needed(found, "webhook-id"), _needed(found, "webhook-timestamp")
    signatures = _needed(found, "webhook-signature")
    if not _ID.fullmatch(id):
        raise _refused("the id is not one that can be signed")
    when = _fresh(stamp, now, tolerance)
    given = [value for version, _, value in (one.partition(",") for one in signatures.split()) if version == "v1"]
    if not given:
        raise _refused("there is no signature of version v1")
    right = [_standard(key, id, stamp, body) for key in usable]
    if not _any_equal(right, given[:_SIGNATURES]):
        raise _refused(
            "no signature is right", "sender and receiver must have a key in common, and the body as it came"
        )
    _once(seen, f"{id}.{stamp}", when)


def stale(keys: Iterable[SigningKey], now: float | None = None) -> list[SigningKey]:
    """The keys that are older than 30 days and should be replaced."""
    today = time.time() if now is None else now
    return [key for key in keys if key.created is not None and today - key.created > STALE_AFTER]


def _keys(keys: Sequence[Key]) -> list[bytes]:
    if isinstance(keys, str | Sensitive):
        keys = [keys]
    found = [(key if isinstance(key, SigningKey) else SigningKey.of(key)).value() for key in keys]
    if not found:
        raise ConfigError("there is no signing key", place="webhooks", advice=_ADVICE)
    return found


def _standard(key: bytes, id: str, stamp: str, body: bytes) -> str:
    signed = f"{id}.{stamp}.".encode() + body
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


# -- Slack's form, and the bare one -----------------------------------------------------------------------------------


def verify_slack(
    headers: Mapping[str, str],
    body: bytes,
    signing_secret: Sensitive | str,
    *,
    now: float | None = None,
    tolerance: float = TOLERANCE,
    seen: Seen | None = None,
) -> None:
    """Believe a request of Slack's, or raise `WebhookError`: `v0=` and HMAC-SHA256 over `v0:{timestamp}:{body}`, in hex
    (https://docs.slack.dev/authentication/verifying-requests-from-slack). `signing_secret` is the app's.
    """
    key = _secret(signing_secret)
    found = _lowered(headers)
    stamp, signature = _needed(found, "x-slack-request-timestamp"), _needed(found, "x-slack-signature")
    when = _fresh(stamp, now, tolerance)
    right = "v0=" + hmac.new(key, b"v0:" + stamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    if not _any_equal([right], [signature]):
        raise _refused("the signature is not right", "the signing secret is under Basic Information of the app")
    _once(seen, signature, when)


def sign_hub(body: bytes, secret: Sensitive | str) -> dict[str, str]:
    """The header of the older form: `sha256=` and HMAC-SHA256 over the body, in hex."""
    return {HUB_HEADER: _hub(_secret(secret), body)}


def verify_hub(headers: Mapping[str, str], body: bytes, secret: Sensitive | str, *, header: str = HUB_HEADER) -> None:
    """Believe a request in the older form, or raise `WebhookError`
    (https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries).

    The form signs neither an id nor a time: that a request is sent again by somebody who saw it cannot be told from it.
    """
    if not _any_equal([_hub(_secret(secret), body)], [_needed(_lowered(headers), header.lower())]):
        raise _refused("the signature is not right")


def _hub(key: bytes, body: bytes) -> str:
    return "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()


def _secret(secret: Sensitive | str) -> bytes:
    key = secret.reveal_bytes() if isinstance(secret, Sensitive) else secret.encode()
    if not key:
        raise ConfigError("the secret that requests are signed with is empty", place="webhooks")
    return key


# -- what all forms share ---------------------------------------------------------------------------------------------


def _lowered(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers by their names in small letters; of a name that is there twice, neither is believed."""
    found: dict[str, str] = {}
    for name, value in headers.items():
        key = name.lower()
        found[key] = "" if key in found else value
    return found


def _needed(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "")
    if not value:
        raise _refused(f"the header {name} is missing, empty or there twice")
    return value


def _fresh(stamp: str, now: float | None, tolerance: float) -> float:
    """What time it is, if the timestamp is near it."""
    current = time.time() if now is None else now
    if not _STAMP.fullmatch(stamp):
        raise _refused("the timestamp is no number of seconds")
    age = current - int(stamp)
    if math.isnan(age) or abs(age) > tolerance:
        how = "old" if age > 0 else "far in the future"
        raise _refused(f"the request is too {how} ({abs(age):,.0f} s)", "compare the clocks of sender and receiver")
    return current


def _any_equal(right: Sequence[str], given: Sequence[str]) -> bool:
    """Whether one of the given is one of the right ones. All are compared: time tells nothing of which."""
    found = False
    for one in given:
        for other in right:
            found |= hmac.compare_digest(other.encode(), one.encode("utf-8", "replace"))
    return found


def _once(seen: Seen | None, request: str, now: float) -> None:
    if seen is not None and not seen.first(request, now):
        raise _refused("the request was seen before")


def _refused(reason: str, advice: str = "") -> WebhookError:
    return WebhookError(reason, place="webhook", advice=advice)
