"""The quarantine of files: which file, whether it is what was scanned, and the way in which it is held."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import msgspec

from keysentry.connectors.files import Options as ReadingOptions
from keysentry.connectors.files.masking import Masking, masks_of
from keysentry.connectors.files.moving import Moving
from keysentry.connectors.files.quarantine import Options
from keysentry.connectors.files.spot import Spot, State, found
from keysentry.connectors.files.ticket import Step, Ticket, Way, hold_id, must_be, record_hash, ticket_of
from keysentry.connectors.forms import Search, covered
from keysentry.errors import ChangedError, ClosedError, GoneError, InputError, UnclearError
from keysentry.model.action import Original, Place, Receipt
from keysentry.model.sensitive import Sensitive

_SECOND = 1_000_000_000
_DONE = {
    "move": "moved into the quarantine, readable by its owner only, with a text in its place",
    "mask": "written anew with the secret masked",
    "mode": "closed to everybody but its owner, who still reads it",
}
_UNDONE = {
    "move": "moved back, with its owner, mode and times",
    "mask": "written anew as it was",
    "mode": "readable again as it was",
}


class FilesQuarantine:
    """Holds and releases files below one path."""

    def __init__(self, options: Options, source: ReadingOptions, *, step: Step = lambda name: None) -> None:
        """`step` is told of every change before it is made."""
        self._options = options
        self._root = os.path.abspath(source.path)  # noqa: PTH100
        self._moving = Moving(step)
        self._ways: dict[str, Way] = {"move": self._moving, "mask": Masking(step), "mode": Closing(step)}
        self._closed = False

    def close(self) -> None:
        """Nothing is held open; what is asked after this raises `ClosedError`."""
        self._closed = True

    def inspect(self, place: Place, secrets: Sequence[Sensitive]) -> Original:
        """The file as it is now: if a secret is in it; or if it is no plain text, and nobody wrote it since it was
        scanned.

        Of what a hold of ours has begun to move, it gives what was there before.
        """
        title = covered(f"{self._root}/{place.record}", secrets)
        with self._spot(place, title) as spot:
            search = Search(secrets)
            now = spot.look(search)
            hashed = record_hash(place.source, place.record)
            folder = os.path.abspath(self._options.folder) if self._options.folder else ""  # noqa: PTH100
            ticket = self._moving.begun(spot, folder, hashed, now)
            if ticket is None:
                ticket = self._ticket(place, spot, now, search, secrets, folder)
        state = ticket.state
        what = "folder" if state.folder else "file"
        note = f"{what} {ticket.title}, {state.size:,} bytes, written {_iso(state.modified)}"
        if state.links > 1:
            note += f", with {state.links - 1} other names (hard links)"
        return Original(content=msgspec.json.encode(ticket), version=state.name, note=note)

    def hold(self, place: Place, original: Original, secrets: Sequence[Sensitive], placeholder: str) -> Receipt:
        """Move, mask or close it."""
        ticket = ticket_of(original.content)
        with self._spot(place, ticket.title) as spot:
            self._way(ticket).hold(spot, ticket, placeholder)
            if not self._way(ticket).is_held(spot, ticket, placeholder):
                raise UnclearError("it was not held when it was looked at again", place=ticket.title)
        return _held(ticket, placeholder)

    def held(self, place: Place, original: Original, placeholder: str) -> Receipt | None:
        """The receipt, if it is moved, masked or closed."""
        ticket = ticket_of(original.content)
        try:
            with self._spot(place, ticket.title) as spot:
                return _held(ticket, placeholder) if self._way(ticket).is_held(spot, ticket, placeholder) else None
        except GoneError:
            return None

    def release(self, place: Place, original: Original, receipt: Receipt) -> Receipt:
        """Put it back, with its content, owner, mode and times."""
        ticket = ticket_of(original.content)
        with self._spot(place, ticket.title) as spot:
            done = self._way(ticket).release(spot, ticket, receipt.undo.decode())
        return _released(ticket, already=not done)

    def released(self, place: Place, original: Original, receipt: Receipt) -> Receipt | None:
        """The receipt, if it is back."""
        ticket = ticket_of(original.content)
        with self._spot(place, ticket.title) as spot:
            return _released(ticket, already=False) if self._way(ticket).is_released(spot, ticket) else None

    @contextmanager
    def _spot(self, place: Place, title: str) -> Iterator[Spot]:
        if self._closed:
            raise ClosedError("closed", place=title)
        with found(self._root, place.record, title) as spot:
            yield spot

    def _way(self, ticket: Ticket) -> Way:
        try:
            return self._ways[ticket.mode]
        except KeyError:
            raise InputError(f"there is no way {ticket.mode} to hold a file", place=ticket.title) from None

    def _ticket(
        self,
        place: Place,
        spot: Spot,
        now: State | None,
        search: Search,
        secrets: Sequence[Sensitive],
        folder: str,
    ) -> Ticket:
        """What a hold will be about. Raises `ChangedError` if the secret is not in the file any more."""
        if now is None:
            raise GoneError("it is not there any more", place=spot.title)
        unread = now.folder or not search.plain or any(step.kind != "file" for step in place.route)
        scanned = _iso(now.modified) == place.time
        if not search.found and not (unread and (now.folder or scanned)):
            raise ChangedError("the secret is not in it any more", place=spot.title)
        mode = self._options.mode
        ticket = Ticket(
            id=hold_id(place.source, place.record, now), mode=mode, state=now, title=spot.title, folder=folder
        )
        if mode != "mask":
            return ticket
        if now.folder or now.size > self._options.max_mask:
            reason = "it is a whole folder" if now.folder else f"{now.size:,} bytes are more than max_mask allows"
            raise InputError(reason, place=spot.title, advice='set mode = "move"')
        with os.fdopen(spot.open(), "rb") as file:
            data = file.read()
        return msgspec.structs.replace(ticket, masks=masks_of(data, secrets, spot.title))


class Closing:
    """Takes the right to read from all but the owner, and gives it back."""

    def __init__(self, step: Step) -> None:
        self._step = step

    def hold(self, spot: Spot, ticket: Ticket, placeholder: str) -> None:
        """0600, or 0700 for a folder."""
        if not self.is_held(spot, ticket, placeholder):
            must_be(ticket, spot.look())
            self._set(spot, ticket, 0o700 if ticket.state.folder else 0o600)

    def is_held(self, spot: Spot, ticket: Ticket, placeholder: str) -> bool:
        """Whether it is closed, and nobody has replaced it."""
        status = spot.status()
        return status is not None and status.st_ino == ticket.state.inode and not status.st_mode & 0o077

    def release(self, spot: Spot, ticket: Ticket, placeholder: str) -> bool:
        """The mode that it had."""
        status = spot.status()
        if status is None:
            raise GoneError("it is not there any more", place=ticket.title)
        if status.st_ino != ticket.state.inode:
            raise ChangedError("something else is in its place", place=ticket.title)
        if self.is_released(spot, ticket):
            return False
        self._set(spot, ticket, ticket.state.mode)
        return True

    def is_released(self, spot: Spot, ticket: Ticket) -> bool:
        """Whether it has the mode that it had."""
        status = spot.status()
        return status is not None and status.st_mode & 0o7777 == ticket.state.mode

    def _set(self, spot: Spot, ticket: Ticket, mode: int) -> None:
        self._step("mode")
        flags = os.O_RDONLY | os.O_NONBLOCK | (os.O_DIRECTORY if ticket.state.folder else 0)
        descriptor = spot.open(flags)
        try:
            if os.fstat(descriptor).st_ino != ticket.state.inode:
                raise ChangedError("it was replaced at this moment", place=ticket.title)
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _held(ticket: Ticket, placeholder: str) -> Receipt:
    state = ticket.state
    note = _DONE[ticket.mode]
    if state.links > 1:
        others = {"mask": "still show it", "mode": "are closed with it", "move": "are closed with it"}[ticket.mode]
        note += f"; its {state.links - 1} other names (hard links) {others}"
    evidence = {"file": ticket.title, "sha256": state.sum, "bytes": str(state.size), "hold": ticket.id}
    if ticket.mode == "mask":
        evidence["masks"] = str(len(ticket.masks))
    if ticket.mode == "move":
        evidence["quarantine"] = f"{ticket.folder}/{ticket.id}"
    if state.mode & 0o077 == 0 and ticket.mode == "mode":
        return Receipt(
            outcome="already", note="only its owner could read it", evidence=evidence, undo=placeholder.encode()
        )
    return Receipt(outcome="done", note=note, evidence=evidence, undo=placeholder.encode())


def _released(ticket: Ticket, *, already: bool) -> Receipt:
    evidence = {"file": ticket.title, "sha256": ticket.state.sum}
    return Receipt(outcome="already" if already else "done", note=_UNDONE[ticket.mode], evidence=evidence)


def _iso(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds // _SECOND, UTC).isoformat().replace("+00:00", "Z")
