"""What a configuration says about response: `[response]`, `[[playbook]]`, and those who act.

`[[quarantine]]` names the source that it acts upon, and with it the platform. `[[notifier]]`, `[[revoker]]` and
`[[vault]]` have a `kind`, which says what their other settings are.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TypeVar, cast

import msgspec

from keysentry.advice import closest
from keysentry.config.decode import Notes, Table
from keysentry.config.document import Document
from keysentry.config.faults import Fault
from keysentry.connectors import PLATFORMS
from keysentry.connectors.base import NotifierOptions, QuarantineModule, QuarantineOptions
from keysentry.errors import ConfigError
from keysentry.response.notify import NOTIFIERS, NotifierModule, notifier_kind
from keysentry.response.options import ResponseOptions
from keysentry.response.outbound import OutboundOptions
from keysentry.response.policy import Playbook, duration
from keysentry.response.revoke.table import REVOKERS, revoker_kind
from keysentry.response.vault.table import VAULTS, vault_kind

LISTS = ("playbook", "quarantine", "notifier", "revoker", "vault")
"""The tables that there are several of, beside sources."""
AUTHOR = "author"
T = TypeVar("T", bound=msgspec.Struct)


class QuarantineConfig(msgspec.Struct, frozen=True):
    """The acting side of a source: its platform, and what that is told."""

    platform: str
    options: QuarantineOptions


class KindConfig(msgspec.Struct, frozen=True):
    """A notifier, a revoker or a vault: its kind, and what that is told."""

    kind: str
    options: msgspec.Struct

    @property
    def name(self) -> str:
        """What playbooks call it."""
        return cast(NotifierOptions, self.options).name


class Acting(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about response."""

    options: ResponseOptions = ResponseOptions()
    outbound: OutboundOptions = OutboundOptions()
    playbooks: tuple[Playbook, ...] = ()
    quarantines: tuple[QuarantineConfig, ...] = ()
    notifiers: tuple[KindConfig, ...] = ()
    revokers: tuple[KindConfig, ...] = ()
    vaults: tuple[KindConfig, ...] = ()

    @property
    def present(self) -> bool:
        """Whether anything is to be done about findings at all."""
        return bool(self.playbooks or self.quarantines)


NOTIFYING: dict[str, str] = {"slack": "slack", "teams": "microsoft"}
"""Kinds of notifiers that are platforms: by which platform's package."""


def kinds_of(table: str) -> tuple[str, ...]:
    """The kinds that a table may be of."""
    if table == "notifier":
        platforms = (kind for kind, platform in NOTIFYING.items() if _there(f"keysentry.connectors.{platform}.notify"))
        return (*(one.name for one in NOTIFIERS), *platforms)
    if table == "revoker":
        return tuple(one.name for one in REVOKERS)
    return tuple(one.name for one in VAULTS)


def options_of_kind(table: str, kind: str) -> type[msgspec.Struct]:
    """The Options of a kind. Its extra need not be installed."""
    if table == "notifier":
        return notifier_module(kind).Options
    return revoker_kind(kind).load().Options if table == "revoker" else vault_kind(kind).load().Options


def notifier_module(kind: str) -> NotifierModule:
    """The module of a kind of notifier, of a platform or not."""
    if kind in NOTIFYING:
        return cast(NotifierModule, importlib.import_module(f"keysentry.connectors.{NOTIFYING[kind]}.notify"))
    return notifier_kind(kind).load()


def can_act(platform: str) -> bool:
    """Whether something can be held in a platform."""
    return _there(f"keysentry.connectors.{platform}.quarantine")


def _there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def quarantine_module(platform: str) -> QuarantineModule:
    """The acting side of a platform. Its extra need not be installed."""
    return cast(QuarantineModule, importlib.import_module(f"keysentry.connectors.{platform}.quarantine"))


