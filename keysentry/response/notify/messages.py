"""What people are told: from the facts of incidents to a `Notice`, and to the text that stands in a message's place.

Pure: the same facts give the same notice. Everything comes from what the store shows anyone (masks, places, states), so
that nothing here could tell a secret. Many incidents of one author are one notice: it lists the first ones and counts
the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

from keysentry.connectors.base import Notice
from keysentry.model.action import Action, Assessment, Kind
from keysentry.model.incident import Incident, Occurrence
from keysentry.response.notify.texts import Texts

LISTED: Final = 10
"""How many secrets a text lists, unless it is told otherwise."""
FACTS: Final = 100
"""How many incidents the facts for machines hold."""

_HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_TEXT_LIMIT = 200
"""How long a text from outside (a title, a name, a channel) may be in a notice, in characters."""
_ADDRESS_LIMIT = 2000
"""The same for ids and addresses, which are of no use when they are cut."""
_DONE: Final[dict[str, Kind]] = {"held": "hold", "revoked": "revoke", "rotated": "rotate"}
_AUDIENCES = ("public", "external", "internal", "private")


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """An incident as somebody is told of it.

    `occurrence` is the place that it is about, `done` the kinds of actions that were done already, `reference` where
    its vault keeps it.
    """

    incident: Incident
    occurrence: Occurrence | None = None
    done: tuple[Kind, ...] = ()
    reference: str = ""


class Voice(msgspec.Struct, frozen=True, kw_only=True):
    """How people are spoken to.

    `language`: one that `texts` has. `contact`: whom to ask (a name, a channel, an address). `guide`: the address of
    the organisation's own guide. `listed`: how many secrets a text lists.
    """

    texts: Texts
    language: str = "en"
    contact: str = ""
    guide: str = ""
    listed: int = LISTED


def author_notice(id: str, cases: Sequence[Case], voice: Voice, *, time: float = 0.0) -> Notice:
    """What the author is told: plain words, no blame. `id` is the action's. Raises `ConfigError` for a faulty text."""
    return _notice(id, "author", cases, voice, _values(cases, voice), time)


def channel_notice(id: str, cases: Sequence[Case], voice: Voice, *, time: float = 0.0) -> Notice:
    """What a channel, a team or a ticket is told: the facts. Raises `ConfigError` for a faulty text."""
    return _notice(id, "channel", cases, voice, _values(cases, voice), time)


def escalation_notice(id: str, cases: Sequence[Case], action: Action, voice: Voice, *, time: float = 0.0) -> Notice:
    """What is told when `action` missed its deadline. Raises `ConfigError` for a faulty text."""
    values = _values(cases, voice) | {
        "step": voice.texts.word(voice.language, f"step.{action.kind}"),
        "due": _when(action.due_by),
        "waiting": _flag(action.state == "waiting"),
        "note": _clean(action.note),
        "action": _clean(action.id),
    }
    notice = _notice(id, "escalation", cases, voice, values, time)
    step: dict[str, object] = {
        "id": action.id,
        "kind": action.kind,
        "state": action.state,
        "due_by": action.due_by,
        "attempts": action.attempts,
        "target": action.target,
        "note": _clean(action.note),
    }
    return msgspec.structs.replace(notice, facts=notice.facts | {"action": step}, urgent=True)


def placeholder(
    incidents: Sequence[str], voice: Voice, *, reference: str = "", language: str = "", secrets: int = 0
) -> str:
    """The short text that stands where a message or a cell was: one line, the same for the same incidents.

    `incidents` are ids; `secrets` is how many were found there, if that is another number. Raises `ConfigError`.
    """
    count = secrets or len(incidents)
    values = _counted(count) | {
        "incident": incidents[0] if incidents else "",
        "incidents": _ids(incidents, 3),
        "reference": _clean(reference, _ADDRESS_LIMIT),
        "contact": _clean(voice.contact),
        "guide": voice.guide,
    }
    return " ".join(voice.texts.template(language or voice.language, "placeholder").text(values).split())


# -- values for texts -------------------------------------------------------------------------------------------------


