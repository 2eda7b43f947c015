"""From a match to a finding: the rule's words, the masked secret, the keyed fingerprint."""

from __future__ import annotations

from keysentry.engine.engine import Match
from keysentry.engine.program import Program
from keysentry.model.finding import Finding
from keysentry.model.location import ByteSpan, Location
from keysentry.model.sensitive import Sensitive, fingerprint


class FindingMaker:
    """Makes findings of one Program's matches under one installation key."""

    def __init__(self, program: Program, key: bytes | None) -> None:
        self._rules = program.rules
        self._key = key

    def _fingerprint(self, kind: str, secret: Sensitive) -> str:
        if self._key is None:
            from keysentry import installation

            self._key = installation.key()
        return fingerprint(self._key, kind, secret)

    def make(self, match: Match, span: ByteSpan, location: Location) -> Finding:
        """A finding for a match: `span` in the text that was given to the scanner, `location` as a person follows
        it.
        """
        compiled = self._rules[match.rule]
        rule = compiled.rule
        secret = Sensitive(match.secret)
        return Finding(
            rule=rule.id,
            title=rule.title,
            provider=compiled.provider.id,
            location=location,
            span=span,
            secret=secret,
            confidence=match.confidence,
            severity=rule.severity,
            category=rule.category,
            lifetime=match.lifetime,
            fingerprint=self._fingerprint(compiled.provider.id, secret),
            reasons=match.reasons,
            companions=tuple((name, Sensitive(value)) for name, value in match.companions),
        )
