"""keysentry finds leaked credentials in chat, spreadsheets, documents and storage, and acts on them.

    from keysentry import Scanner

    for finding in Scanner().scan_text(text):
        print(finding.title, finding.secret, finding.location.line)

`Scanner` scans texts, streams of texts, records and files; `load_rules` reads rule packs; `Finding` says what was
found, where, how surely and why. A `Finding.secret` never prints: `.reveal()` is the one way in. Every error is a
`KeysentryError`.
"""

import typing

from keysentry.__about__ import VERSION as __version__

if typing.TYPE_CHECKING:
    from keysentry.errors import (
        ConfigError,
        InputError,
        KeysentryError,
        MissingExtraError,
        RuleError,
        RulePackError,
    )
    from keysentry.model.action import Credential, Receipt
    from keysentry.model.finding import Finding, Lifetime, Reason, Severity, Skipped
    from keysentry.model.location import ByteSpan, Location, Step
    from keysentry.model.record import Exposure, Part, Record, Segment, Unit
    from keysentry.model.sensitive import Sensitive
    from keysentry.model.summary import Summary
    from keysentry.response.revoke.registry import revoker, rotator
    from keysentry.rules.load import decode_rules, load_rules, merge
    from keysentry.rules.schema import Pack, Provider, Requirement, Rule, RuleSet
    from keysentry.scan import FileOptions, Progress, Scan, Scanner

__all__ = [
    "ByteSpan",
    "ConfigError",
    "Credential",
    "Exposure",
    "FileOptions",
    "Finding",
    "InputError",
    "KeysentryError",
    "Lifetime",
    "Location",
    "MissingExtraError",
    "Pack",
    "Part",
    "Progress",
    "Provider",
    "Reason",
    "Receipt",
    "Record",
    "Requirement",
    "Rule",
    "RuleError",
    "RulePackError",
    "RuleSet",
    "Scan",
    "Scanner",
    "Segment",
    "Sensitive",
    "Severity",
    "Skipped",
    "Step",
    "Summary",
    "Unit",
    "__version__",
    "decode_rules",
    "load_rules",
    "merge",
    "revoker",
    "rotator",
]

if not typing.TYPE_CHECKING:  # a type checker would believe that every name is here
    _HOMES = {
        name: home
        for home, names in {
            "keysentry.errors": (
                "ConfigError",
                "InputError",
                "KeysentryError",
                "MissingExtraError",
                "RuleError",
                "RulePackError",
            ),
            "keysentry.model.action": ("Credential", "Receipt"),
            "keysentry.response.revoke.registry": ("revoker", "rotator"),
            "keysentry.model.finding": ("Finding", "Lifetime", "Reason", "Severity", "Skipped"),
            "keysentry.model.location": ("ByteSpan", "Location", "Step"),
            "keysentry.model.record": ("Exposure", "Part", "Record", "Segment", "Unit"),
            "keysentry.model.sensitive": ("Sensitive",),
            "keysentry.model.summary": ("Summary",),
            "keysentry.rules.load": ("decode_rules", "load_rules", "merge"),
            "keysentry.rules.schema": ("Pack", "Provider", "Requirement", "Rule", "RuleSet"),
            "keysentry.scan": ("FileOptions", "Progress", "Scan", "Scanner"),
        }.items()
        for name in names
    }

    def __getattr__(name: str) -> object:
        """Import a name when it is first asked for: the command line needs few of them, and starts in a hurry."""
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = globals()[name] = getattr(import_module(home), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
