"""Pages of lists, and contents in ranges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tests.servers.google_errors import bad_token


class Media:
    """Bytes as an answer: `pick(first, last)` gives some of them; without `ranged`, `Range` is not heeded."""

    def __init__(self, size: int, pick: Callable[[int, int], bytes], *, ranged: bool = True) -> None:
        self.size = size
        self.pick = pick
        self.ranged = ranged

    @classmethod
    def of(cls, content: bytes, *, ranged: bool = True) -> Media:
        """Bytes that there are."""
        return cls(len(content), lambda first, last: content[first : last + 1], ranged=ranged)


class Pager:
    """Gives out page tokens, and takes back only its own, with the parameters that they were given for.

    A token remembers what was on the pages before: that does not come again, whatever is added or removed meanwhile.
    """

    def __init__(self) -> None:
        self._given: dict[str, tuple[str, str, frozenset[str]]] = {}

    def expire(self) -> None:
        """Forget all tokens."""
        self._given.clear()

    def page(
        self, method: str, given: dict[str, Any], items: Sequence[Any], size: int, key: str = "id"
    ) -> tuple[list[Any], str]:
        """The page that is asked for, and the token of the next one ("": there is none)."""
        asked = repr(sorted((name, value) for name, value in given.items() if name != "pageToken"))
        before: frozenset[str] = frozenset()
        if given.get("pageToken"):
            name, parameters, before = self._given.get(given["pageToken"], ("", "", before))
            if (name, parameters) != (method, asked):
                raise bad_token()
        rest = [one for one in items if one[key] not in before] if before else list(items)
        if size >= len(rest):
            return rest, ""
        token = f"~!!~{method}.{len(self._given)}"
        self._given[token] = (method, asked, before | {one[key] for one in rest[:size]})
        return rest[:size], token
