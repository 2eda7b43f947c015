"""Moving a file (or a whole folder) into the quarantine, and back.

How it is moved. (1) A folder for it is made in the quarantine, with a ticket. (2) The file is renamed into it; where
the quarantine is on another file system, renamed to a hidden name first. What was at its place is therefore never lost,
whoever wrote there in the last moment: it is looked at again, and put back if it is not what was inspected. (3) It is
closed to all but its owner (0600). (4) A text is put in its place, unless something is there by then. (5) On another
file system the content is copied, written through to the disk and compared, and the hidden name deleted.

Why an interruption does no harm: every step is seen on the disk, under names made of the record and of the state that
was inspected.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from keysentry.connectors.files.spot import PIECE, Spot, State, dress
from keysentry.connectors.files.ticket import Step, Ticket, must_be
from keysentry.errors import ChangedError, GoneError, InputError, UnclearError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _Kept(msgspec.Struct, frozen=True):
    """What lies beside a held file: its ticket, and the sum of the text that stands in its place."""

    ticket: Ticket
    stub: str


class Moving:
    """Moves into one quarantine folder, and out of it."""

    def __init__(self, step: Step) -> None:
        self._step = step

    # -- holding ------------------------------------------------------------------------------------------------------

    def hold(self, spot: Spot, ticket: Ticket, placeholder: str) -> None:
        """Move it, as far as that is not done, and leave a text."""
        aside = _aside(spot, ticket, "held")
        if not _home(ticket).joinpath("content").exists() and aside.status() is None:
            must_be(ticket, spot.look())
            self._must_fit(ticket)
            self._ticket(ticket, placeholder)
            self._take(spot, aside, ticket)
        with _content(ticket) as content:
            taken = content if content.status() is not None else aside
            self._check(spot, taken, ticket)
            self._close(taken, ticket)
            self._stub(spot, ticket, placeholder)
            if aside.status() is not None:
                self._carry(aside, content, ticket)
            os.fsync(content.folder)

    def is_held(self, spot: Spot, ticket: Ticket, placeholder: str) -> bool:
        """Whether it lies in the quarantine, closed, and something else stands in its place."""
        if not _home(ticket).joinpath("content").exists() or _aside(spot, ticket, "held").status() is not None:
            return False
        with _content(ticket) as content:
            status = content.status()
            return status is not None and not status.st_mode & 0o077 and spot.status() is not None

    def begun(self, spot: Spot, folder: str, record: str, now: State | None) -> Ticket | None:
        """The ticket of a hold of a record (by its hash) that was begun and not released."""
        found = []
        for path in sorted(Path(folder).glob(f"{record}-*/ticket.json")) if folder else []:
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
                there = path.with_name("content").exists() or _aside(spot, kept.ticket, "held").status() is not None
                if there and (now is None or now.sum == kept.stub):
                    found.append(kept.ticket)
        return max(found, key=lambda one: one.state.modified, default=None)

    def _must_fit(self, ticket: Ticket) -> None:
        """A folder cannot be moved to another file system at once."""
        folder = Path(ticket.folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if ticket.state.folder and folder.stat().st_dev != ticket.state.device:
            raise InputError(
                "it is a whole folder, and the quarantine is on another file system",
                place=ticket.title,
                advice="name a quarantine folder on the same file system",
            )

    def _ticket(self, ticket: Ticket, placeholder: str) -> None:
        home = _home(ticket)
        data = msgspec.json.encode(_Kept(ticket, hashlib.sha256(_text(placeholder)).hexdigest()))
        path = home / "ticket.json"
        if path.exists() and path.read_bytes() == data:
            return
        self._step("ticket")
        home.mkdir(mode=0o700, exist_ok=True)
        draft = home / "ticket.new"
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        _sync(ticket.folder)

    def _take(self, spot: Spot, aside: Spot, ticket: Ticket) -> None:
        self._step("take")
        with _content(ticket) as content:
            try:
                os.rename(spot.name, content.name, src_dir_fd=spot.folder, dst_dir_fd=content.folder)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                os.rename(spot.name, aside.name, src_dir_fd=spot.folder, dst_dir_fd=spot.folder)
            os.fsync(content.folder)
        os.fsync(spot.folder)

    def _check(self, spot: Spot, taken: Spot, ticket: Ticket) -> None:
        """What was taken is what was inspected; else it goes back, unless something is there again."""
        status = taken.status()
        same = status is not None and (status.st_size, status.st_mtime_ns) == (ticket.state.size, ticket.state.modified)
        if same or ticket.state.folder:
            return
        with contextlib.suppress(FileExistsError):
            os.link(taken.name, spot.name, src_dir_fd=taken.folder, dst_dir_fd=spot.folder, follow_symlinks=False)
            taken.remove()
            shutil.rmtree(_home(ticket))
            raise ChangedError("it was changed at this moment", place=ticket.title)
        raise UnclearError(f"it was changed at this moment, and its place was taken: it lies in {_home(ticket)}")

    def _close(self, taken: Spot, ticket: Ticket) -> None:
        status = taken.status()
        if status is None or not status.st_mode & 0o077:
            return
        self._step("close")
        with _descriptor(taken, ticket) as descriptor:
            os.fchmod(descriptor, 0o700 if ticket.state.folder else 0o600)

    def _stub(self, spot: Spot, ticket: Ticket, placeholder: str) -> None:
        """A text, readable by whoever could read the file."""
        if spot.status() is not None:
            return
        self._step("stub")
        draft = spot.beside(f".keysentry-{ticket.id}.new")
        draft.remove()
        descriptor = draft.open(os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            os.write(descriptor, _text(placeholder))
            with contextlib.suppress(PermissionError):
                os.fchown(descriptor, ticket.state.owner, ticket.state.group)
            os.fchmod(descriptor, ticket.state.mode & 0o666)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        with contextlib.suppress(FileExistsError):
            os.link(draft.name, spot.name, src_dir_fd=spot.folder, dst_dir_fd=spot.folder)
        draft.remove()
        os.fsync(spot.folder)

    def _carry(self, aside: Spot, content: Spot, ticket: Ticket) -> None:
        """From the hidden name to another file system."""
        if content.status() is None:
            self._step("copy")
            self._copy(aside, content, ticket)
        self._step("delete")
        aside.remove()
        os.fsync(aside.folder)

    def _copy(self, source: Spot, target: Spot, ticket: Ticket) -> None:
        """A copy that only gets its name once it is on the disk and compared."""
        draft = target.beside(f"{target.name}.part")
        draft.remove()
        total = hashlib.sha256()
        reading = source.open(os.O_RDONLY)
        writing = draft.open(os.O_RDWR | os.O_CREAT | os.O_EXCL)
        try:
            while piece := os.read(reading, PIECE):
                total.update(piece)
                view = memoryview(piece)
                while view:
                    view = view[os.write(writing, view) :]
            dress(writing, ticket.state, mode=0o600)
            os.fsync(writing)
        finally:
            os.close(reading)
            os.close(writing)
        made = draft.look()
        if total.hexdigest() != ticket.state.sum or made is None or made.sum != ticket.state.sum:
            draft.remove()
            raise UnclearError("the copy is not what was copied", place=ticket.title)
        os.rename(draft.name, target.name, src_dir_fd=draft.folder, dst_dir_fd=target.folder)
        os.fsync(target.folder)

    # -- releasing ----------------------------------------------------------------------------------------------------

    def release(self, spot: Spot, ticket: Ticket, placeholder: str) -> bool:
        """Move it back, as far as that is not done, and empty the quarantine of it.

        Raises `ChangedError` if something else is in its place, `GoneError` if it is not in the quarantine any more.
        """
        now = spot.look()
        back = now is not None and now.is_content_of(ticket.state)
        if not _home(ticket).exists():
            if back:
                return False
            raise GoneError(f"it is not in {ticket.folder} any more", place=ticket.title)
        if not back:
            if now is not None and now.sum != self._stub_sum(ticket):
                raise ChangedError("something else is in its place", place=ticket.title)
            self._bring(spot, ticket, now)
            now = spot.look()
            if now is None or not now.is_content_of(ticket.state):
                raise UnclearError("it was not what was put back when it was read", place=ticket.title)
        self._step("empty")
        _aside(spot, ticket, "back").remove()
        shutil.rmtree(_home(ticket))
        _sync(ticket.folder)
        return True

    def is_released(self, spot: Spot, ticket: Ticket) -> bool:
        """Whether it is back, and nothing of it is left in the quarantine."""
        if _home(ticket).exists():
            return False
        now = spot.look()
        return now is not None and now.is_content_of(ticket.state)

    def _bring(self, spot: Spot, ticket: Ticket, now: State | None) -> None:
        aside = _aside(spot, ticket, "back")
        if aside.status() is None:
            self._step("bring")
            with _content(ticket) as content:
                if content.status() is None:
                    raise GoneError(f"it is not in {_home(ticket)} any more", place=ticket.title)
                try:
                    os.rename(content.name, aside.name, src_dir_fd=content.folder, dst_dir_fd=aside.folder)
                except OSError as error:
                    if error.errno != errno.EXDEV:
                        raise
                    self._copy(content, aside, ticket)
        self._step("return")
        with _descriptor(aside, ticket) as descriptor:
            dress(descriptor, ticket.state)
            os.fsync(descriptor)
        status = spot.status()
        if now is not None and status is not None and (status.st_ino, status.st_mtime_ns) != (now.inode, now.modified):
            raise ChangedError("something else is in its place", place=ticket.title)
        if now is not None and ticket.state.folder:
            spot.remove()
        if status is None and not ticket.state.folder:
            try:
                os.link(aside.name, spot.name, src_dir_fd=aside.folder, dst_dir_fd=spot.folder)
            except FileExistsError:
                raise ChangedError("something else is in its place", place=ticket.title) from None
            aside.remove()
        else:
            os.rename(aside.name, spot.name, src_dir_fd=aside.folder, dst_dir_fd=spot.folder)
        os.fsync(spot.folder)

    def _stub_sum(self, ticket: Ticket) -> str:
        try:
            return msgspec.json.decode((_home(ticket) / "ticket.json").read_bytes(), type=_Kept).stub
        except (OSError, msgspec.MsgspecError):
            return ""


def _home(ticket: Ticket) -> Path:
    return Path(ticket.folder) / ticket.id


def _aside(spot: Spot, ticket: Ticket, what: str) -> Spot:
    """A hidden name beside the file, which the source does not look at."""
    return spot.beside(f".keysentry-{ticket.id}.{what}")


def _text(placeholder: str) -> bytes:
    return f"{placeholder}\n".encode()


@contextmanager
def _content(ticket: Ticket) -> Iterator[Spot]:
    """The file as it lies in the quarantine."""
    descriptor = os.open(_home(ticket), _FOLDER)
    try:
        yield Spot(descriptor, "content", ticket.title)
    finally:
        os.close(descriptor)


@contextmanager
def _descriptor(spot: Spot, ticket: Ticket) -> Iterator[int]:
    descriptor = spot.open(_FOLDER if ticket.state.folder else os.O_RDONLY | os.O_NONBLOCK)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _sync(folder: str) -> None:
    descriptor = os.open(folder, _FOLDER & ~os.O_NOFOLLOW)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
