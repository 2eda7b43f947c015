"""The content of a file in OneDrive or SharePoint, piece by piece.

Algorithm. Each time the content is opened the file itself is asked for: for its state, and for a pre-authenticated
address that lives a few minutes. A connection that breaks is taken up again with a range, from a new address, if the
content is still the same.

https://learn.microsoft.com/en-us/graph/api/driveitem-get-content
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from keysentry.connectors.microsoft.client import Download, GraphClient
from keysentry.connectors.microsoft.faults import PLACE, ForbiddenError, LockedError, RejectedError, ResyncError
from keysentry.connectors.microsoft.wire import Facet, Graph, read
from keysentry.connectors.pace import Refused
from keysentry.errors import AccessError, GoneError, InputError, SourceError

_BREAKS = 6
"""How often a content may break without a byte in between."""
_NOT_TO_BE_HAD = (GoneError, ForbiddenError, LockedError, ResyncError, RejectedError)
_CHANGED = "it changed while it was read; it comes again with its next change"


class Hashes(Graph, frozen=True):
    """https://learn.microsoft.com/en-us/graph/api/resources/hashes"""

    quick_xor_hash: str | None = None
    sha1_hash: str | None = None
    sha256_hash: str | None = None


class File(Graph, frozen=True):
    """https://learn.microsoft.com/en-us/graph/api/resources/file"""

    mime_type: str | None = None
    hashes: Hashes | None = None


class State(Graph, frozen=True):
    """What tells whether a content is still the same, and where to get it.

    The size is not among it: for Office files SharePoint tells another one than it delivers.
    """

    c_tag: str | None = None
    deleted: Facet | None = None
    malware: Facet | None = None
    url: str | None = msgspec.field(default=None, name="@microsoft.graph.downloadUrl")


def unbroken(client: GraphClient, begin: Callable[[int], Iterator[bytes]]) -> Iterator[bytes]:
    """A content in pieces, whatever happens to connections. `begin` gives it from a byte on, and raises `Refused` when
    the connection breaks. Raises `SourceError` after several breaks without a byte in between.
    """
    done = breaks = 0
    while True:
        try:
            for piece in begin(done):
                done += len(piece)
                breaks = 0
                yield piece
            return
        except Refused as refused:
            breaks += 1
            if breaks >= _BREAKS:
                raise SourceError(f"{refused.reason} ({breaks} times)", place=PLACE) from None
        client.pause(0.5 * (breaks - 1))


def beyond(pieces: Iterator[bytes], passed: int) -> Iterator[bytes]:
    """The pieces without the first `passed` bytes."""
    for piece in pieces:
        if passed >= len(piece):
            passed -= len(piece)
        else:
            yield piece[passed:]
            passed = 0


class Content:
    """The content of one file, by its path in Graph (`/drives/{id}/items/{id}`)."""

    def __init__(self, client: GraphClient, path: str) -> None:
        self._client = client
        self._path = path

    def open(self) -> Iterator[bytes]:
        """The content in pieces. Raises `InputError` for what cannot be had or has changed meanwhile, and `SourceError`
        for what may be had later.
        """
        tags: list[str | None] = []

        def begin(start: int) -> Iterator[bytes]:
            state = self._state()
            tags.append(state.c_tag)
            if tags[0] != state.c_tag:
                raise InputError(_CHANGED)
            download = self._begin(state, start)
            return beyond(download.pieces, start if download.status == 200 else 0)

        return unbroken(self._client, begin)

    def _state(self) -> State:
        try:
            found = read(self._client.get(self._path).body, State) or State()
        except _NOT_TO_BE_HAD as error:
            raise InputError(str(error)) from error
        if found.deleted is not None:
            raise InputError("it was deleted meanwhile")
        if found.malware is not None:
            raise InputError("Microsoft 365 found malware in it and does not give it out")
        return found

    def _begin(self, state: State, start: int) -> Download:
        if state.url:
            try:
                return self._client.download(state.url, start)
            except (AccessError, *_NOT_TO_BE_HAD):  # it has outlived its time
                pass
        url = self._address()
        try:
            return self._client.download(url, start)
        except (AccessError, *_NOT_TO_BE_HAD) as error:
            raise InputError(f"its content cannot be had: {error}") from error

    def _address(self) -> str:
        """A new address of the content, where the file itself did not tell one that works."""
        try:
            url = self._client.redirect(f"{self._path}/content")
        except _NOT_TO_BE_HAD as error:
            raise InputError(f"its content cannot be had: {error}") from error
        if not url:
            raise InputError("the service gives no address of its content")
        return url
