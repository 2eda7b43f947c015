"""What every object store can be told, and how targets of the command line name one."""

from __future__ import annotations

from keysentry.connectors.base import SourceOptions
from keysentry.errors import ConfigError


class ObjectOptions(SourceOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every object store can be told.

    `prefixes`: only keys that begin with one of these. `versions`: read older versions as well, and notice deletions
    where the store tells of them. `max_object`: objects of more bytes are not read, and reported; 0 for no limit.
    `margin`: how many seconds the store's clocks may differ, and an upload may take to appear after the time that it
    is given. `base_url`: another address for the interface (a compatible store, a proxy, an emulator).
    """

    prefixes: tuple[str, ...] = ()
    versions: bool = False
    max_object: int = 0
    margin: float = 300.0
    base_url: str = ""

    def check(self) -> None:
        """Raise `ConfigError` for values that make no sense."""
        if self.max_object < 0:
            raise ConfigError("max_object is less than 0", place=self.name, advice="give bytes, or 0 for no limit")
        if self.margin < 0:
            raise ConfigError("margin is less than 0", place=self.name, advice="give seconds")
        if self.base_url and not self.base_url.startswith(("http://", "https://")):
            raise ConfigError("base_url is no address", place=self.name, advice="it begins with https:// or http://")


def split_target(target: str, scheme: str, names: int) -> list[str]:
    """`s3://bucket/some/prefix` as its parts: so many names, and the prefix (which may be empty).

    Raises `ConfigError` where a name is missing.
    """
    parts = target.removeprefix(f"{scheme}://").split("/", names)
    if len([part for part in parts[:names] if part]) < names:
        form = "account/container/prefix" if names > 1 else "bucket/prefix"
        raise ConfigError("this names no place", place=target, advice=f"write {scheme}://{form}")
    return [*parts, *[""] * (names + 1 - len(parts))]


def outermost(prefixes: tuple[str, ...]) -> list[str]:
    """The prefixes of which none begins with another: nothing is read twice. All keys if there are none."""
    kept: list[str] = []
    for prefix in sorted(set(prefixes)) or [""]:
        if not kept or not prefix.startswith(kept[-1]):
            kept.append(prefix)
    return kept
