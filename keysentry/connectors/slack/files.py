"""The files of a message: which of them can be read, and how.

What a file is stands in its object (https://docs.slack.dev/reference/objects/file-object): snippets, posts and canvases
have content to download like any upload; a `mode` of tombstone or hidden_by_limit, or a file that is kept elsewhere
(Google Drive, a link), has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from keysentry.connectors.slack.client import Client, CodeError, Fields
from keysentry.connectors.slack.download import Downloads
from keysentry.errors import AccessError, GoneError, InputError
from keysentry.model.finding import Skipped
from keysentry.model.record import Part

_PAGES = {"quip": ".html", "canvas": ".html", "space": ".html", "post": ".html"}
"""File types and modes that are downloaded as a web page, whatever their name says."""
_DENIED = {
    "access_denied": "Slack does not give it to this token",
    "file_not_found": "it is not there any more",
    "slack_file_not_found": "it is not there any more",
}


class Files:
    """Makes parts of the files of messages. `largest` is the size in bytes above which one is not read."""

    def __init__(self, client: Client, downloads: Downloads, *, wanted: bool, largest: int) -> None:
        self._client = client
        self._downloads = downloads
        self.wanted = wanted
        self._largest = largest

    def of_message(self, message: Fields, place: str) -> tuple[list[Part], list[Skipped]]:
        """The files of a message as parts, and those that cannot be read. `place` names the message."""
        listed = message.get("files")
        parts: list[Part] = []
        skipped: list[Skipped] = []
        for file in listed if self.wanted and isinstance(listed, list) else ():
            if not isinstance(file, dict):
                skipped.append(Skipped(place, "one of its files is described in a way that cannot be understood"))
                continue
            found = self.part(file, place)
            (parts if isinstance(found, Part) else skipped).append(found)  # type: ignore[arg-type]
        return parts, skipped

    def part(self, file: Fields, place: str) -> Part | Skipped:
        """One file, from its object."""
        name = file_name(file)
        where = f"{place} » {name}"
        size = file.get("size")
        size = size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None
        reason = _refusal(file)
        if reason:
            return Skipped(where, reason)
        if size is not None and size > self._largest:
            return Skipped(where, f"it has {size:,} bytes; more than {self._largest:,} (`max_file`) are not read")
        return Part(name=name, size=size, open=self._opener(file, where))

    def info(self, id: str) -> Fields | None:
        """A file's object by its id (https://docs.slack.dev/reference/methods/files.info); None if it is not to be had.

        Raises `SourceError`; `AccessError` where the token is not accepted at all.
        """
        try:
            found = self._client.call("files.info", file=id).get("file")
        except AccessError:
            self._client.scopes()  # if the token lives it may only not read files, and `units` tells of that
            return None
        except (GoneError, CodeError):
            return None
        return found if isinstance(found, dict) else None

    def _opener(self, file: Fields, where: str) -> Callable[[], Iterator[bytes]]:
        url, page, id = _url(file), _is_page(file), str(file.get("id") or "")

        def content() -> Iterator[bytes]:
            address, as_page = url, page
            if not address:  # a file of another organisation is only named: its object must be asked for
                known = self.info(id) or {}
                address, as_page = _url(known), _is_page(known)
                reason = _refusal(known) if known else "it is not there any more"
                if reason or not address:
                    raise InputError(reason or "Slack gives no address for its content", place=where)
            yield from self._limited(self._downloads.content(address, where, page=as_page), where)

        return content

    def _limited(self, pieces: Iterator[bytes], where: str) -> Iterator[bytes]:
        """The pieces, as long as they are no more than is read: an object need not tell the size, or not truly."""
        done = 0
        for piece in pieces:
            done += len(piece)
            if done > self._largest:
                raise InputError(f"it has more than {self._largest:,} bytes (`max_file`)", place=where)
            yield piece


def file_name(file: Fields) -> str:
    """A file's name with an ending that tells its format; made of its title, id and type where it has none."""
    name = _text(file, "name")
    kind = _text(file, "filetype")
    ending = _PAGES.get(kind) or _PAGES.get(_text(file, "mode"))
    if not name:
        name = _text(file, "title") or _text(file, "id") or "a file without a name"
        if not ending and kind and "." not in name:
            name = f"{name}.{kind}"
    return name if not ending or name.endswith(ending) else name + ending


def _refusal(file: Fields) -> str:
    """Why a file has no content to read; empty if it has."""
    mode, access = _text(file, "mode"), _text(file, "file_access")
    if mode == "tombstone":
        return "it was deleted"
    if mode == "hidden_by_limit":
        return "the workspace's plan hides it"
    if mode == "external" or file.get("is_external") is True:
        return f"it is kept outside Slack ({_text(file, 'external_type') or 'a link'})"
    if access in _DENIED:
        return _DENIED[access]
    if not _url(file) and not _text(file, "id"):
        return "Slack gives no address for its content"
    return ""


def _url(file: Fields) -> str:
    return _text(file, "url_private_download") or _text(file, "url_private")


def _is_page(file: Fields) -> bool:
    kinds = (_text(file, "filetype"), _text(file, "mode"))
    return any(kind in _PAGES for kind in kinds) or _text(file, "mimetype").startswith("text/html")


def _text(file: Fields, key: str) -> str:
    value = file.get(key)
    return value if isinstance(value, str) else ""
