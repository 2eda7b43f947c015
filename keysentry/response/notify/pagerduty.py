"""Notices as alerts in PagerDuty, by its Events API v2 (https://developer.pagerduty.com/docs/events-api-v2/overview/).

`dedup_key` is the id of the notice: an event that is sent again joins the alert that it made. Whoever resolves an alert
before it is sent again is alerted anew; the other side offers no more than that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final, cast

import msgspec
from msgspec import structs

from keysentry.__about__ import VERSION
from keysentry.connectors.base import Notice, Notifier, NotifierOptions, Recipient
from keysentry.errors import ConfigError
from keysentry.model.action import Receipt
from keysentry.model.sensitive import Sensitive
from keysentry.response.notify.post import TIMEOUT, Endpoint
from keysentry.response.notify.wire import facts_of, iso, text_of

__all__ = ["Options", "event", "open_notifier"]

_SEVERITIES: Final = {"critical": "critical", "high": "error", "medium": "warning", "low": "info"}
_SUMMARY = 1024
"""How long a summary may be, in characters."""
_LARGEST = 512 * 1024
"""How large an event may be, in bytes."""


class Options(NotifierOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What PagerDuty can be told.

    `routing_key`: the integration key of a service's or a ruleset's Events API v2 integration. `base_url`: another
    address of the interface (`https://events.eu.pagerduty.com` in the EU). `timeout`: how long to wait for an answer,
    in seconds.
    """

    routing_key: Sensitive | None = None
    base_url: str = "https://events.pagerduty.com"
    timeout: float = TIMEOUT

    environment: ClassVar[dict[str, tuple[str, ...]]] = {"routing_key": ("PAGERDUTY_ROUTING_KEY",)}


def open_notifier(options: NotifierOptions) -> Notifier:
    """PagerDuty. Raises `ConfigError`."""
    return PagerDuty(cast(Options, options))


class PagerDuty:
    """Triggers alerts of one integration."""

    def __init__(self, options: Options) -> None:
        if options.routing_key is None:
            advice = "set routing_key, or the variable PAGERDUTY_ROUTING_KEY"
            raise ConfigError("PagerDuty needs the integration key", place=options.name, advice=advice)
        self._key = options.routing_key
        self._endpoint = Endpoint(options.base_url, what=options.name, timeout=options.timeout)

    def tell(self, notice: Notice, recipient: Recipient) -> Receipt:
        """See `Notifier`."""
        body = self._encoded(event(notice))
        if len(body) > _LARGEST:
            few = notice.facts | {"incidents": facts_of(notice)[:10]}
            body = self._encoded(event(structs.replace(notice, text=notice.text[:20_000], facts=few)))
        headers = {"Content-Type": "application/json", "User-Agent": f"keysentry/{VERSION}"}
        advice = "check routing_key: it is the integration key of an Events API v2 integration"
        answer = self._endpoint.ask("POST", headers, body, path="/v2/enqueue", again=True, advice=advice)
        evidence = {"status": str(answer.status), "dedup_key": notice.id}
        return Receipt(outcome="done", note="PagerDuty took the event", evidence=evidence)

    def told(self, notice: Notice, recipient: Recipient) -> Receipt | None:
        """Not known; an event that is sent again joins the alert with the same `dedup_key`."""
        return None

    def _encoded(self, content: dict[str, object]) -> bytes:
        return msgspec.json.encode({"routing_key": self._key.reveal(), **content})

    def close(self) -> None:
        """See `Notifier`."""
        self._endpoint.close()


def event(notice: Notice) -> dict[str, object]:
    """The event of a notice, without the key that says where it goes."""
    facts = facts_of(notice)
    first = facts[0] if facts else {}
    payload: dict[str, object] = {
        "summary": notice.subject[:_SUMMARY],
        "source": text_of(first, "place", "container") or text_of(first, "place", "source") or "keysentry",
        "severity": "critical" if notice.urgent else _SEVERITIES.get(notice.severity, "error"),
        "timestamp": iso(notice.time),
        "component": text_of(first, "place", "source"),
        "group": text_of(first, "provider"),
        "class": text_of(first, "rule"),
        "custom_details": {"text": notice.text, **notice.facts},
    }
    return {
        "event_action": "trigger",
        "dedup_key": notice.id,
        "client": "keysentry",
        "payload": {name: value for name, value in payload.items() if value not in ("", None)},
        "links": list(_links(notice)),
    }


def _links(notice: Notice) -> Iterator[dict[str, str]]:
    for label, address in notice.links:
        yield {"href": address, "text": label}
