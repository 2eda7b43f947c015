"""Which files of a message hold a secret, with their content: what must be sealed before they are deleted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from keysentry.connectors.forms import covered
from keysentry.connectors.slack.acting import Actor, check_has
from keysentry.connectors.slack.client import Fields
from keysentry.connectors.slack.download import Downloads
from keysentry.connectors.slack.files import Files, file_name
from keysentry.connectors.slack.presence import Traces, is_packed
from keysentry.connectors.slack.sealed import SealedFile, file_objects
from keysentry.errors import ChangedError, InputError
from keysentry.model.action import Place
from keysentry.model.finding import Skipped
from keysentry.model.record import Part
from keysentry.model.sensitive import Sensitive

_CANVASES: Final = frozenset(("quip", "canvas", "space", "post"))


class Held(NamedTuple):
    """What of a message holds a secret: its own words, and which files."""

    worded: bool
    files: tuple[SealedFile, ...]


class Search:
    """Looks for some secrets in one message. `most` is how many bytes of files may be sealed with it."""

    def __init__(self, actor: Actor, place: Place, secrets: Sequence[Sensitive], most: int) -> None:
        self._actor = actor
        self._secrets = secrets
        self._unseen = [Traces([secret]) for secret in secrets]
        self._all = list(self._unseen)
        self._most = most
        self._left = most
        self._where = place.uri or place.record
        self._named = place.route[0].name if place.route and place.route[0].kind == "file" else ""
        self._files = Files(actor, Downloads(actor), wanted=True, largest=most)

    def held(self, message: Fields) -> Held:
        """Its words if a secret is seen in them; the files in which one is seen, and the one that the finding names.

        A secret that is not seen may be there all the same: encoded, in pieces over several messages, in an archive.
        If the message was not edited since it was written, what may hide it is taken to hold it; rather more is held
        than too little. Raises `ChangedError`, `InputError` for a file that cannot be kept, and `SourceError`.
        """
        worded = self._sees(lambda one: one.in_message(message))
        found: list[SealedFile] = []
        packed: list[Fields] = []
        named = False
        for file in file_objects(message):
            called = bool(self._named) and file_name(file) == self._named
            if called or self._sees(lambda one, file=file: one.in_description(file)):  # type: ignore[misc]
                found.append(self._kept(file))
                self._sees(lambda one: bool(one.in_content(found[-1].content)))
                named = named or called
                continue
            seen, content = self._look(file)
            if seen:
                found.append(self._kept(file, content))
            elif seen is None:
                packed.append(file)
        edited = isinstance(message.get("edited"), dict)
        if edited and not worded and not found:
            raise ChangedError("it was edited, and the secret is not in it any more", place=self._where)
        if len(self._unseen) > int(named):
            worded = worded or not edited
            found += [self._kept(file) for file in packed]
        return Held(worded or not found, tuple(found))

    def _sees(self, look: Callable[[Traces], bool]) -> bool:
        """Whether any of the secrets is seen by a look; those that are need not be looked for any more."""
        seen = [one for one in self._all if look(one)]
        self._unseen = [one for one in self._unseen if one not in seen]
        return bool(seen)

    def _look(self, file: Fields) -> tuple[bool | None, bytes]:
        """Whether a secret is seen in a file that nothing speaks for yet, and its content."""
        part = self._files.part(file, self._where)
        if isinstance(part, Skipped):
            return False, b""
        try:
            content = _read(part)
        except InputError:
            return False, b""  # it cannot be had, so it was not scanned either
        if self._sees(lambda one: bool(one.in_content(content))):
            return True, content
        return (None if is_packed(content) else False), content

    def _kept(self, file: Fields, content: bytes = b"") -> SealedFile:
        """A file that must go, with all that puts it back. Raises `InputError` where that cannot be had."""
        name = file_name(file)
        where = f"{self._where} » {covered(name, self._secrets)}"
        if file.get("filetype") in _CANVASES or file.get("mode") in _CANVASES:
            advice = "take the secret out of the canvas by hand"
            raise InputError("a canvas cannot be put back as it was, so it is not deleted", place=where, advice=advice)
        if not content:
            check_has(self._actor, "files:read", "a file cannot be sealed, so it is not deleted")
            part = self._files.part(file, self._where)
            if isinstance(part, Skipped):
                raise InputError(f"it cannot be sealed, so it is not deleted: {part.reason}", place=where)
            content = _read(part)
        self._left -= len(content)
        if self._left < 0:
            advice = f"raise `max_file`, now {self._most:,} bytes, or take it away by hand"
            raise InputError("its files are too large to be sealed, so it is not touched", place=where, advice=advice)
        title = file.get("title")
        stored = file.get("name")
        return SealedFile(
            id=str(file.get("id") or ""),
            name=stored if isinstance(stored, str) and stored else name,
            title=title if isinstance(title, str) else "",
            content=content,
        )


def _read(part: Part) -> bytes:
    assert part.open is not None
    return b"".join(part.open())
