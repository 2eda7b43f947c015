"""From texts, records and files to findings: the Scanner."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keysentry.scan.options import FileOptions, OnProgress, Progress
    from keysentry.scan.run import Scan
    from keysentry.scan.scanner import Scanner

__all__ = ["FileOptions", "OnProgress", "Progress", "Scan", "Scanner"]

if not TYPE_CHECKING:  # a type checker would believe that every name is here

    def __getattr__(name: str) -> object:
        """Import a name when it is first asked for: who lists folders needs no scanner."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        home = {"Scan": "run", "Scanner": "scanner"}.get(name, "options")
        value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
        return value
