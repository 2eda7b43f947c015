"""The options of a source that the command line names (`slack:`, `s3://bucket/prefix`), for one scan of it.

What the target says weighs most. Where the configuration has a source of the same platform its settings hold for the
rest (its credentials, another address), and else the platform's own variables and defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from keysentry.config.acting import title
from keysentry.config.decode import Notes, Table
from keysentry.config.document import Document, read
from keysentry.config.faults import ConfigFaults
from keysentry.config.load import SOURCE_KEYS, source_tables
from keysentry.config.platforms import OptionsOf, platform_options
from keysentry.connectors.base import SourceOptions


def options_for_target(
    platform: str,
    fields: Mapping[str, object],
    path: Path | None,
    *,
    environment: Mapping[str, str],
    options_of: OptionsOf = platform_options,
) -> SourceOptions:
    """The options of a source of a platform with the fields that a target stands for.

    Of several sources of the platform that one counts whose settings agree with the most fields, or the first. Faults
    of other tables do not matter. Raises `ConfigFaults`, and `ConfigError` for a platform that cannot be loaded.
    """
    document = read(path, environment)
    notes = Notes()
    index, values = _nearest(document, platform, fields)
    words = platform if index is None else title("source", index, values)
    way = () if index is None else ("source", index)
    merged = {"name": platform, **values, **fields}
    options = Table(document, way, words, merged, environment, notes).decode(options_of(platform), SOURCE_KEYS)
    faults = notes.faults + notes.missing
    if faults or options is None:
        raise ConfigFaults(faults)
    return options


def _nearest(
    document: Document, platform: str, fields: Mapping[str, object]
) -> tuple[int | None, Mapping[str, object]]:
    """The source of a platform that is nearest to a target, and its number; None and nothing if there is none."""
    tables = enumerate(source_tables(document, Notes()))
    same = [(index, table) for index, table in tables if table.get("platform") == platform]

    def agreement(found: tuple[int, Mapping[str, object]]) -> int:
        return sum(found[1].get(name) == value for name, value in fields.items())

    return max(same, key=agreement) if same else (None, {})
