"""Messages of Teams: blocked as a data loss prevention app blocks them, and let through again.

The block is the property `policyViolation`: readers then see that the message was blocked, its author still sees it,
with a tip that says why. It is the only thing that an app may change in a message of somebody else
(https://learn.microsoft.com/en-us/graph/api/chatmessage-update). It is undone by the same property with the action
`none` (https://learn.microsoft.com/en-us/graph/api/resources/chatmessagepolicyviolation), or, if another app had said
something of the message, with what that one had said.

Invariants.

- The tip ends with a reference that is made of the record's id: by it a block of ours is known, and people can name it.
- A block is an absolute state, so it can be set again. There is no precondition: a message that was edited between the
  last look and the block is let through again when it is read back, and told as changed.
- The version is the time of the last edit and a digest of what the message says. The message's own `etag` and
  `lastModifiedDateTime` change with every reaction, and with the block itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from keysentry.connectors.microsoft.acting import Actor, Fields, as_fields, text
from keysentry.connectors.microsoft.address import Address, address, hold_name, shown
from keysentry.connectors.microsoft.message import Setting, make
from keysentry.connectors.microsoft.quarantine import Options
from keysentry.connectors.microsoft.sealed import SealedMessage, Undo, as_undo, digest, seal, undo_of
from keysentry.connectors.microsoft.traces import Traces
from keysentry.errors import ChangedError, GoneError, SourceError
from keysentry.model.action import Original, Place, Receipt
from keysentry.model.location import Exposure
from keysentry.model.sensitive import Sensitive

_OVERRIDDEN: Final = frozenset(("override", "reportfalsepositive"))
_VERDICTS: Final = {
    "nothing": "none",
    "report": "allowFalsePositiveOverride",
    "justify": "allowOverrideWithJustification",
    "override": "allowOverrideWithoutJustification",
}
_CLEARED: Final[Fields] = {"dlpAction": "none", "userAction": "none", "verdictDetails": "none", "policyTip": None}
_CONDITION: Final = "a secret"
_SAYS: Final = ("subject", "summary", "body", "attachments")


class Blocking:
    """Blocks messages, and lets them through again."""

    def __init__(self, actor: Actor, options: Options) -> None:
        self._actor = actor
        self._options = options

    # -- looking ----------------------------------------------------------------------------------------------------

    def inspect(self, place: Place, where: Address, secrets: Sequence[Sensitive]) -> Original:
        """The message, if a secret is in it, or if nobody has edited it since it was written."""
        name = shown(place)
        message = self._message(where)
        if message is None:
            raise GoneError("the message is not there any more", place=name)
        if _blocked(message) and _ours(message, place.record):
            raise ChangedError("the message is held already", place=name)
        made = make(msgspec.Raw(msgspec.json.encode(message)), place.record, Setting("", "", Exposure()))
        parts = made.record.parts if made.record is not None else ()
        if Traces(secrets).in_parts(parts) is False and message.get("lastEditedDateTime"):
            raise ChangedError("it was edited, and the secret is not in it any more", place=name)
        violation = message.get("policyViolation")
        sealed = SealedMessage(place.record, message, violation if isinstance(violation, dict) else None)
        written = text(message, "createdDateTime")
        return seal(sealed, _version(message), f"message of {written} in {place.container or 'Teams'}")

    def _message(self, where: Address) -> Fields | None:
        """The message as it is now; None if it is not there, or is deleted (its place stays)."""
        try:
            body = self._actor.get(where.path, messages=True).body
        except GoneError:
            return None
        message = as_fields(body, where.path)
        return None if message.get("deletedDateTime") else message

    # -- holding ----------------------------------------------------------------------------------------------------

    def hold(self, place: Place, sealed: SealedMessage, original: Original, placeholder: str) -> Receipt:
        """Block it, unless it is blocked already."""
        where, name = address(place), shown(place)
        message = self._message(where)
        if message is None:
            raise GoneError("the message is not there any more", place=name)
        if not (_blocked(message) and _ours(message, place.record)):
            if _version(message) != original.version:
                raise ChangedError("the message was edited since it was looked at", place=name)
            if _blocked(message):
                note = "another data loss prevention app has blocked the message already; it stays so"
                return Receipt(
                    outcome="already", note=note, evidence=_evidence(where, message), undo=as_undo(Undo("others"))
                )
            self._set(where, self._block(place.record, placeholder), lambda now: _ours(now, place.record))
        message = self._message(where)
        if message is not None and _edited(message) != _edited(sealed.message):
            self._set(where, sealed.violation or _CLEARED, lambda now: not _blocked(now))
            raise ChangedError("the message was edited while it was blocked; the block was taken back", place=name)
        receipt = self._receipt(place, where, message)
        if receipt is None:
            raise SourceError("Teams does not show the block yet", place=name)
        return receipt

    def _block(self, record: str, placeholder: str) -> Fields:
        tip: Fields = {
            "generalText": f"{placeholder} {_mark(record)}",
            "matchedConditionDescriptions": [_CONDITION],
        }
        if self._options.compliance_url:
            tip["complianceUrl"] = self._options.compliance_url
        verdict = _VERDICTS[self._options.author_may]
        return {"dlpAction": "blockAccess", "userAction": "none", "verdictDetails": verdict, "policyTip": tip}

    def _set(self, where: Address, violation: Fields, done: Callable[[Fields], bool]) -> None:
        model = "?model=A" if self._options.teams_model == "A" else ""

        def so() -> bool:
            message = self._message(where)
            return message is not None and done(message)

        body = {"policyViolation": violation}
        self._actor.change("PATCH", f"{where.path}{model}", so, body, messages=True)

    def held(self, place: Place, sealed: SealedMessage, original: Original, placeholder: str) -> Receipt | None:
        """The receipt, if the message is blocked by us."""
        where = address(place)
        return self._receipt(place, where, self._message(where))

    def _receipt(self, place: Place, where: Address, message: Fields | None) -> Receipt | None:
        if message is None or not (_blocked(message) and _ours(message, place.record)):
            return None
        note = "the message is blocked: readers do not see it, its author does, with a tip that says why"
        return Receipt(outcome="done", note=note, evidence=_evidence(where, message), undo=as_undo(Undo("blocked")))

    # -- putting back -----------------------------------------------------------------------------------------------

    def release(self, place: Place, sealed: SealedMessage, original: Original, receipt: Receipt) -> Receipt:
        """Let it through, unless somebody else has, or has blocked it."""
        where, name = address(place), shown(place)
        done = self.released(place, sealed, original, receipt)
        if done is not None:
            return done
        message = self._message(where)
        if message is None:
            raise GoneError("the message is not there any more", place=name)
        self._set(where, sealed.violation or _CLEARED, lambda now: not _ours(now, place.record))
        done = self.released(place, sealed, original, receipt)
        if done is None:
            raise SourceError("Teams still shows the block", place=name)
        return done

    def released(self, place: Place, sealed: SealedMessage, original: Original, receipt: Receipt) -> Receipt | None:
        """The receipt, if no block of ours is on the message."""
        where = address(place)
        message = self._message(where)
        if message is None or (_blocked(message) and _ours(message, place.record)):
            return None
        note = "readers see the message again, as it was"
        if _edited(message) != _edited(sealed.message):
            note = "readers see the message again; its author has edited it meanwhile"
        if _blocked(message):
            note = "the block of ours is gone; another data loss prevention app blocks the message"
        others = undo_of(receipt).way == "others"
        return Receipt(outcome="already" if others else "done", note=note, evidence=_evidence(where, message))


def _flags(message: Fields, name: str) -> set[str]:
    """The flags of an enumeration of the block; Graph writes them in camelCase, its documentation in PascalCase."""
    return {flag.strip().lower() for flag in text(message, "policyViolation", name).split(",")}


def _blocked(message: Fields) -> bool:
    """Whether readers do not see a message: it is blocked, and its author has not lifted that."""
    return "blockaccess" in _flags(message, "dlpAction") and not _OVERRIDDEN & _flags(message, "userAction")


def _ours(message: Fields, record: str) -> bool:
    return text(message, "policyViolation", "policyTip", "generalText").endswith(_mark(record))


def _mark(record: str) -> str:
    return f"[ref. {hold_name(record)[:16]}]"


def _version(message: Fields) -> str:
    """Names the state of a message."""
    return f"{text(message, 'id')}/{_edited(message)}/{digest([message.get(name) for name in _SAYS])}"


def _edited(message: Fields) -> str:
    return text(message, "lastEditedDateTime")


def _evidence(where: Address, message: Fields) -> dict[str, str]:
    return {
        "way": "blocked",
        "message": where.id,
        "dlpAction": text(message, "policyViolation", "dlpAction") or "none",
        "changed": text(message, "lastModifiedDateTime"),
    }
