"""The variables of the environment that stand for settings, and all others that keysentry knows.

Every scalar of `[store]`, `[scan]`, `[watch]`, `[response]` and `[outbound]` has one: `KEYSENTRY_` with the table and
the setting in capitals. It weighs more than the file. What holds a list, and everything of the tables that there are
several of, stands in the file alone; their credentials come from variables of their own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import msgspec

from keysentry.advice import closest
from keysentry.config.document import CONTENT_VARIABLE, PATH_VARIABLE
from keysentry.config.fields import Field, fields_of
from keysentry.response.options import ResponseOptions
from keysentry.response.outbound import OutboundOptions
from keysentry.scan.options import ScannerOptions
from keysentry.service.options import WatchOptions
from keysentry.store.options import StoreOptions

PREFIX = "KEYSENTRY_"
TABLES: dict[str, type[msgspec.Struct]] = {
    "store": StoreOptions,
    "scan": ScannerOptions,
    "watch": WatchOptions,
    "response": ResponseOptions,
    "outbound": OutboundOptions,
}
"""The tables that there is one of, and their types."""
OTHERS = {
    PATH_VARIABLE: "the path of the configuration; --config weighs more",
    CONTENT_VARIABLE: "the configuration itself, as TOML, where there is no file",
    "KEYSENTRY_KEY": "the key of fingerprints, 16 characters or more",
    "KEYSENTRY_SEAL_KEY": "the key that seals what is found",
    "KEYSENTRY_OLD_SEAL_KEYS": "earlier keys that sealed what is found",
    "KEYSENTRY_CACHE_DIR": "the folder of compiled rules",
}


def variable_of(table: str, field: Field) -> str:
    """The variable that stands for a setting; empty if it has none."""
    return f"{PREFIX}{table}_{field.name}".upper() if table in TABLES and field.scalar else ""


def variables() -> dict[str, str]:
    """Every variable of keysentry's own and what it means."""
    settings = {
        variable_of(table, field): field.text
        for table, options in TABLES.items()
        for field in fields_of(options)
        if field.scalar
    }
    return OTHERS | settings


def misspelt(environment: Mapping[str, str], used: Collection[str]) -> Iterator[tuple[str, str]]:
    """Variables that nearly are one of ours, each with advice. `used` are those that a source looks at."""
    known = [name.removeprefix(PREFIX) for name in variables()]
    for name in sorted(environment):
        rest = name.removeprefix(PREFIX)
        if name.startswith(PREFIX) and name not in used and rest not in known and (advice := closest(rest, known)):
            yield name, advice.replace("did you mean ", f"did you mean {PREFIX}")