def _notice(
    id: str,
    kind: Literal["author", "channel", "escalation"],
    cases: Sequence[Case],
    voice: Voice,
    values: dict[str, str],
    time: float,
) -> Notice:
    if not cases:
        raise ValueError("a notice is about at least one incident")
    template = voice.texts.template(voice.language, kind)
    text = template.text(values)
    return Notice(
        id=id,
        kind=kind,
        subject=template.subject(values) or text.partition("\n")[0],
        text=text,
        links=_links(cases, voice),
        facts=_facts(cases),
        severity=_worst(cases),
        language=voice.texts.language(voice.language),
        time=time,
    )


def _values(cases: Sequence[Case], voice: Voice) -> dict[str, str]:
    first = cases[0]
    count = len(cases)
    place = _same(_place(case) for case in cases)
    several = _clean(", ".join(_several(_place(case) for case in cases)))
    done = _done(cases)
    return {
        **_counted(count),
        **done,
        **_exposure(cases, voice),
        "nothing": _flag(not any(done.values())),
        "items": "\n".join(_items(cases, voice, place)),
        "more": str(count - voice.listed) if count > voice.listed else "",
        "secret": _clean(first.incident.secret),
        "title": _clean(first.incident.title),
        "severity": voice.texts.word(voice.language, f"severity.{_worst(cases)}"),
        "credential": _flag(any(case.incident.category != "pii" for case in cases)),
        "personal": _flag(any(case.incident.category == "pii" for case in cases)),
        "place": place or several or voice.texts.word(voice.language, "somewhere"),
        "link": _link(first) if place or count == 1 else "",
        "time": _clean(_minute(_same(case.occurrence.time if case.occurrence else "" for case in cases))),
        "author": _clean(_same(case.occurrence.author if case.occurrence else "" for case in cases)),
        "source": _clean(_same(case.occurrence.source if case.occurrence else "" for case in cases)),
        "incident": first.incident.id,
        "incidents": _ids([case.incident.id for case in cases], voice.listed),
        "contact": _clean(voice.contact),
        "guide": voice.guide,
        "again": _flag(any(case.incident.regressions for case in cases)),
        "live": _flag(any(_assessed(case).liveness == "live" for case in cases)),
        "dead": _flag(all(_assessed(case).liveness == "dead" for case in cases)),
        "owner": _clean(_same(_assessed(case).owner for case in cases)),
    }


def _counted(count: int) -> dict[str, str]:
    return {"count": str(count), "one": _flag(count <= 1), "many": _flag(count > 1)}


def _done(cases: Sequence[Case]) -> dict[str, str]:
    """What was done for all of them; the vault's reference, where it is one."""
    flags = {name: _flag(all(kind in case.done for case in cases)) for name, kind in _DONE.items()}
    return flags | {"reference": _clean(_same(case.reference for case in cases), _ADDRESS_LIMIT)}


def _exposure(cases: Sequence[Case], voice: Voice) -> dict[str, str]:
    """The widest audience, and how many people that is."""
    found = [_audience(case) for case in cases]
    audience = next((name for name in _AUDIENCES if name in found), "unknown")
    reach = max((_reach(case) or 0 for case in cases), default=0)
    flags = {name: _flag(name == audience) for name in _AUDIENCES}
    word = voice.texts.word(voice.language, f"audience.{audience}")
    return {**flags, "audience": word, "reach": str(reach) if reach else ""}


def _items(cases: Sequence[Case], voice: Voice, place: str) -> Iterator[str]:
    for case in cases[: voice.listed]:
        values = {"secret": _clean(case.incident.secret), "title": _clean(case.incident.title), "place": _place(case)}
        key = "item" if place or not values["place"] else "item-in-place"
        yield voice.texts.word(voice.language, key, values)


def _links(cases: Sequence[Case], voice: Voice) -> tuple[tuple[str, str], ...]:
    """What can be opened: each place once, by its name."""
    found: dict[str, str] = {}
    for case in cases:
        link = _link(case)
        if link and len(found) < voice.listed:
            found.setdefault(link, _place(case) or case.incident.id)
    if _opens(voice.guide):
        found.setdefault(voice.guide, voice.guide)
    return tuple((label, address) for address, label in found.items())


def _place(case: Case) -> str:
    """Where it is, as its people call it."""
    one = case.occurrence
    return _clean(one.container or one.path or one.record or one.source) if one else ""


