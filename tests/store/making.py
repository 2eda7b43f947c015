"""Findings and batches for the tests of stores. Secrets are forged, and never the same as in another test run."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec.structs import asdict

from keysentry.model.action import Action, Held, Kind, Original, Receipt, action_id
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Finding, Lifetime, Reason, Severity
from keysentry.model.incident import Appearance, Batch, Incident, Sighting
from keysentry.model.location import Audience, ByteSpan, Exposure, Location, Step
from keysentry.model.sensitive import Sensitive, fingerprint
from keysentry.rules.forge import forge
from keysentry.store.base import ActionQuery, Leased, Outcome, Store
from keysentry.store.sealing import Sealer

KEY = b"the key of these tests"
SEALER = Sealer([os.urandom(32)])


def forged(seed: int) -> str:
    """A token that looks like one of GitHub's, checksum included."""
    return forge("ghp_{base62:30}{crc32-base62:6}", random.Random(seed))


def found(
    secret: str | int = 0,
    *,
    start: int = 0,
    part: str = "",
    audience: Audience = "internal",
    rule: str = "github.pat",
    title: str = "GitHub token",
    provider: str = "github",
    confidence: float = 0.9,
    severity: Severity = Severity.HIGH,
    reasons: Iterable[str] = ("the pattern matches",),
    companions: tuple[tuple[str, Sensitive], ...] = (),
    **location: Any,
) -> Finding:
    """A finding of a secret (or of the one forged from a number), `start` bytes into a part of a record."""
    value = Sensitive(forged(secret) if isinstance(secret, int) else secret)
    span = ByteSpan(start, start + max(len(value), 1))
    where = {"uri": "https://chat.example/p1", "container": "ops", "author": "Ann", "author_id": "U1"} | location
    return Finding(
        rule=rule,
        title=title,
        provider=provider,
        location=Location(
            route=(Step("file", part),) if part else (),
            span=span,
            line=start + 1,
            column=1,
            exposure=Exposure(audience, 12, 1000.0),
            **where,
        ),
        span=span,
        secret=value,
        confidence=confidence,
        severity=severity,
        category="credential",
        lifetime=Lifetime.LONG_LIVED,
        fingerprint=fingerprint(KEY, provider, value),
        reasons=tuple(Reason("reason", text) for text in reasons),
        companions=companions,
    )


def sighting(record: str, scan: str, *findings: Finding, last: bool = True, unit: str = "C1") -> Sighting:
    """What a pass found in a record."""
    return Sighting(unit=unit, record=record, scan=scan, findings=findings, last=last)


def batch(*sightings: Sighting, time: float = 100.0, source: str = "chat", cursor: str = "", **more: Any) -> Batch:
    """A batch, with the cursor of the unit C1 if one is given."""
    cursors = (("C1", Cursor(cursor)),) if cursor else ()
    return Batch(source=source, time=time, sightings=sightings, **({"cursors": cursors} | more))


def only(store: Store) -> Incident:
    """The one incident that there is."""
    (incident,) = store.incidents()
    return incident


def opened(store: Store, *secrets: int, time: float = 100.0, record: str = "M1") -> tuple[str, ...]:
    """New incidents of secrets that were found in one record."""
    findings = (found(secret, start=number * 50) for number, secret in enumerate(secrets))
    return store.commit(batch(sighting(record, f"open {secrets} {time}", *findings), time=time)).new


def key_of(store: Store, incident: str) -> str:
    """The key of the record that an incident's secret is in."""
    return next(store.whereabouts(incident)).key


def action(kind: Kind, *incidents: str, subject: str = "", round: int = 0, target: str = "", **more: Any) -> Action:
    """Something to do: about a record if `subject` is one, else about the incident."""
    subject = subject or incidents[0]
    times = {"created": 100.0, "updated": 100.0, "due_from": 100.0}
    return Action(
        id=more.pop("id", action_id(kind, subject, target, round)),
        kind=kind,
        subject=subject,
        incidents=incidents,
        target=target,
        round=round,
        **(times | more),
    )


def filed(store: Store, *actions: Action, time: float = 100.0) -> tuple[str, ...]:
    """Put actions into the outbox."""
    return store.file(actions, actor="ann", reason="it must be done", time=time)


def leased(store: Store, worker: str = "w1", time: float = 200.0, **more: Any) -> list[Leased]:
    """What a worker gets, for a minute."""
    return store.lease(worker, **({"time": time, "seconds": 60.0, "limit": 100} | more))


def done(note: str = "it is done", **more: Any) -> Outcome:
    """An attempt that had its effect."""
    receipt = {name: more.pop(name) for name in ("evidence", "undo") if name in more}
    return Outcome(receipt=Receipt(outcome=more.pop("outcome", "done"), note=note, **receipt), **more)


def carried_out(store: Store, id: str, outcome: Outcome | None = None, time: float = 200.0) -> Action:
    """One action, leased and finished; others of its kind are given back."""
    wanted = store.action(id)
    assert wanted is not None
    assert id in [one.action.id for one in leased(store, time=time, kinds=(wanted.kind,))]
    finished = store.finish("w1", id, outcome or done(), time=time)
    store.release_leases("w1")
    assert finished is not None
    return finished


def states(store: Store, **query: Any) -> dict[str, str]:
    """The state of each action."""
    return {one.id: one.state for one in store.actions(ActionQuery(**query))}


def kept(store: Store, incident: str, content: bytes = b"the original", version: str = "v1", at: float = 150.0) -> str:
    """Keep the original of the record that an incident's secret is in; the record's key."""
    key = key_of(store, incident)
    held = Held(id=key, source="chat", platform="slack", state="sealed", incidents=(incident,), at=at, version=version)
    store.keep(held, Original(content=content, version=version, note="a message"))
    return key


def plan(*kinds: Kind, **more: Any) -> Callable[[Sequence[Appearance], float], list[Action]]:
    """A planner that asks for some actions about every appearance."""

    def planner(appearances: Sequence[Appearance], time: float) -> list[Action]:
        times = {"created": time, "updated": time, "due_from": time}
        return [
            action(
                kind,
                one.incident.id,
                subject=one.key if kind in ("seal", "hold") else "",
                round=one.incident.regressions,
                **(times | more),
            )
            for one in appearances
            for kind in kinds
        ]

    return planner


def names(store: Store, incident: str = "") -> list[str]:
    """The names of the events."""
    return [event.name for event in store.events(incident)]


def dump(store: Store, *sources: str) -> dict[str, Any]:
    """All that a store tells."""
    incidents = [asdict(one) for one in store.incidents()]
    return {
        "incidents": incidents,
        "occurrences": {one["id"]: [asdict(place) for place in store.occurrences(one["id"])] for one in incidents},
        "cursors": {source: store.cursors(source) for source in sources or ("chat",)},
        "unread": [asdict(one) for one in store.unread()],
        "statuses": store.statuses(),
        "actions": list(store.actions()),
        "receipts": {one["id"]: list(store.receipts(one["id"])) for one in incidents},
        "holdings": list(store.holdings()),
        "events": list(store.events()),
    }
