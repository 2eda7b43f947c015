"""A quarantine in Google Workspace: files, cells, mails and messages, each in its own way, behind one door."""

from __future__ import annotations

from collections.abc import Sequence

from keysentry.connectors.google.acting import Actor
from keysentry.connectors.google.address import address, shown
from keysentry.connectors.google.cellholding import CellHolding
from keysentry.connectors.google.chatholding import ChatHolding
from keysentry.connectors.google.content import SHEET
from keysentry.connectors.google.fields import text
from keysentry.connectors.google.fileholding import FileHolding
from keysentry.connectors.google.mailholding import MailHolding
from keysentry.connectors.google.quarantine import Options
from keysentry.connectors.google.sealed import SealedCells, SealedFile, SealedMail, unseal
from keysentry.connectors.google.spot import find
from keysentry.connectors.google.traces import Traces
from keysentry.model.action import Original, Place, Receipt
from keysentry.model.sensitive import Sensitive


class GoogleQuarantine:
    """Holds and releases the things of one source."""

    def __init__(self, actor: Actor, options: Options) -> None:
        self._actor = actor
        self._options = options
        self._files = FileHolding(actor, options)
        self._cells = CellHolding(actor)
        self._mails = MailHolding(actor, options)
        self._messages = ChatHolding(actor)

    def inspect(self, place: Place, secrets: Sequence[Sensitive]) -> Original:
        """The thing with what it needs to be put back. Raises as `Quarantine.inspect` does."""
        where = address(place)
        if where.api == "gmail":
            return self._mails.inspect(place, where, secrets)
        if where.api == "chat":
            return self._messages.inspect(place, where, secrets)
        if self._options.sheets == "cell":
            spot = find(self._actor, where, "edit", shown(place))
            described = Traces(secrets).seen(text(spot.file, "description"))
            if text(spot.file, "mimeType") == SHEET and not described:
                original = self._cells.inspect(place, where, spot, secrets)
                if original is not None:
                    return original
        return self._files.inspect(place, where, secrets)

    def hold(self, place: Place, original: Original, secrets: Sequence[Sensitive], placeholder: str) -> Receipt:
        """Take it out of readers' hands. Raises as `Quarantine.hold` does."""
        sealed = unseal(original)
        if isinstance(sealed, SealedFile):
            return self._files.hold(place, sealed, original, placeholder)
        if isinstance(sealed, SealedCells):
            return self._cells.hold(place, sealed, original, secrets, placeholder)
        if isinstance(sealed, SealedMail):
            return self._mails.hold(place, sealed, original, placeholder)
        return self._messages.hold(place, sealed, original, secrets, placeholder)

    def held(self, place: Place, original: Original, placeholder: str) -> Receipt | None:
        """The receipt of a hold that had its effect; one that was begun is carried to its end first."""
        sealed = unseal(original)
        if isinstance(sealed, SealedFile):
            return self._files.held(place, sealed, original, placeholder)
        if isinstance(sealed, SealedCells):
            return self._cells.held(place, sealed, original, placeholder)
        if isinstance(sealed, SealedMail):
            return self._mails.held(place, sealed, original, placeholder)
        return self._messages.held(place, sealed, original, placeholder)

    def release(self, place: Place, original: Original, receipt: Receipt) -> Receipt:
        """Put it back. Raises as `Quarantine.release` does."""
        sealed = unseal(original)
        if isinstance(sealed, SealedFile):
            return self._files.release(place, sealed, original, receipt)
        if isinstance(sealed, SealedCells):
            return self._cells.release(place, sealed, original, receipt)
        if isinstance(sealed, SealedMail):
            return self._mails.release(place, sealed, original, receipt)
        return self._messages.release(place, sealed, original, receipt)

    def released(self, place: Place, original: Original, receipt: Receipt) -> Receipt | None:
        """The receipt of a release that was carried out to its end."""
        sealed = unseal(original)
        if isinstance(sealed, SealedFile):
            return self._files.released(place, sealed, original, receipt)
        if isinstance(sealed, SealedCells):
            return self._cells.released(place, sealed, original, receipt)
        if isinstance(sealed, SealedMail):
            return self._mails.released(place, sealed, original, receipt)
        return self._messages.released(place, sealed, original, receipt)

    def close(self) -> None:
        """End all calls; whatever waits raises `ClosedError`."""
        self._actor.close()
