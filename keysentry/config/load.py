"""From a document to a `Config`: every table to its Options, and what holds between tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import cast

import msgspec

from keysentry.advice import closest
from keysentry.config.acting import LISTS, Acting, read_acting, tables_of, title
from keysentry.config.decode import Notes, Setting, Table
from keysentry.config.document import Document, Origin, read
from keysentry.config.faults import ConfigFaults, Fault
from keysentry.config.platforms import OptionsOf, platform_options
from keysentry.config.variables import TABLES
from keysentry.connectors import PLATFORMS
from keysentry.connectors.base import SourceOptions
from keysentry.errors import ConfigError
from keysentry.response.options import ResponseOptions
from keysentry.response.outbound import OutboundOptions
from keysentry.scan.options import ScannerOptions
from keysentry.service.options import WatchOptions
from keysentry.store.options import StoreOptions

SOURCE_KEYS = ("platform",)
"""What a source's table has beside its Options."""


class SourceConfig(msgspec.Struct, frozen=True):
    """A source: the name of its platform, and what that platform is told."""

    platform: str
    options: SourceOptions

    @property
    def name(self) -> str:
        """What the source is called, in its own configuration and in the store."""
        return self.options.name


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a process is told, each part in its own Options; `origin` says where it stands.

    `warnings` is what works but should be better (a file with a token that everyone can read).
    """

    origin: Origin
    store: StoreOptions = StoreOptions()
    scan: ScannerOptions = ScannerOptions()
    watch: WatchOptions = WatchOptions()
    sources: tuple[SourceConfig, ...] = ()
    acting: Acting = Acting()
    warnings: tuple[Fault, ...] = ()


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """All that was learnt of a configuration.

    `config` is None if there are faults. `missing` are references to credentials that are not there on this machine:
    faults where the sources are to be read, warnings where the configuration alone is looked at.
    """

    origin: Origin
    config: Config | None
    faults: tuple[Fault, ...]
    missing: tuple[Fault, ...]
    warnings: tuple[Fault, ...]
    settings: tuple[Setting, ...]


class Declared(msgspec.Struct, frozen=True):
    """A source as it is declared, looked at no closer: its name, its platform, and its seconds between passes."""

    name: str
    platform: str
    poll: float


class Outline(msgspec.Struct, frozen=True, kw_only=True):
    """What a command needs that only reads the store: no platform is imported, no source's credential looked at.

    `sources` are those that have a name; what is wrong with them otherwise does not matter here.
    """

    origin: Origin
    store: StoreOptions
    watch: WatchOptions
    sources: tuple[Declared, ...]


def load_config(
    path: Path | None, *, environment: Mapping[str, str], options_of: OptionsOf = platform_options
) -> Config:
    """The configuration that governs: `path`, else what `KEYSENTRY_CONFIG` or `KEYSENTRY_CONFIG_TOML` names or holds,
    else `keysentry.toml` in this folder, else the defaults.

    Raises `ConfigFaults` with every fault, references to variables and files that are not there among them.
    """
    reading = read_config(path, environment=environment, options_of=options_of)
    faults = sorted(reading.faults + reading.missing, key=_by_line)
    if faults or reading.config is None:
        raise ConfigFaults(faults)
    return reading.config


def read_config(
    path: Path | None, *, environment: Mapping[str, str], options_of: OptionsOf = platform_options
) -> Reading:
    """Like `load_config`, but faults are returned. Raises `ConfigFaults` if there is no such file or it is no TOML."""
    document = read(path, environment)
    notes = Notes(warnings=list(_overruled(document)))
    notes.faults += _unknown_tables(document)
    store, scan, watch, response, outbound = (_single(document, name, environment, notes) for name in TABLES)
    if isinstance(scan, ScannerOptions):
        notes.faults += _rules(scan, document)
    sources = list(_sources(document, environment, notes, options_of))
    told = response if isinstance(response, ResponseOptions) else ResponseOptions()
    out = outbound if isinstance(outbound, OutboundOptions) else OutboundOptions()
    acting = read_acting(document, told, out, _platforms_of(document), environment, notes)
    config = None
    if not notes.faults and store is not None and scan is not None and watch is not None:
        config = Config(
            origin=document.origin,
            store=cast(StoreOptions, store),
            scan=cast(ScannerOptions, scan),
            watch=cast(WatchOptions, watch),
            sources=tuple(sources),
            acting=acting,
            warnings=tuple(notes.warnings),
        )
    return Reading(
        origin=document.origin,
        config=config,
        faults=tuple(sorted(notes.faults, key=_by_line)),
        missing=tuple(notes.missing),
        warnings=tuple(notes.warnings),
        settings=tuple(notes.settings),
    )


def _by_line(fault: Fault) -> tuple[bool, int]:
    """In the order of the document; what has no line in it comes last."""
    return fault.line is None, fault.line or 0


def load_outline(path: Path | None, *, environment: Mapping[str, str]) -> Outline:
    """What a command that reads the store needs; faults in other tables than `[store]` do not matter to it.

    Raises `ConfigFaults`.
    """
    document = read(path, environment)
    notes, aside = Notes(), Notes()
    store = _single(document, "store", environment, notes)
    watch = _single(document, "watch", environment, aside)
    faults = notes.faults + notes.missing
    if faults or store is None:
        raise ConfigFaults(faults)
    return Outline(
        origin=document.origin,
        store=cast(StoreOptions, store),
        watch=cast(WatchOptions, watch) if watch is not None else WatchOptions(),
        sources=tuple(_declared(source_tables(document, aside))),
    )


def _platforms_of(document: Document) -> dict[str, str]:
    """The platforms of the sources that are declared, by name, whatever else is wrong with them."""
    return {one.name: one.platform for one in _declared(source_tables(document, Notes()))}


def _declared(tables: Iterable[Mapping[str, object]]) -> Iterator[Declared]:
    for table in tables:
        name, poll = table.get("name"), table.get("poll")
        if isinstance(name, str):
            yield Declared(name, str(table.get("platform", "")), poll if isinstance(poll, int | float) else 60.0)


def _overruled(document: Document) -> Iterator[Fault]:
    for how in document.overruled:
        reason = f"{how} is set too, but {document.origin.how} weighs more"
        yield Fault(file=document.origin.file, reason=reason)


def _unknown_tables(document: Document) -> Iterator[Fault]:
    known = [*TABLES, "source", *LISTS]
    for name in document.tables:
        if name not in known:
            advice = closest(name, known) or f"one of: {', '.join(known)}"
            line = document.line(name)
            reason = "there is no such table"
            yield Fault(file=document.origin.file, table=name, line=line, reason=reason, advice=advice)


def _single(document: Document, name: str, environment: Mapping[str, str], notes: Notes) -> msgspec.Struct | None:
    """The Options of a table that there is one of."""
    values = document.tables.get(name, {})
    table = Table(document, (name,), name, values if isinstance(values, dict) else {}, environment, notes)
    if not isinstance(values, dict):
        notes.faults.append(table.fault("must be a table", advice=f"write [{name}] above its settings"))
        return None
    return table.decode(TABLES[name])


def _rules(scan: ScannerOptions, document: Document) -> Iterator[Fault]:
    if not scan.pack and not scan.rules:
        line = document.line("scan", "pack")
        advice = "name rule files, or a pack"
        file = document.origin.file
        yield Fault(file=file, table="scan", key="pack", line=line, reason="no rules are left", advice=advice)


def source_tables(document: Document, notes: Notes) -> list[dict[str, object]]:
    """The tables of sources, as they stand."""
    return tables_of(document, "source", notes)


def _sources(
    document: Document, environment: Mapping[str, str], notes: Notes, options_of: OptionsOf
) -> Iterator[SourceConfig]:
    names: dict[object, int] = {}
    for index, values in enumerate(source_tables(document, notes)):
        table = Table(document, ("source", index), title("source", index, values), values, environment, notes)
        name = values.get("name")
        if isinstance(name, str) and name in names:
            reason = f"source[{names[name] + 1}] has this name too"
            notes.faults.append(table.fault(reason, "name", advice="give each source a name of its own"))
        names.setdefault(name, index)
        source = _source(table, values, notes, options_of)
        if source is not None:
            yield source


def _source(table: Table, values: Mapping[str, object], notes: Notes, options_of: OptionsOf) -> SourceConfig | None:
    platform = values.get("platform")
    if not isinstance(platform, str):
        reason = "must be text" if "platform" in values else "must be given"
        notes.faults.append(table.fault(reason, "platform", advice=_platforms()))
        return None
    try:
        options_type = options_of(platform)
    except ConfigError as error:
        notes.faults.append(table.fault(error.reason, "platform", advice=error.advice))
        return None
    table.tell("platform", platform)
    options = table.decode(options_type, SOURCE_KEYS)
    return None if options is None else SourceConfig(platform, options)


def _platforms() -> str:
    return f"one of: {', '.join(one.name for one in PLATFORMS)}"
