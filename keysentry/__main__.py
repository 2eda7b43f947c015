"""`python -m keysentry`: the command line."""

from __future__ import annotations

from keysentry.cli import run

if __name__ == "__main__":
    run()
