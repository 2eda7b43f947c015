"""A quarantine in Microsoft 365: messages, files and mails, each in its own way, behind one door."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from keysentry.connectors.microsoft import Options as ReadingOptions
from keysentry.connectors.microsoft.acting import Actor
from keysentry.connectors.microsoft.address import address
from keysentry.connectors.microsoft.blocking import Blocking
from keysentry.connectors.microsoft.faults import PLACE
from keysentry.connectors.microsoft.fileholding import FileHolding
from keysentry.connectors.microsoft.mailholding import MailHolding
from keysentry.connectors.microsoft.quarantine import Options
from keysentry.connectors.microsoft.sealed import SealedFile, SealedMail, unseal
from keysentry.connectors.microsoft.source import MESSAGES_PER_SECOND
from keysentry.connectors.pace import Pace
from keysentry.model.action import Original, Place, Receipt
from keysentry.model.sensitive import Sensitive


def connect(options: Options, reading: ReadingOptions, make_pace: Callable[..., Pace] = Pace) -> MicrosoftQuarantine:
    """A quarantine; `reading` says how its client signs in, `make_pace` makes the limits of calls. Asks nothing yet."""
    return MicrosoftQuarantine(actor(reading, options.per_minute, make_pace), options)


def actor(reading: ReadingOptions, per_minute: float, make_pace: Callable[..., Pace] = Pace) -> Actor:
    """Who acts, at so many calls a minute."""
    rate = per_minute / 60
    messages = min(rate, MESSAGES_PER_SECOND) if rate else 0.0
    return Actor(reading, make_pace(PLACE, per_second=rate, burst=10), make_pace(PLACE, per_second=messages, burst=4))


class MicrosoftQuarantine:
    """Holds and releases the things of one source."""

    def __init__(self, actor: Actor, options: Options) -> None:
        self._actor = actor
        self._messages = Blocking(actor, options)
        self._files = FileHolding(actor, options)
        self._mails = MailHolding(actor, options)

    def inspect(self, place: Place, secrets: Sequence[Sensitive]) -> Original:
        """The thing with what it needs to be put back. Raises as `Quarantine.inspect` does."""
        where = address(place)
        if where.kind == "file":
            return self._files.inspect(place, where, secrets)
        if where.kind == "mail":
            return self._mails.inspect(place, where, secrets)
        return self._messages.inspect(place, where, secrets)

    def hold(self, place: Place, original: Original, secrets: Sequence[Sensitive], placeholder: str) -> Receipt:
        """Take it out of readers' hands. Raises as `Quarantine.hold` does."""
        sealed = unseal(original)
        if isinstance(sealed, SealedFile):
            return self._files.hold(place, sealed, original, placeholder)
        if isinstance(sealed, SealedMail):
            return self._mails.hold(place, sealed, original, placeholder)
        return self._messages.hold(place, sealed, original, placeholder)

    def held(self, place: Place, original: Original, placeholder: str) -> Receipt | None:
        """The receipt of a hold that had its effect; one that was begun is carried to its end first."""
        sealed = unseal(original)
        if isinstance(sealed, SealedFile):
            return self._files.held(place, sealed, original, placeholder)
        if isinstance(sealed, SealedMail):
            return self._mails.held(place, sealed, original, placeholder)
        return self._messages.held(place, sealed, original, placeholder)

    def release(self, place: Place, original: Original, receipt: Receipt) -> Receipt:
        """Put it back. Raises as `Quarantine.release` does."""
        sealed = unseal(original)
        if isinstance(sealed, SealedFile):
            return self._files.release(place, sealed, original, receipt)
        if isinstance(sealed, SealedMail):
            return self._mails.release(place, sealed, original, receipt)
        return self._messages.release(place, sealed, original, receipt)

    def released(self, place: Place, original: Original, receipt: Receipt) -> Receipt | None:
        """The receipt of a release that was carried out to its end."""
        sealed = unseal(original)
        if isinstance(sealed, SealedFile):
            return self._files.released(place, sealed, original, receipt)
        if isinstance(sealed, SealedMail):
            return self._mails.released(place, sealed, original, receipt)
        return self._messages.released(place, sealed, original, receipt)

    def close(self) -> None:
        """End what is under way; whatever waits raises `ClosedError`."""
        self._actor.close()