def _link(case: Case) -> str:
    uri = case.occurrence.uri if case.occurrence else ""
    return uri if _opens(uri) else ""


def _opens(address: str) -> bool:
    """Whether it is an address that a person can open, and nothing that does more than open."""
    return address.startswith(("https://", "http://")) and not re.search(r"[\s<>\"\x00-\x1f\x7f]", address)


def _assessed(case: Case) -> Assessment:
    return case.incident.assessment or Assessment(at=0.0)


def _audience(case: Case) -> str:
    told = (_assessed(case).audience, case.incident.audience)
    place = case.occurrence.exposure.audience if case.occurrence else "unknown"
    return next((one for one in (*told, place) if one != "unknown"), "unknown")


def _reach(case: Case) -> int | None:
    reach = _assessed(case).reach
    return case.occurrence.exposure.reach if reach is None and case.occurrence else reach


def _worst(cases: Sequence[Case]) -> str:
    return max((case.incident.severity for case in cases), key=lambda severity: severity.rank).value


# -- facts for machines -----------------------------------------------------------------------------------------------


def _facts(cases: Sequence[Case]) -> dict[str, object]:
    shown = cases[:FACTS]
    return {
        "count": len(cases),
        "left_out": len(cases) - len(shown),
        "incidents": [_fact(case) for case in shown],
    }


def _fact(case: Case) -> dict[str, object]:
    incident = case.incident
    assessed = _assessed(case)
    return {
        "id": incident.id,
        "rule": incident.rule,
        "title": _clean(incident.title),
        "provider": _clean(incident.provider),
        "category": incident.category,
        "severity": incident.severity.value,
        "confidence": round(incident.confidence, 3),
        "lifetime": incident.lifetime.value,
        "secret": _clean(incident.secret),
        "state": incident.state,
        "places": incident.places,
        "regressions": incident.regressions,
        "first_seen": incident.first_seen,
        "last_seen": incident.last_seen,
        "audience": _audience(case),
        "reach": _reach(case),
        "liveness": assessed.liveness,
        "owner": _clean(assessed.owner),
        "done": list(case.done),
        "reference": _clean(case.reference, _ADDRESS_LIMIT),
        "place": _place_fact(case.occurrence),
    }


def _place_fact(one: Occurrence | None) -> dict[str, object] | None:
    if one is None:
        return None
    return {
        "source": _clean(one.source),
        "container": _clean(one.container),
        "record": _clean(one.record, _ADDRESS_LIMIT),
        "uri": _clean(one.uri, _ADDRESS_LIMIT),
        "path": _clean(one.path, _ADDRESS_LIMIT),
        "part": _clean(one.part, _ADDRESS_LIMIT),
        "author": _clean(one.author),
        "author_id": _clean(one.author_id, _ADDRESS_LIMIT),
        "time": _clean(one.time),
    }


# -- small things -----------------------------------------------------------------------------------------------------


def _flag(holds: bool) -> str:
    return "yes" if holds else ""


def _same(values: Iterator[str]) -> str:
    """What all have in common; nothing where they differ."""
    found = set(values)
    return found.pop() if len(found) == 1 else ""


def _several(values: Iterator[str]) -> list[str]:
    """The first three different ones, and a mark that there are more."""
    found = list(dict.fromkeys(value for value in values if value))
    return [*found[:3], "…"] if len(found) > 3 else found


def _ids(ids: Sequence[str], limit: int) -> str:
    found = list(dict.fromkeys(ids))
    more = f" (+{len(found) - limit})" if len(found) > limit else ""
    return ", ".join(found[:limit]) + more


def _clean(text: str, limit: int = _TEXT_LIMIT) -> str:
    """One line of text from outside: no control characters, nothing that turns the reading direction, not endless."""
    line = _HARMFUL.sub(" ", text.encode("utf-8", "replace").decode()).strip()
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _when(seconds: float | None) -> str:
    return "" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def _minute(time: str) -> str:
    """The time of an occurrence (ISO 8601, as sources write it) to the minute; as it stands if it is no time."""
    try:
        when = datetime.fromisoformat(time)
    except ValueError:
        return time
    return _when((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
