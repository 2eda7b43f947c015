"""Mails of Gmail: put under a quarantine label, out of the inbox or into the trash, and put back with their labels.

One call does it, which takes some labels away and gives others
(https://developers.google.com/workspace/gmail/api/guides/labels: INBOX and TRASH can be applied by hand; drafts cannot
be labelled). The quarantine label is how a hold is recognised. A mail cannot be edited, so its content is its version;
its labels may change while it is held, and only those come back that it had.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from keysentry.connectors.forms import Search
from keysentry.connectors.google.acting import Actor
from keysentry.connectors.google.address import Address, shown
from keysentry.connectors.google.fields import Fields, text, thing, things, words
from keysentry.connectors.google.mail import read
from keysentry.connectors.google.quarantine import Options
from keysentry.connectors.google.sealed import SealedMail, Undo, digest, seal, undo_of
from keysentry.connectors.google.traces import Traces
from keysentry.errors import ChangedError, GoneError, InputError, KeysentryError, SourceError
from keysentry.model.action import Original, Place, Receipt
from keysentry.model.sensitive import Sensitive

_AWAY: Final = frozenset(("TRASH", "SPAM"))
_FIXED: Final = frozenset(("SENT", "DRAFT", "CHAT"))
"""Labels that only Gmail gives."""
_MESSAGE: Final = "id,threadId,labelIds,internalDate,payload"


class MailHolding:
    """Holds and releases mails."""

    def __init__(self, actor: Actor, options: Options) -> None:
        self._actor = actor
        self._options = options

    # -- looking ----------------------------------------------------------------------------------------------------

    def inspect(self, place: Place, where: Address, secrets: Sequence[Sensitive]) -> Original:
        """The mail's labels, if a secret is in it or in what of it cannot be searched."""
        name, user = shown(place), self._actor.user(where.user)
        message = self._message(user, where.id)
        labels = words(message, "labelIds")
        if message is None or _AWAY & set(labels):
            raise GoneError("the mail is not there any more", place=name)
        if "DRAFT" in labels:
            raise InputError("it is a draft, which only its author sees, and Gmail lets nobody label it", place=name)
        if self._label(user) in labels:
            raise ChangedError("the mail is held already", place=name)
        if not self._holds(user, message, secrets):
            raise ChangedError("the secret is not in it any more", place=name)
        sealed = SealedMail(user, where.id, tuple(labels))
        return seal(sealed, _version(message), f"mail {where.id} of {where.user}, with {len(labels)} labels")

    def _message(self, user: str, id: str) -> Fields | None:
        return self._actor.look("gmail", user, "users.messages.get", userId="me", id=id, format="full", fields=_MESSAGE)

    def _holds(self, user: str, message: Fields, secrets: Sequence[Sensitive]) -> bool:
        mail, traces = read(self._actor, user, message, self._options.max_search), Traces(secrets)
        opaque = bool(mail.skipped)
        for part in mail.parts:
            if part.segment is not None:
                if traces.seen(part.segment.text.decode("utf-8", "replace"), part.segment.context):
                    return True
                continue
            search = Search(secrets)
            try:
                for piece in part.open() if part.open is not None else (part.content or b"",):
                    search.feed(piece)
            except InputError:
                opaque = True
            if search.found:
                return True
            opaque = opaque or not search.plain
        return opaque

    # -- holding ----------------------------------------------------------------------------------------------------

    def hold(self, place: Place, sealed: SealedMail, original: Original, placeholder: str) -> Receipt:
        """Put it under the label."""
        name = shown(place)
        message = self._message(sealed.user, sealed.id)
        if message is None:
            raise GoneError("the mail is not there any more", place=name)
        label = self._label(sealed.user)
        if not label or label not in words(message, "labelIds"):
            if _version(message) != original.version:
                raise ChangedError("it is another mail than the one that was looked at", place=name)
            label = label or self._new_label(sealed.user)
            add = [label, "TRASH"] if self._options.mail == "trash" else [label]
            remove = [one for one in ("INBOX",) if one in words(message, "labelIds")]
            self._modify(sealed, add, remove, name)
        receipt = self.held(place, sealed, original, placeholder)
        if receipt is None:
            raise SourceError("Gmail does not show the label yet", place=name)
        return receipt

    def _modify(self, sealed: SealedMail, add: Sequence[str], remove: Sequence[str], name: str) -> None:
        def done() -> bool:
            there = set(words(self._message(sealed.user, sealed.id), "labelIds"))
            return there >= set(add) and not there & set(remove)

        if not add and not remove:
            return
        body = {"addLabelIds": list(add), "removeLabelIds": list(remove)}
        try:
            self._actor.change(
                "gmail", sealed.user, "users.messages.modify", done, userId="me", id=sealed.id, fields="id", body=body
            )
        except GoneError:
            raise GoneError("the mail is not there any more", place=name) from None

    def _labels(self, user: str) -> dict[str, str]:
        """The labels of a mailbox: names by ids."""
        told = self._actor.call("gmail", user, "users.labels.list", userId="me", fields="labels(id,name)")
        return {text(one, "id"): text(one, "name") for one in things(told, "labels")}

    def _label(self, user: str) -> str:
        """The id of the quarantine label; empty where there is none."""
        wanted = self._options.label.strip().casefold()
        return next((id for id, name in self._labels(user).items() if name.casefold() == wanted), "")

    def _new_label(self, user: str) -> str:
        body = {
            "name": self._options.label.strip(),
            "labelListVisibility": "labelShow",
            "messageListVisibility": "show",
        }
        refused: KeysentryError | None = None
        try:
            self._actor.change(
                "gmail",
                user,
                "users.labels.create",
                lambda: bool(self._label(user)),
                userId="me",
                fields="id",
                body=body,
            )
        except (SourceError, InputError) as error:  # another worker may have been quicker
            refused = error
        found = self._label(user)
        if not found:
            raise refused or SourceError("Gmail does not list the label yet that was made", place=body["name"])
        return found

    # -- what came of it --------------------------------------------------------------------------------------------

    def held(self, place: Place, sealed: SealedMail, original: Original, placeholder: str) -> Receipt | None:
        """The receipt, if the mail is under the label."""
        message = self._message(sealed.user, sealed.id)
        labels, label = words(message, "labelIds"), self._label(sealed.user)
        if message is None or not label or label not in labels:
            return None
        if "INBOX" in labels and "TRASH" not in labels:
            self._modify(sealed, [], ["INBOX"], shown(place))  # somebody moved it back into the inbox
        trashed = "TRASH" in labels
        note = f"the mail was taken out of the inbox, and is under the label {self._options.label.strip()}"
        if trashed:
            note = "the mail is in the trash, which Gmail empties after 30 days: after that it cannot be put back"
        note += "; its recipients' own copies are mails of their own"
        evidence = {"way": "mail", "mail": sealed.id, "labels": ", ".join(sorted(labels)), "label": label}
        undo = Undo("mail", sealed.user, label)
        return Receipt(outcome="done", note=note, evidence=evidence, undo=msgspec.json.encode(undo))

    # -- putting back -----------------------------------------------------------------------------------------------

    def release(self, place: Place, sealed: SealedMail, original: Original, receipt: Receipt) -> Receipt:
        """Give it the labels that it had."""
        name, undo = shown(place), undo_of(receipt)
        message = self._message(sealed.user, sealed.id)
        if message is None:
            raise GoneError("the mail was deleted for good, by somebody or with the trash", place=name)
        labels = words(message, "labelIds")
        if undo.standing in labels:
            known = self._labels(sealed.user)
            wanted = [one for one in sealed.labels if one not in labels and one not in _FIXED]
            add = [one for one in wanted if one in known]
            remove = [one for one in (undo.standing, "TRASH") if one in labels and one not in sealed.labels]
            self._modify(sealed, add, remove, name)
        done = self.released(place, sealed, original, receipt)
        if done is None:
            raise SourceError("Gmail still shows the label", place=name)
        return done

    def released(self, place: Place, sealed: SealedMail, original: Original, receipt: Receipt) -> Receipt | None:
        """The receipt, if the label is gone."""
        message = self._message(sealed.user, sealed.id)
        labels = words(message, "labelIds")
        if message is None or undo_of(receipt).standing in labels:
            return None
        lost = [one for one in sealed.labels if one not in labels]
        note = "the mail has the labels that it had"
        if lost:
            note = f"the mail is back, but for {len(lost)} labels that are not there any more, or were changed since"
        evidence = {"way": "mail", "mail": sealed.id, "labels": ", ".join(sorted(labels))}
        return Receipt(outcome="done", note=note, evidence=evidence)


def _version(message: Fields) -> str:
    """Names what a mail holds: its time and a digest of its parts, without the ids of attachments, which change."""
    return f"{text(message, 'internalDate')}/{digest(_parts(thing(message, 'payload')))}"


def _parts(part: Fields) -> list[object]:
    body = thing(part, "body")
    headers = [[text(one, "name"), text(one, "value")] for one in things(part, "headers")]
    return [headers, text(body, "data"), body.get("size"), [_parts(one) for one in things(part, "parts")]]
