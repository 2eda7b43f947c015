"""Mails in Outlook: moved into a hidden folder of their mailbox, and moved back.

A mail's id changes when it is moved; its immutable id does not, as long as it stays in the mailbox
(https://learn.microsoft.com/en-us/graph/outlook-immutable-id). So a mail is looked at once by the id that its source
tells, and from then on by the other one: where it is says whether it is held. Nobody can move it twice.

A hidden folder is not shown in Outlook (https://learn.microsoft.com/en-us/graph/api/resources/mailfolder), which makes
no difference to an administrator. Mails that were sent are not edited; the version is a digest of what a mail says, and
of a draft its time of change. Reading or flagging it does not count.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from keysentry.connectors.microsoft.acting import Actor, Fields, TakenError, text
from keysentry.connectors.microsoft.address import Address, mail_path, mailbox_path, shown
from keysentry.connectors.microsoft.attachments import attachments
from keysentry.connectors.microsoft.message import body_parts, utf8
from keysentry.connectors.microsoft.quarantine import Options
from keysentry.connectors.microsoft.sealed import SealedMail, Undo, as_undo, digest, seal, undo_of
from keysentry.connectors.microsoft.traces import Traces
from keysentry.connectors.microsoft.wire import Body
from keysentry.errors import ChangedError, GoneError, SourceError
from keysentry.model.action import Original, Place, Receipt
from keysentry.model.record import Part, Segment
from keysentry.model.sensitive import Sensitive

_IMMUTABLE: Final = 'IdType="ImmutableId"'
_SAYS: Final = ("subject", "body", "hasAttachments", "internetMessageId")
_SELECT: Final = (
    "$select=id,subject,body,hasAttachments,internetMessageId,parentFolderId,isDraft,lastModifiedDateTime,sentDateTime"
)
_INBOX: Final = "inbox"
"""https://learn.microsoft.com/en-us/graph/api/resources/mailfolder names the well-known folders."""


