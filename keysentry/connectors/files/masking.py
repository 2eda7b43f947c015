"""Masking a secret in a file of plain text: the file is written anew beside itself, and takes its own place at once.

What stood where a mask stands now is kept sealed, by offset; putting it back must give the very content that there was.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence

from keysentry.connectors.files.spot import PIECE, Spot, State, dress
from keysentry.connectors.files.ticket import Mask, Step, Ticket, must_be
from keysentry.connectors.forms import forms
from keysentry.errors import ChangedError, InputError, UnclearError
from keysentry.model.sensitive import Sensitive

_ADVICE = 'set mode = "move"'


def masks_of(data: bytes, secrets: Sequence[Sensitive], title: str) -> tuple[Mask, ...]:
    """Where the secrets stand in a text, in all of their forms.

    Raises `InputError` if it is no plain text, or if only some of the secrets can be seen in it.
    """
    if b"\0" in data:
        raise InputError("it is no plain text, in which a secret can be masked", place=title, advice=_ADVICE)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(
            "it is no text in UTF-8, in which a secret can be masked", place=title, advice=_ADVICE
        ) from None
    written = [forms(secret) for secret in secrets]
    if not all(any(form in data for form in one) for one in written):
        raise InputError("a secret is written in a way that cannot be masked", place=title, advice=_ADVICE)
    every = sorted({form for one in written for form in one}, key=len, reverse=True)
    pattern = re.compile(b"|".join(re.escape(form) for form in every))
    return tuple(Mask(match.start(), match[0]) for match in pattern.finditer(data))


class Masking:
    """Masks, and unmasks."""

    def __init__(self, step: Step) -> None:
        self._step = step

    def hold(self, spot: Spot, ticket: Ticket, placeholder: str) -> None:
        """Write the file anew with the masks in it."""
        if self.is_held(spot, ticket, placeholder):
            return
        now = must_be(ticket, spot.look())
        data = _read(spot)
        if hashlib.sha256(data).hexdigest() != ticket.state.sum:
            raise ChangedError("it was changed since it was looked at", place=ticket.title)
        self._write(spot, ticket, now, masked(data, ticket))
        if not self.is_held(spot, ticket, placeholder):
            raise UnclearError("it was not masked when it was read back", place=ticket.title)

    def is_held(self, spot: Spot, ticket: Ticket, placeholder: str) -> bool:
        """Whether the file is the original but for the masks."""
        status = spot.status()
        expected = ticket.state.size + sum(len(_mask(ticket)) - len(one.was) for one in ticket.masks)
        if status is None or status.st_size != expected:
            return False
        data = unmasked(_read(spot), ticket)
        return data is not None and hashlib.sha256(data).hexdigest() == ticket.state.sum

    def release(self, spot: Spot, ticket: Ticket, placeholder: str) -> bool:
        """Write the file anew as it was. Raises `ChangedError` if somebody has edited it since."""
        if self.is_released(spot, ticket):
            return False
        now = spot.look()
        data = unmasked(_read(spot), ticket) if now is not None else None
        if now is None or data is None or hashlib.sha256(data).hexdigest() != ticket.state.sum:
            raise ChangedError("it was edited since the secret was masked in it", place=ticket.title)
        self._write(spot, ticket, now, data)
        if not self.is_released(spot, ticket):
            raise UnclearError("it was not as it had been when it was read back", place=ticket.title)
        return True

    def is_released(self, spot: Spot, ticket: Ticket) -> bool:
        """Whether the file has its original content."""
        now = spot.look()
        return now is not None and now.is_content_of(ticket.state)

    def _write(self, spot: Spot, ticket: Ticket, now: State, data: bytes) -> None:
        """Write beside, through to the disk, and put in its place; only if that still is what was read."""
        self._step("rewrite")
        draft = spot.beside(f".keysentry-{ticket.id}.new")
        draft.remove()
        descriptor = draft.open(os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            for start in range(0, len(data), PIECE):
                view = memoryview(data)[start : start + PIECE]
                while view:
                    view = view[os.write(descriptor, view) :]
            dress(descriptor, ticket.state)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        status = spot.status()
        if status is None or (status.st_ino, status.st_mtime_ns, status.st_size) != (now.inode, now.modified, now.size):
            draft.remove()
            raise ChangedError("it was changed at this moment", place=ticket.title)
        os.replace(draft.name, spot.name, src_dir_fd=spot.folder, dst_dir_fd=spot.folder)
        os.fsync(spot.folder)


def masked(data: bytes, ticket: Ticket) -> bytes:
    """The content with a mask in place of each form of a secret."""
    pieces, at = [], 0
    for one in ticket.masks:
        pieces += [data[at : one.at], _mask(ticket)]
        at = one.at + len(one.was)
    return b"".join([*pieces, data[at:]])


def unmasked(data: bytes, ticket: Ticket) -> bytes | None:
    """The content that there was; None if a mask is not where it was put."""
    mask, pieces, at, moved = _mask(ticket), [], 0, 0
    for one in ticket.masks:
        start = one.at + moved
        if data[start : start + len(mask)] != mask:
            return None
        pieces += [data[at:start], one.was]
        at = start + len(mask)
        moved += len(mask) - len(one.was)
    return b"".join([*pieces, data[at:]])


def _mask(ticket: Ticket) -> bytes:
    """It stands in JSON, CSV and markup without harm, and is found again."""
    return f"[keysentry: {ticket.id[:8]}]".encode()


def _read(spot: Spot) -> bytes:
    descriptor = spot.open(os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        return file.read()
