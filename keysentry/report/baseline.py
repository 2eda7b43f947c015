"""Baselines: findings that are known, so that a scan reports only what is new.

An entry is known by the fingerprint of the secret, not by its line: code that moves stays known, and a new secret on
an old line is new. Fingerprints are keyed, so a baseline gives no secret away and holds only under the key it was made
with.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from keysentry.errors import ConfigError
from keysentry.model.finding import Finding
from keysentry.report.place import clean

VERSION = 1


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, order=True):
    """One known secret, the rule that found it, and one place where it was."""

    fingerprint: str
    rule: str
    place: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    key_id: str
    findings: list[Entry]


class Baseline:
    """Known findings, and which of them were seen again."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = {entry.fingerprint: entry for entry in entries}
        self._seen: set[str] = set()

    def __len__(self) -> int:
        return len(self._entries)

    @classmethod
    def load(cls, path: str | Path, *, key_id: str) -> Baseline:
        """Read a baseline that was written under the key named by `key_id`.

        Raises `ConfigError`, naming the file, if it cannot be read, is no baseline, or was made with another key.
        """
        name = str(path)
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise ConfigError(error.strerror or str(error), place=name, advice="name a readable baseline") from None
        version = _version(content, name)
        if version != VERSION:
            raise ConfigError(
                f"baseline version {version!r} is not known here",
                place=name,
                advice=f"this keysentry reads version {VERSION}; write the baseline again with --write-baseline",
            )
        try:
            file = msgspec.json.decode(content, type=_File)
        except msgspec.DecodeError as error:
            raise ConfigError(f"not a baseline: {error}", place=name, advice=_AGAIN) from None
        if file.key_id != key_id:
            raise ConfigError(
                f"made with fingerprint key {file.key_id}, but the key here is {key_id}, so nothing in it would match",
                place=name,
                advice="set KEYSENTRY_KEY to the key it was made with, or write the baseline again",
            )
        return cls(file.findings)

    def knows(self, finding: Finding) -> bool:
        """True if the finding's secret is in the baseline; the entry counts as used from then on."""
        if finding.fingerprint not in self._entries:
            return False
        self._seen.add(finding.fingerprint)
        return True

    def split(self, findings: Iterable[Finding]) -> tuple[list[Finding], list[Finding]]:
        """The findings that are new, and those that are known."""
        new: list[Finding] = []
        known: list[Finding] = []
        for finding in findings:
            (known if self.knows(finding) else new).append(finding)
        return new, known

    def unused(self) -> list[Entry]:
        """Entries whose secret was not seen again: it is gone, or the place was not scanned this time."""
        return sorted(entry for key, entry in self._entries.items() if key not in self._seen)


_AGAIN = "write it again with --write-baseline"


def _version(content: bytes, name: str) -> object:
    """The version field, looked at before anything else so that a later version gets the right message."""
    try:
        raw = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"not JSON: {error}", place=name, advice=_AGAIN) from None
    if not isinstance(raw, dict) or "version" not in raw:
        raise ConfigError("not a baseline: it has no version", place=name, advice=_AGAIN)
    return raw["version"]


def write_baseline(path: str | Path, findings: Iterable[Finding], key_id: str) -> int:
    """Write the findings as known, and return how many entries that made.

    Equal findings give an equal file, byte for byte: entries are sorted, and of several places the first in order is
    kept, without its line, so that a baseline changes only when the secrets do. The file is replaced in one step.
    Raises `ConfigError` if it cannot be written.
    """
    entries = sorted(_entries(findings))
    document = msgspec.json.encode(_File(VERSION, key_id, entries))
    target = Path(path)
    draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        draft.write_bytes(msgspec.json.format(document, indent=2) + b"\n")
        draft.replace(target)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ConfigError(error.strerror or str(error), place=str(path), advice="name a writable file") from None
    return len(entries)


def _entries(findings: Iterable[Finding]) -> Iterator[Entry]:
    best: dict[str, Entry] = {}
    for finding in findings:
        where = finding.location
        place = clean(where.path or where.container or where.uri)
        entry = Entry(finding.fingerprint, finding.rule, place)
        key = finding.fingerprint
        best[key] = min(best.get(key, entry), entry)
    yield from best.values()
