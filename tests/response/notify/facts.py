"""Incidents, cases and notices for the tests of notices. Secrets are forged, and only their masks are shown."""

from __future__ import annotations

import random
from typing import Any

from keysentry.connectors.base import Notice
from keysentry.model.action import Action, Assessment
from keysentry.model.finding import Lifetime, Severity
from keysentry.model.incident import Incident, Occurrence
from keysentry.model.location import Exposure
from keysentry.model.sensitive import Sensitive
from keysentry.response.notify.messages import Case, Voice, channel_notice
from keysentry.response.notify.texts import Texts
from keysentry.rules.forge import forge

TEXTS = Texts()
LANGUAGES = ("de", "en", "es", "fr", "ja")
TIME = 1_800_000_000.0
ACTION = "act_" + "0123456789abcdef" * 2


def forged(seed: int = 0) -> str:
    """A token that looks like one of GitHub's."""
    return forge("ghp_{base62:30}{crc32-base62:6}", random.Random(seed))


def incident(number: int = 1, **changes: Any) -> Incident:
    known: dict[str, Any] = {
        "id": f"inc_{number:04d}",
        "fingerprint": "f" * 64,
        "rule": "github.pat-classic",
        "title": "GitHub personal access token (classic)",
        "provider": "github",
        "category": "credential",
        "severity": Severity.CRITICAL,
        "confidence": 0.987654,
        "lifetime": Lifetime.LONG_LIVED,
        "secret": str(Sensitive(forged(number))),
        "state": "contained",
        "places": 1,
        "seen": 1,
        "first_seen": TIME - 60,
        "last_seen": TIME - 30,
    }
    return Incident(**(known | changes))


def occurrence(number: int = 1, **changes: Any) -> Occurrence:
    known: dict[str, Any] = {
        "incident": f"inc_{number:04d}",
        "source": "acme",
        "unit": "C1",
        "record": f"C1/17000000{number:02d}.000100",
        "uri": f"https://acme.slack.example/archives/C1/p17000000{number:02d}",
        "path": "",
        "part": "",
        "line": 1,
        "column": 9,
        "container": "#ops",
        "author": "Ann Lee",
        "author_id": "U1",
        "time": "2026-01-31T14:05:09Z",
        "exposure": Exposure("internal", 120),
        "confidence": 0.99,
        "reasons": ("the checksum fits",),
        "first_seen": TIME - 60,
        "last_seen": TIME - 30,
    }
    return Occurrence(**(known | changes))


def case(number: int = 1, *, incident_changes: dict[str, Any] | None = None, done: Any = (), reference: str = "",
         **changes: Any) -> Case:  # fmt: skip
    return Case(
        incident=incident(number, **(incident_changes or {})),
        occurrence=occurrence(number, **changes),
        done=done,
        reference=reference,
    )


def voice(language: str = "en", **changes: Any) -> Voice:
    known: dict[str, Any] = {"contact": "#security-help", "guide": "https://wiki.example/secrets"}
    return Voice(texts=TEXTS, language=language, **(known | changes))


def assessment(**changes: Any) -> Assessment:
    return Assessment(at=TIME, **changes)


def late_action(**changes: Any) -> Action:
    known: dict[str, Any] = {
        "id": ACTION,
        "kind": "revoke",
        "subject": "inc_0001",
        "incidents": ("inc_0001",),
        "state": "waiting",
        "due_by": TIME,
        "attempts": 2,
        "note": "nobody has approved it",
    }
    return Action(**(known | changes))


def notice(count: int = 1, id: str = ACTION, language: str = "en", **changes: Any) -> Notice:
    """A notice to a channel about some incidents."""
    cases = [case(number, **changes) for number in range(1, count + 1)]
    return channel_notice(id, cases, voice(language), time=TIME)
