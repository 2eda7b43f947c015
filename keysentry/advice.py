"""Words of advice that errors in several rooms share."""

from __future__ import annotations

from collections.abc import Iterable


def closest(asked: str, known: Iterable[str]) -> str:
    """`did you mean X?` for the nearest known word, or nothing."""
    from difflib import get_close_matches

    near = get_close_matches(asked, list(known), n=1)
    return f"did you mean {near[0]}?" if near else ""