class MailHolding:
    """Holds and releases mails."""

    def __init__(self, actor: Actor, options: Options) -> None:
        self._actor = actor
        self._options = options

    # -- looking ----------------------------------------------------------------------------------------------------

    def inspect(self, place: Place, where: Address, secrets: Sequence[Sensitive]) -> Original:
        """The mail and its folder, if a secret is in it or in what of it cannot be searched."""
        name = shown(place)
        mail = self._mail(where.holder, where.id)
        if mail is None:
            raise GoneError("the mail is not there any more", place=name)
        if text(mail, "parentFolderId") == self._folder(where.holder):
            raise ChangedError("the mail is held already", place=name)
        if Traces(secrets).in_parts(self._parts(where, mail, name)) is False:
            raise ChangedError("the secret is not in it any more", place=name)
        sealed = SealedMail(place.record, where.holder, text(mail, "id"), text(mail, "parentFolderId"))
        return seal(sealed, _version(mail), f"mail of {text(mail, 'sentDateTime')} in {place.container or 'Outlook'}")

    def _mail(self, user: str, id_: str) -> Fields | None:
        return self._actor.look(f"{mail_path(user, id_)}?{_SELECT}", prefer=_IMMUTABLE)

    def _parts(self, where: Address, mail: Fields, name: str) -> list[Part]:
        body = Body(text(mail, "body", "contentType") or None, text(mail, "body", "content"))
        parts = [Part(segment=Segment(utf8(text(mail, "subject")))), *body_parts(body, "body.content")]
        if mail.get("hasAttachments") or "cid:" in text(mail, "body", "content"):
            found = attachments(self._actor, where.path, name, self._options.max_search)
            parts += found.parts
            if found.skipped:
                parts.append(Part(content=b"\0", name="what cannot be read"))
        return parts

    def _folder(self, user: str) -> str:
        """The id of the quarantine folder; empty where there is none."""
        named = quote("displayName eq '{}'".format(self._options.mail_folder.replace("'", "''")))
        first = f"mailFolders?includeHiddenFolders=true&$filter={named}"
        found = self._actor.listed(mailbox_path(user), first)
        return next((text(one, "id") for one in found if text(one, "displayName") == self._options.mail_folder), "")

    # -- holding ----------------------------------------------------------------------------------------------------

    def hold(self, place: Place, sealed: SealedMail, original: Original, placeholder: str) -> Receipt:
        """Move it into the quarantine folder."""
        name = shown(place)
        mail = self._mail(sealed.user, sealed.id)
        if mail is None:
            raise GoneError("the mail is not there any more", place=name)
        folder = self._folder(sealed.user)
        if not folder or text(mail, "parentFolderId") != folder:
            if _version(mail) != original.version:
                raise ChangedError("the mail was changed since it was looked at", place=name)
            self._move(sealed, folder or self._new_folder(sealed.user), name)
        receipt = self.held(place, sealed, original, placeholder)
        if receipt is None:
            raise SourceError("Outlook does not show the mail in its new folder yet", place=name)
        return receipt

    def _new_folder(self, user: str) -> str:
        """https://learn.microsoft.com/en-us/graph/api/user-post-mailfolders"""
        body = {"displayName": self._options.mail_folder, "isHidden": True}
        path = f"{mailbox_path(user)}/mailFolders"
        with contextlib.suppress(TakenError):  # another worker was quicker
            self._actor.change("POST", path, lambda: bool(self._folder(user)), body)
        found = self._folder(user)
        if not found:
            raise SourceError("Outlook does not list the quarantine folder yet", place=self._options.mail_folder)
        return found

    def _move(self, sealed: SealedMail, folder: str, name: str) -> None:
        """https://learn.microsoft.com/en-us/graph/api/message-move"""

        def done() -> bool:
            return text(self._mail(sealed.user, sealed.id), "parentFolderId") == folder

        path = f"{mail_path(sealed.user, sealed.id)}/move"
        try:
            self._actor.change("POST", path, done, {"DestinationId": folder}, headers={"Prefer": _IMMUTABLE})
        except GoneError:
            raise GoneError("the mail, or the folder that it belongs in, is not there any more", place=name) from None

    # -- what came of it --------------------------------------------------------------------------------------------

    def held(self, place: Place, sealed: SealedMail, original: Original, placeholder: str) -> Receipt | None:
        """The receipt, if the mail is in the quarantine folder."""
        mail, folder = self._mail(sealed.user, sealed.id), self._folder(sealed.user)
        if mail is None or not folder or text(mail, "parentFolderId") != folder:
            return None
        note = (
            "the mail is in a folder that Outlook does not show, and no placeholder stands in its place; the copies in "
            "other mailboxes are mails of their own"
        )
        return Receipt(
            outcome="done",
            note=note,
            evidence={"way": "moved", "mail": sealed.id, "folder": folder},
            undo=as_undo(Undo("mail", sealed.id, folder)),
        )

    # -- putting back -----------------------------------------------------------------------------------------------

    def release(self, place: Place, sealed: SealedMail, original: Original, receipt: Receipt) -> Receipt:
        """Move it back into its folder, or into the inbox if that is gone."""
        done = self.released(place, sealed, original, receipt)
        if done is not None:
            return done
        name = shown(place)
        if self._mail(sealed.user, sealed.id) is None:
            raise GoneError("the mail was deleted for good, by its owner or an administrator", place=name)
        self._move(sealed, self._home(sealed), name)
        done = self.released(place, sealed, original, receipt)
        if done is None:
            raise SourceError("Outlook does not show the mail in its folder yet", place=name)
        return done

    def _home(self, sealed: SealedMail) -> str:
        """The id of the folder that it was in, else that of the inbox."""
        folders = f"{mailbox_path(sealed.user)}/mailFolders"
        for known in (sealed.folder, _INBOX):
            found = self._actor.look(f"{folders}/{quote(known, safe='')}")
            if found is not None:
                return text(found, "id") or known
        raise GoneError("the mailbox has no folders any more", place=sealed.user)

    def released(self, place: Place, sealed: SealedMail, original: Original, receipt: Receipt) -> Receipt | None:
        """The receipt, if the mail is in another folder than that of the quarantine."""
        mail = self._mail(sealed.user, sealed.id)
        if mail is None or text(mail, "parentFolderId") == undo_of(receipt).folder:
            return None
        now = text(mail, "parentFolderId")
        back = now == sealed.folder
        note = "the mail is in its folder again" if back else "the mail is back; its folder is gone or it was moved on"
        note += "; to its source it is a new mail"
        return Receipt(outcome="done", note=note, evidence={"way": "moved", "mail": sealed.id, "folder": now})


def _version(mail: Fields) -> str:
    """Names what a mail says."""
    moment = text(mail, "lastModifiedDateTime" if mail.get("isDraft") else "sentDateTime")
    return f"{moment}/{digest([mail.get(name) for name in _SAYS])}"