def read_acting(
    document: Document,
    options: ResponseOptions,
    outbound: OutboundOptions,
    sources: Mapping[str, str],
    environment: Mapping[str, str],
    notes: Notes,
) -> Acting:
    """The tables about response; `sources` are the platforms of the configured sources, by name."""
    reader = _Reader(document, environment, notes)
    acting = Acting(
        options=options,
        outbound=outbound,
        playbooks=tuple(one for _, one in reader.each("playbook", lambda table, _: table.decode(Playbook))),
        quarantines=tuple(one for _, one in reader.each("quarantine", _Quarantines(sources, notes))),
        notifiers=tuple(one for _, one in reader.each("notifier", _OfKind("notifier", notes))),
        revokers=tuple(one for _, one in reader.each("revoker", _OfKind("revoker", notes))),
        vaults=tuple(one for _, one in reader.each("vault", _OfKind("vault", notes))),
    )
    notes.faults += _Held(document, acting, sources).faults()
    return acting


class _Reader:
    def __init__(self, document: Document, environment: Mapping[str, str], notes: Notes) -> None:
        self._document = document
        self._environment = environment
        self._notes = notes

    def each(self, name: str, decode: Callable[[Table, Mapping[str, object]], T | None]) -> Iterator[tuple[int, T]]:
        """The tables of a list, decoded; of two with one name the second is a fault."""
        names: dict[object, int] = {}
        for index, values in enumerate(tables_of(self._document, name, self._notes)):
            table = Table(
                self._document, (name, index), title(name, index, values), values, self._environment, self._notes
            )
            key = values.get("source" if name == "quarantine" else "name")
            if isinstance(key, str) and key in names:
                reason = f"{name}[{names[key] + 1}] has this name too"
                self._notes.faults.append(table.fault(reason, "name", advice="give each a name of its own"))
            names.setdefault(key, index)
            one = decode(table, values)
            if one is not None:
                yield index, one


class _OfKind:
    def __init__(self, table: str, notes: Notes) -> None:
        self._table = table
        self._notes = notes

    def __call__(self, table: Table, values: Mapping[str, object]) -> KindConfig | None:
        kinds = kinds_of(self._table)
        kind = values.get("kind")
        if not isinstance(kind, str) or kind not in kinds:
            reason = "must be given" if kind is None else f"there is no kind {kind!r}"
            advice = closest(str(kind), kinds) or f"one of: {', '.join(kinds)}"
            self._notes.faults.append(table.fault(reason, "kind", advice=advice))
            return None
        table.tell("kind", kind)
        options = table.decode(options_of_kind(self._table, kind), ("kind",))
        return None if options is None else KindConfig(kind, options)


class _Quarantines:
    def __init__(self, sources: Mapping[str, str], notes: Notes) -> None:
        self._sources = sources
        self._notes = notes

    def __call__(self, table: Table, values: Mapping[str, object]) -> QuarantineConfig | None:
        source = values.get("source")
        if not isinstance(source, str) or source not in self._sources:
            reason = "must be given" if source is None else f"there is no source {source!r}"
            advice = closest(str(source), list(self._sources)) or "name a [[source]] of this configuration"
            self._notes.faults.append(table.fault(reason, "source", advice=advice))
            return None
        platform = self._sources[source]
        if platform not in {one.name for one in PLATFORMS} or not can_act(platform):
            reason = f"nothing can be held in {platform or 'this source'} yet"
            self._notes.faults.append(
                table.fault(reason, "source", advice="leave it out; people are told all the same")
            )
            return None
        options = table.decode(quarantine_module(platform).Options)
        return None if options is None else QuarantineConfig(platform, options)


