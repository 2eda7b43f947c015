"""Notices as signed webhooks: Standard Webhooks, as `keysentry.webhooks.verify` checks them on the other side.

The id of the notice is the id of the webhook: a receiver that has seen it may answer with 2xx and do nothing, so that
sending it again does no harm. The timestamp is that of the attempt.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, cast

import msgspec

from keysentry.__about__ import VERSION
from keysentry.connectors.base import Notice, Notifier, NotifierOptions, Recipient
from keysentry.errors import ConfigError
from keysentry.model.action import Receipt
from keysentry.model.sensitive import Sensitive
from keysentry.response.notify.post import TIMEOUT, Endpoint
from keysentry.response.notify.wire import document, iso
from keysentry.webhooks import SigningKey, sign, sign_hub, stale

__all__ = ["Options", "open_notifier", "warnings"]


class Options(NotifierOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a webhook can be told.

    `url`: where to send. `secret_url`: the same, where the address itself is a secret. `key`: the key that signs,
    `whsec_...`; with several, separated by blanks, each one signs, so that a receiver can change over. `key_created`:
    when the newest key was made, a date (2026-01-31); one that is older than 30 days is warned of. `hub_secret`: also
    sign in the older form (`X-Hub-Signature-256`), for receivers that know no other. `token`: sent as a bearer token.

    `timeout`: how long to wait for an answer, in seconds. `plain_http`: allow an address that is not encrypted on
    another machine. `ca_file`: certificates of the authority that the receiver's certificate is checked by.
    """

    url: str = ""
    secret_url: Sensitive | None = None
    key: Sensitive | None = None
    key_created: str = ""
    hub_secret: Sensitive | None = None
    token: Sensitive | None = None
    timeout: float = TIMEOUT
    plain_http: bool = False
    ca_file: Path | None = None

    environment: ClassVar[dict[str, tuple[str, ...]]] = {
        "key": ("KEYSENTRY_WEBHOOK_KEY",),
    }
    paths: ClassVar[tuple[str, ...]] = ("ca_file",)


def open_notifier(options: NotifierOptions) -> Notifier:
    """A webhook. Raises `ConfigError`."""
    return Webhook(cast(Options, options))


def warnings(options: Options, now: float | None = None) -> list[str]:
    """What a person should know before it is used: keys that should be replaced. Raises `ConfigError`."""
    old = stale(_keys(options)[:1], now)
    return [f"{options.name}: its signing key was made on {options.key_created}; replace it" for _ in old]


class Webhook:
    """Sends notices to one address."""

    def __init__(self, options: Options, clock: Callable[[], float] = time.time) -> None:
        url = options.secret_url.reveal() if options.secret_url is not None else options.url
        if bool(options.url) == (options.secret_url is not None):
            raise ConfigError("a webhook needs an address", place=options.name, advice="set url or secret_url")
        self._keys = _keys(options)
        self._options = options
        self._clock = clock
        self._endpoint = Endpoint(
            url,
            what=options.name,
            timeout=options.timeout,
            plain_http=options.plain_http,
            ca_file=options.ca_file,
            clock=clock,
        )

    def tell(self, notice: Notice, recipient: Recipient) -> Receipt:
        """See `Notifier`."""
        body = msgspec.json.encode(
            {"type": f"notice.{notice.kind}", "timestamp": iso(notice.time), "data": document(notice, recipient)}
        )
        return self.send(notice.id, body, "application/json")

    def send(self, id: str, body: bytes, content_type: str) -> Receipt:
        """Send a body that is made already, signed."""
        headers = {
            "Content-Type": content_type,
            "User-Agent": f"keysentry/{VERSION}",
            **sign(id, self._clock(), body, self._keys),
            **(sign_hub(body, self._options.hub_secret) if self._options.hub_secret is not None else {}),
            **({"Authorization": f"Bearer {self._options.token.reveal()}"} if self._options.token is not None else {}),
        }
        advice = "check key and token, here and at the receiver"
        answer = self._endpoint.ask("POST", headers, body, again=True, advice=advice)
        evidence = {"status": str(answer.status), "host": self._endpoint.host, "webhook-id": id}
        if stale(self._keys[:1], self._clock()):
            evidence["warning"] = f"the signing key was made on {self._options.key_created}; replace it"
        return Receipt(outcome="done", note=f"sent to {self._endpoint.host}", evidence=evidence)

    def told(self, notice: Notice, recipient: Recipient) -> Receipt | None:
        """Not known; sending it again does no harm, because receivers know webhooks by their ids."""
        return None

    def close(self) -> None:
        """See `Notifier`."""
        self._endpoint.close()


def _keys(options: Options) -> list[SigningKey]:
    """The keys, the newest first. Raises `ConfigError`."""
    if options.key is None:
        advice = "set key, or the variable KEYSENTRY_WEBHOOK_KEY"
        raise ConfigError("a webhook needs a key that signs it", place=options.name, advice=advice)
    created = _date(options)
    found = options.key.reveal().replace(",", " ").split()
    return [SigningKey.of(text, created if number == 0 else None) for number, text in enumerate(found)]


def _date(options: Options) -> float | None:
    from datetime import UTC, datetime

    if not options.key_created:
        return None
    try:
        return datetime.fromisoformat(options.key_created).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise ConfigError("key_created must be a date like 2026-01-31", place=options.name) from None
