"""Reads rule packs: finds the files, decodes them, and reports every fault of every file at once."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from keysentry.errors import ConfigError, RuleError, RulePackError
from keysentry.rules.schema import Pack, PackSet, Provider, Rule, RuleSet

if TYPE_CHECKING:
    from pathlib import Path

PACKS_FILE = "packs.toml"


class Source(msgspec.Struct, frozen=True):
    """A pack file before it is decoded: the path a person knows it by, its name for `packs.toml`, and its bytes."""

    path: str
    name: str
    content: bytes


def built_in_root() -> str:
    """The folder of the packs that come with keysentry: inside the package, or beside it in a checkout.

    Raises `ConfigError` if neither is there (a broken installation).
    """
    package = os.path.dirname(os.path.realpath(__file__))  # noqa: PTH120  at every start: pathlib takes longer
    for root in (f"{package}/packs", f"{os.path.dirname(os.path.dirname(package))}/rules"):  # noqa: PTH120
        if os.path.isfile(f"{root}/{PACKS_FILE}"):  # noqa: PTH113
            return root
    raise ConfigError("the built-in rules are missing", place=package, advice="reinstall keysentry")


def pack_sets(root: str) -> dict[str, PackSet]:
    """The named sets of `packs.toml` in `root`. Raises `RulePackError` if it cannot be decoded."""
    path = f"{root}/{PACKS_FILE}"
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return msgspec.toml.decode(file.read(), type=dict[str, PackSet])
    except (msgspec.DecodeError, OSError) as error:
        raise RulePackError([RuleError(str(error), file=path)]) from None


def built_in_sources(pack: str = "default") -> list[Source]:
    """The files of one named set, sorted. Raises `ConfigError` for a set that does not exist."""
    root = built_in_root()
    sets = pack_sets(root)
    if pack not in sets:
        known = ", ".join(sorted(sets))
        raise ConfigError(f"there is no pack {pack!r}", place="--pack", advice=f"choose from: {known}")
    chosen = sets[pack]
    sources = []
    for name in sorted(_pack_names(root)):
        if _matches(name, chosen.include) and not _matches(name, chosen.exclude):
            path = f"{root}/{name}.toml"
            with open(path, "rb") as file:  # noqa: PTH123  some hundred files at every start: pathlib would take longer
                sources.append(Source(path, name, file.read()))
    return sources


def _pack_names(root: str) -> Iterator[str]:
    """The pack files below a folder, by their names in `packs.toml`: the path without its ending."""
    for folder, _folders, files in os.walk(root):
        below = folder[len(root) + 1 :].replace(os.sep, "/")
        for file in files:
            if file.endswith(".toml") and file != PACKS_FILE:
                yield f"{below}/{file[:-5]}" if below else file[:-5]


def file_sources(paths: Iterable[Path]) -> list[Source]:
    """Pack files and folders of pack files that a user named. Raises `ConfigError` for one that cannot be read."""
    sources = []
    for path in paths:
        files = sorted(path.rglob("*.toml")) if path.is_dir() else [path]
        for file in files:
            if file.name == PACKS_FILE:
                continue
            try:
                sources.append(Source(str(file), file.stem, file.read_bytes()))
            except OSError as error:
                raise ConfigError(
                    error.strerror or str(error), place=str(file), advice="name a readable file"
                ) from None
    return sources


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def content_hash(sources: Iterable[Source], salt: str) -> str:
    """Names the contents of some pack files: equal files (and salt) give equal hashes, whatever their paths."""
    import hashlib

    digest = hashlib.blake2b(salt.encode(), digest_size=20)
    for source in sources:
        digest.update(len(source.content).to_bytes(8, "big") + source.name.encode() + b"\0" + source.content)
    return digest.hexdigest()


def decode(sources: Iterable[Source]) -> RuleSet:
    """Decode pack files into one set of rules, ordered by id.

    Raises `RulePackError` with every fault of every file: bad TOML, unknown or missing fields, ids used twice, and
    everything that `keysentry.rules.lint` holds to be wrong.
    """
    from keysentry.rules.lint import errors_of

    errors: list[RuleError] = []
    rules: dict[str, Rule] = {}
    providers: dict[str, Provider] = {}
    for source in sources:
        pack = _decode_one(source, errors)
        if pack is None:
            continue
        for rule in pack.rule:
            if rule.id in rules:
                errors.append(RuleError("this id is used twice", file=source.path, rule=rule.id, field="id"))
                continue
            errors += errors_of(rule, source.path)
            rules[rule.id] = rule
            providers[rule.id] = pack.provider
    if errors:
        raise RulePackError(errors)
    return RuleSet(tuple(rules[key] for key in sorted(rules)), {key: providers[key] for key in sorted(providers)})


def _decode_one(source: Source, errors: list[RuleError]) -> Pack | None:
    try:
        return msgspec.toml.decode(source.content, type=Pack)
    except msgspec.ValidationError as error:
        errors.append(_located(source, str(error)))
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        errors.append(RuleError(f"not valid TOML: {error}", file=source.path))
    return None


def _located(source: Source, message: str) -> RuleError:
    """Turn msgspec's `... - at `$.rule[3].severity`` into the rule's id and field."""
    reason, _, where = message.partition(" - at `$")
    where = where.rstrip("`")
    rule, field = "", where.lstrip(".")
    if where.startswith(".rule["):
        index, _, field = where[6:].partition("]")
        rule, field = _rule_name(source, index), field.lstrip(".")
    return RuleError(reason, file=source.path, rule=rule, field=field)


def _rule_name(source: Source, index: str) -> str:
    """The id of the rule at an index of a file whose typed decoding failed, or its number where it has none."""
    raw = msgspec.toml.decode(source.content)
    try:
        return str(raw["rule"][int(index)]["id"])
    except (KeyError, IndexError, TypeError, ValueError):
        return f"rule {index}"


def merge(*rule_sets: RuleSet) -> RuleSet:
    """One set of the rules of several; of rules with the same id the last one stands."""
    rules = {rule.id: (rule, rule_set.providers[rule.id]) for rule_set in rule_sets for rule in rule_set.rules}
    return RuleSet(tuple(rules[key][0] for key in sorted(rules)), {key: rules[key][1] for key in sorted(rules)})


def load_rules(*paths: str | Path, pack: str | None = "default") -> RuleSet:
    """Load the built-in rules of a named set (None: none of them) and those of the files or folders named.

    Raises `ConfigError` for a set or file that does not exist and `RulePackError` for faults in the rules, all
    together.
    """
    from pathlib import Path

    sources = built_in_sources(pack) if pack else []
    return decode([*sources, *file_sources(Path(path) for path in paths)])


def decode_rules(toml: str, name: str = "rules in code") -> RuleSet:
    """Rules written in code, in the notation of a pack file; `name` is how messages call them.

    Raises `RulePackError`.
    """
    return decode([Source(name, name, toml.encode())])