class _Held:
    """What must hold between the tables."""

    def __init__(self, document: Document, acting: Acting, sources: Mapping[str, str]) -> None:
        self._document = document
        self._acting = acting
        self._sources = sources
        self._notifiers = {one.name for one in acting.notifiers}

    def faults(self) -> Iterator[Fault]:
        acts = False
        for index, playbook in enumerate(self._acting.playbooks):
            for key, reason, advice in self._playbook(playbook):
                line = self._document.line("playbook", index, *key.split("."))
                table = title("playbook", index, {"name": playbook.name})
                yield Fault(
                    file=self._document.origin.file, table=table, key=key, line=line, reason=reason, advice=advice
                )
            steps = playbook.contain.hold or playbook.contain.seal or playbook.remediate != type(playbook.remediate)()
            acts = acts or (playbook.mode != "observe" and bool(steps))
        options = self._acting.options
        if acts and options.seal_key is None and not options.seal_key_service:
            yield Fault(
                file=self._document.origin.file,
                table="response",
                key="seal_key",
                line=self._document.line("response"),
                reason="there is no seal key, without which nothing can be held or revoked",
                advice="set KEYSENTRY_SEAL_KEY (openssl rand -hex 32 makes one), and keep a copy of it",
            )

    def _playbook(self, playbook: Playbook) -> Iterator[tuple[str, str, str]]:
        yield from self._lengths(playbook)
        yield from _names("notify.to", playbook.notify.to, {*self._notifiers, AUTHOR}, "notifier")
        yield from _names("escalate", playbook.escalate, self._notifiers, "notifier")
        vaults = {one.name for one in self._acting.vaults}
        yield from _names("remediate.vault", _given(playbook.remediate.vault), vaults, "vault")
        revokers = {one.name for one in self._acting.revokers} | {"auto"}
        yield from _names("remediate.revoke", _given(playbook.remediate.revoke), revokers, "revoker")
        platforms = [one.name for one in PLATFORMS]
        for name in playbook.match.platform:
            if "*" not in name and name not in platforms:
                advice = closest(name, platforms) or f"one of: {', '.join(platforms)}"
                yield "match.platform", f"there is no platform {name!r}", advice
        if playbook.contain.hold and playbook.mode != "observe":
            yield from self._without_quarantine(playbook)
        if AUTHOR in playbook.notify.to and not self._acting.notifiers:
            yield "notify.to", "nobody can reach the author", "add a [[notifier]] of the source's platform, or of mail"

    def _lengths(self, playbook: Playbook) -> Iterator[tuple[str, str, str]]:
        lengths = {
            "contain.within": playbook.contain.within,
            "assess.within": playbook.assess.within,
            "notify.within": playbook.notify.within,
            "notify.gather": playbook.notify.gather,
            "remediate.within": playbook.remediate.within,
        }
        for key, text in lengths.items():
            try:
                if text:
                    duration(text)
            except ConfigError as error:
                yield key, error.reason, error.advice

    def _without_quarantine(self, playbook: Playbook) -> Iterator[tuple[str, str, str]]:
        """Sources that the playbook may match and that nothing can be held in."""
        from fnmatch import fnmatchcase

        able = {one.options.source for one in self._acting.quarantines}
        match = playbook.match
        for name, platform in self._sources.items():
            wanted = not match.source or any(fnmatchcase(name, glob) for glob in match.source)
            fits = not match.platform or any(fnmatchcase(platform, glob) for glob in match.platform)
            if wanted and fits and name not in able:
                advice = f'add [[quarantine]] with source = "{name}", or leave the source out by match.source'
                yield "contain.hold", f"nothing can be held in the source {name!r}", advice


def _given(name: str) -> Sequence[str]:
    return (name,) if name else ()


def _names(key: str, names: Sequence[str], known: Collection[str], what: str) -> Iterator[tuple[str, str, str]]:
    for name in names:
        if name not in known:
            advice = closest(name, sorted(known)) or f"add a [[{what}]] of this name"
            yield key, f"there is no {what} {name!r}", advice


def tables_of(document: Document, name: str, notes: Notes) -> list[dict[str, object]]:
    """The tables of a list, as they stand."""
    tables = document.tables.get(name, [])
    if isinstance(tables, list) and all(isinstance(one, dict) for one in tables):
        return cast(list[dict[str, object]], tables)
    line = document.line(name)
    advice = f"write [[{name}]], with two brackets, above each one's settings"
    reason = "must be a list of tables"
    notes.faults.append(Fault(file=document.origin.file, table=name, line=line, reason=reason, advice=advice))
    return []


def title(table: str, index: int, values: Mapping[str, object]) -> str:
    """What a person knows a table of a list by; they count from 1."""
    name = values.get("name", values.get("source"))
    known = isinstance(name, str) and name and name.isprintable()
    return f'{table}[{index + 1}] "{name}"' if known else f"{table}[{index + 1}]"
