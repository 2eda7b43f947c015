"""The targets of `keysentry scan`: paths, and sources that are named by a prefix (`slack:#general`, `s3://bucket`)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from keysentry.model.summary import Summary

if TYPE_CHECKING:
    from keysentry.connectors import Platform
    from keysentry.model.finding import Finding
    from keysentry.scan import FileOptions, OnProgress, Scanner
    from keysentry.scan.lister import Lister


class Scanning(Protocol):
    """A scan that is done while it is iterated over, with its account."""

    @property
    def summary(self) -> Summary:
        """What was read; complete when the iteration has ended."""

    def __iter__(self) -> Iterator[Finding]: ...


def source_of(target: str) -> Platform | None:
    """The platform that a target names; None for a path. What exists as a path is one, whatever it is called."""
    if ":" not in target or os.path.lexists(target):
        return None
    from keysentry.connectors import platform_of_target

    return platform_of_target(target)


def scanning(
    scanner: Scanner,
    targets: Sequence[str],
    options: FileOptions,
    progress: OnProgress | None,
    config: str | None,
    lister: Lister | None = None,
) -> Scanning:
    """The scan of some targets, in their order. Sources are opened at once, so that a wrong token is told first.

    `lister` has begun to list a target, if it is not None. Raises `ConfigError` and `SourceError`.
    """
    if not any(source_of(target) for target in targets):
        return scanner.scan_paths(targets, options, progress, lister=lister)
    scans: list[Scanning] = []
    paths: list[str] = []
    for target in targets:
        kind = source_of(target)
        if kind is None:
            paths.append(target)
            continue
        if paths:
            scans.append(scanner.scan_paths(paths, options, progress))
            paths = []
        scans.append(_survey(scanner, kind, target, options, progress, config))
    if paths:
        scans.append(scanner.scan_paths(paths, options, progress))
    return scans[0] if len(scans) == 1 else Several(scans)


def _survey(
    scanner: Scanner,
    kind: Platform,
    target: str,
    options: FileOptions,
    progress: OnProgress | None,
    config: str | None,
) -> Scanning:
    from pathlib import Path

    from keysentry.survey import Survey
    from keysentry.wiring import target_source

    source, settings = target_source(kind, target, Path(config) if config else None, os.environ)
    survey = Survey(scanner, source, settings, options, progress)
    survey.begin()
    return survey


class Several:
    """Scans one after the other, with one account of all."""

    def __init__(self, scans: Sequence[Scanning]) -> None:
        self._scans = scans

    def __iter__(self) -> Iterator[Finding]:
        for scan in self._scans:
            yield from scan

    @property
    def summary(self) -> Summary:
        """The sum of all."""
        total = Summary(skipped=[])
        for scan in self._scans:
            one = scan.summary
            total.skipped += one.skipped
            total.interrupted |= one.interrupted
            total.rules, total.engine = one.rules, one.engine
            for name in ("files", "records", "bytes", "seconds", "allowed", "baselined", "below_threshold"):
                setattr(total, name, getattr(total, name) + getattr(one, name))
        return msgspec.structs.replace(total)
