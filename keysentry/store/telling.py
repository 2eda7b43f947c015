"""What a commit tells: where exactly something was found, which incidents opened, and what a planner is to look at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from keysentry.model.action import Place
from keysentry.model.finding import Finding
from keysentry.model.incident import Appearance, Batch
from keysentry.store.audit import Draft
from keysentry.store.passes import Seen
from keysentry.store.rows import IncidentRow, OccurrenceRow, Tally, incident_of, occurrence_of

SEEN_AGAIN = "the secret was seen again"
_ACTOR = "scan"
"""Who opens incidents."""
_KNOWN_REVOKED = "the secret is known to be revoked"


def exact_place(batch: Batch, seen: Seen, finding: Finding) -> Place:
    """Exactly where a finding is, nothing masked."""
    location = finding.location
    return Place(
        source=batch.source,
        platform=batch.platform,
        unit=seen.unit,
        record=seen.name,
        uri=location.uri,
        path=location.path,
        route=location.route,
        line=location.line,
        column=location.column,
        span=location.span,
        container=location.container,
        author=location.author,
        author_id=location.author_id,
        time=location.time,
        exposure=location.exposure,
    )


def opened(row: IncidentRow, batch: Batch, before: str, revoked: bool) -> Draft:
    """An incident is new, or open again after the state `before`."""
    fields = {"rule": row.rule, "secret": row.secret, "source": batch.source}
    if not before:
        return Draft("incident.opened", _ACTOR, batch.time, row.id, "", _KNOWN_REVOKED if revoked else "", fields)
    fields |= {"from": before, "regressions": str(row.regressions)}
    reason = _KNOWN_REVOKED if revoked else SEEN_AGAIN
    return Draft("incident.reopened", _ACTOR, batch.time, row.id, "", reason, fields)


def appearances(news: Sequence[tuple[IncidentRow, OccurrenceRow]], rows: Sequence[OccurrenceRow]) -> list[Appearance]:
    """What a planner is told: `news` of all the `rows` of a batch."""
    distinct: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        distinct[row.record_id].add(row.incident)
    incidents = {incident.id: incident_of(incident, Tally()) for incident, _ in news}
    return [
        Appearance(
            incident=incidents[incident.id],
            occurrence=occurrence_of(row),
            key=row.record_id,
            distinct=len(distinct[row.record_id]),
        )
        for incident, row in news
    ]
