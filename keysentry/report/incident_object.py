"""What the store holds, as the plain objects that the JSON formats write. Secrets are masks in the store already."""

from __future__ import annotations

from keysentry.model.incident import Incident, Occurrence, SourceStatus, Unread
from keysentry.report.place import valid
from keysentry.report.times import utc

Object = dict[str, object]


def incident_object(incident: Incident) -> Object:
    """The incident, without its occurrences."""
    return {
        "id": incident.id,
        "state": incident.state,
        "severity": incident.severity.value,
        "confidence": round(incident.confidence, 3),
        "title": valid(incident.title),
        "rule": incident.rule,
        "provider": incident.provider,
        "category": incident.category,
        "lifetime": incident.lifetime.value,
        "secret": valid(incident.secret),
        "fingerprint": incident.fingerprint,
        "audience": incident.audience,
        "places": incident.places,
        "seen": incident.seen,
        "first_seen": utc(incident.first_seen),
        "last_seen": utc(incident.last_seen),
        "regressions": incident.regressions,
    }


def occurrence_object(occurrence: Occurrence) -> Object:
    """One place; `gone` is null as long as the secret is there."""
    exposure = occurrence.exposure
    return {
        "source": valid(occurrence.source),
        "unit": valid(occurrence.unit),
        "record": valid(occurrence.record),
        "container": valid(occurrence.container),
        "path": valid(occurrence.path),
        "part": valid(occurrence.part),
        "line": occurrence.line,
        "column": occurrence.column,
        "uri": valid(occurrence.uri),
        "author": valid(occurrence.author),
        "author_id": valid(occurrence.author_id),
        "time": valid(occurrence.time),
        "exposure": {"audience": exposure.audience, "reach": exposure.reach, "since": utc(exposure.since) or None},
        "confidence": round(occurrence.confidence, 3),
        "reasons": [valid(reason) for reason in occurrence.reasons],
        "first_seen": utc(occurrence.first_seen),
        "last_seen": utc(occurrence.last_seen),
        "gone": utc(occurrence.gone) or None,
    }


def unread_object(unread: Unread) -> Object:
    """Something that was not read, or not to its end."""
    return {
        "source": valid(unread.source),
        "unit": valid(unread.unit),
        "place": valid(unread.place),
        "reason": valid(unread.reason),
        "partial": unread.partial,
        "first_seen": utc(unread.first_seen),
        "last_seen": utc(unread.last_seen),
        "times": unread.times,
    }


def status_object(status: SourceStatus) -> Object:
    """How a source is doing, as its daemon told."""
    return {
        "source": valid(status.source),
        "platform": status.platform,
        "state": status.state,
        "at": utc(status.at),
        "unit": valid(status.unit),
        "units": status.units,
        "records": status.records,
        "bytes": status.bytes,
        "findings": status.findings,
        "unread": status.unread,
        "records_per_second": round(status.records_per_second, 1),
        "lag": None if status.lag is None else round(status.lag, 1),
        "last_record": utc(status.last_record) or None,
        "last_error": valid(status.last_error),
        "last_error_at": utc(status.last_error_at) or None,
        "process": valid(status.process),
    }
