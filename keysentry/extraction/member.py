"""What archives give: members, and the ways in which they can be less than whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from keysentry.errors import InputError
from keysentry.model.finding import Skipped

CHUNK = 1 << 20
"""The largest piece in which a member's content comes."""


class Member(msgspec.Struct, frozen=True, gc=False):
    """A file inside an archive. `size` is None where the archive does not say.

    `chunks()` gives the content in pieces of up to 1 MiB, once, before the next member is asked for. It does not
    raise: where the content ends too early, the archive gives a `Skipped` right after the member, which says why.
    """

    name: str
    size: int | None
    chunks: Callable[[], Iterator[bytes]]


def place_in(outer: str, inner: str) -> str:
    """Name a member of an archive: `outer.zip » inner.txt`."""
    return f"{outer} » {inner}"


def skipped(error: InputError, place: str, *, partial: bool = False) -> Skipped:
    """The value that says what an error stopped from being read."""
    reason = f"{error.reason} ({error.advice})" if error.advice else error.reason
    return Skipped(error.place or place, reason, partial)


def guarded(chunks: Iterator[bytes], place: str, problems: list[Skipped]) -> Iterator[bytes]:
    """Pass on chunks up to the first error, which becomes a `Skipped` in `problems`."""
    partial = False
    try:
        for chunk in chunks:
            partial = True
            yield chunk
    except InputError as error:
        problems.append(skipped(error, place, partial=partial))
