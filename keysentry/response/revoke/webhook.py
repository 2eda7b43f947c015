"""A web service of your own revokes: a signed request in the scheme of Standard Webhooks, with the secret in it.

https://www.standardwebhooks.com: headers `webhook-id`, `webhook-timestamp` and `webhook-signature`; the receiver checks
them (`keysentry.webhooks.verify` does) and does nothing twice for one id, which is the action's idempotency key. So an
interrupted or failed request is sent again under the same id.

The body is JSON: `{"type": "credential.revoke", "timestamp": ..., "data": {"key": ..., "incident": ..., "rule": ...,
"secret": ..., ...}}`. A 2xx answer means that it was done, or, with 202, that it will be. Its body may say more:
`{"outcome": "done" | "already" | "nothing", "note": "...", "evidence": {...}}`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import ClassVar, Literal
from urllib.parse import urlsplit

import msgspec

from keysentry.errors import AccessError, ConfigError, InputError, SourceError
from keysentry.model.action import Credential, Receipt
from keysentry.model.sensitive import Sensitive
from keysentry.response.base import Revoker
from keysentry.response.outbound import Outbound, Outgoing, Reply
from keysentry.response.revoke.base import RevokerOptions, Tools, needed
from keysentry.response.scrub import scrubbed

__all__ = ["Options", "WebhookRevoker", "open_revoker"]


class Options(RevokerOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of a web service that revokes. Name the rules in `handles`: the kind is made for none.

    `url`: its address, HTTPS. `signing_key`: the key that it knows us by (`whsec_...`). `old_signing_key`: the one
    before, which requests are signed with as well while keys are changed. `send_secret`: whether the request holds the
    secret itself, or only its fingerprint and mask.
    """

    url: str
    signing_key: Sensitive | None = None
    old_signing_key: Sensitive | None = None
    send_secret: bool = True

    kind: ClassVar[str] = "webhook"
    environment: ClassVar[dict[str, tuple[str, ...]]] = {"signing_key": ("KEYSENTRY_REVOKER_WEBHOOK_KEY",)}

    def check(self) -> None:
        """Raise `ConfigError` for values that do not fit together."""
        needed(self.handles, self, "handles")
        needed(self.signing_key, self, "signing_key")


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the service may answer."""

    outcome: Literal["done", "already", "nothing"] = "done"
    note: str = ""
    evidence: dict[str, str] = {}


class WebhookRevoker:
    """Has a web service revoke."""

    def __init__(self, options: Options, outbound: Outbound, clock: Callable[[], float] = time.time) -> None:
        self.name = options.name
        self.handles = options.handled
        self._options = options
        self._host = urlsplit(options.url).hostname or ""
        self._outbound = outbound
        self._clock = clock

    def revoke(self, credential: Credential, key: str) -> Receipt:
        """Have it revoked."""
        reply = self._outbound.send(self._outgoing(credential, key))
        if 200 <= reply.status < 300:
            return scrubbed(self._receipt(reply), credential)
        if 300 <= reply.status < 400:
            reason = f"it answered {reply.status}, a redirect, which is not followed"
            raise InputError(reason, place=self.name, advice="set url to the final address")
        if reply.status in (401, 403):
            raise AccessError(
                f"it answered {reply.status}", place=self.name, advice="look at signing_key there and here"
            )
        if reply.status == 408:
            raise SourceError(f"it answered {reply.status}", place=self.name)
        raise InputError(f"it answered {reply.status}", place=self.name, advice="look at the service's own log")

    def revoked(self, credential: Credential, key: str) -> Receipt | None:
        """None: the service knows requests by their ids, so that the same one may come again."""
        return None

    def _receipt(self, reply: Reply) -> Receipt:
        try:
            told = msgspec.json.decode(reply.body, type=Told) if reply.body.strip() else Told()
        except (msgspec.DecodeError, UnicodeDecodeError):
            told = Told()
        note = told.note or ("the service will revoke it" if reply.status == 202 else "the service says so")
        evidence = {**told.evidence, "host": self._host, "status": str(reply.status)}
        return Receipt(outcome=told.outcome, note=note, evidence=evidence)

    def _outgoing(self, credential: Credential, key: str) -> Outgoing:
        from keysentry import webhooks

        now = self._clock()
        body = msgspec.json.encode(
            {
                "type": "credential.revoke",
                "timestamp": datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
                "data": self._data(credential, key),
            }
        )
        keys = [one for one in (self._options.signing_key, self._options.old_signing_key) if one is not None]
        headers = {"Content-Type": "application/json", **webhooks.sign(key, int(now), body, keys)}
        return Outgoing(
            method="POST",
            url=self._options.url,
            headers=headers,
            body=body,
            hosts=(self._host,),
            shown=self.name,
            repeatable=True,
            key=key,
        )

    def _data(self, credential: Credential, key: str) -> dict[str, object]:
        data: dict[str, object] = {
            "key": key,
            "incident": credential.incident,
            "fingerprint": credential.fingerprint,
            "rule": credential.rule,
            "title": credential.title,
            "provider": credential.provider,
            "mask": str(credential.secret),
        }
        if self._options.send_secret:
            data["secret"] = credential.secret.reveal()
            data["companions"] = {name: value.reveal() for name, value in credential.companions.items()}
        return data


def open_revoker(options: RevokerOptions, tools: Tools) -> Revoker:
    """Make it."""
    if not isinstance(options, Options):
        raise ConfigError("these are not options of a web service", place=options.name)
    return WebhookRevoker(options, tools.outbound)
