"""How bad an incident is: what its places, its holds and its provider tell. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from keysentry.model.action import Assessment, Held
from keysentry.model.incident import Incident, Occurrence
from keysentry.model.location import Audience
from keysentry.response.base import Verdict

_WIDEST: tuple[Audience, ...] = ("unknown", "private", "internal", "external", "public")
_LISTED = 20


def assess(
    incident: Incident,
    occurrences: Sequence[Occurrence],
    held: Iterable[Held],
    verdict: Verdict | None,
    *,
    owner: str = "",
    time: float,
) -> Assessment:
    """Gather what is known. Of containers and authors at most twenty are named."""
    before = incident.assessment
    notes: list[str] = []
    since = [began for one in occurrences if (began := _began(one)) is not None]
    there = [one for one in occurrences if one.gone is None]
    holds = {one.id: one for one in held if one.state == "held"}
    reaches = [one.exposure.reach for one in occurrences if one.exposure.reach is not None]
    audiences = [one.exposure.audience for one in occurrences]
    if len(occurrences) != len(there):
        notes.append(f"{len(occurrences) - len(there)} of {len(occurrences)} places are gone")
    if holds:
        notes.append(f"{len(holds)} held")
    if verdict is None and before is not None and before.liveness != "unknown":
        verdict = Verdict(liveness=before.liveness, identity=before.identity, scopes=before.scopes)
        at = before.liveness_at
    else:
        at = time if verdict is not None else None
    return Assessment(
        at=time,
        audience=max(audiences, key=_WIDEST.index, default="unknown"),
        reach=max(reaches, default=None),
        readable_from=min(since, default=None),
        readable_until=None if there else max((one.gone for one in occurrences if one.gone is not None), default=None),
        places=len(there),
        containers=_first(one.container for one in occurrences),
        authors=_first(one.author or one.author_id for one in occurrences),
        owner=owner or (verdict.identity if verdict else ""),
        lifetime=incident.lifetime.value,
        liveness=verdict.liveness if verdict else "unknown",
        liveness_at=at,
        identity=verdict.identity if verdict else "",
        scopes=verdict.scopes if verdict else (),
        notes=tuple(notes),
    )


def _began(occurrence: Occurrence) -> float | None:
    """Since when it could be read there: when it was written, if that is known, else since when the place is open."""
    if occurrence.time:
        try:
            return datetime.fromisoformat(occurrence.time).timestamp()
        except ValueError:
            pass
    return occurrence.exposure.since or occurrence.first_seen


def _first(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for word in words if word))[:_LISTED]
