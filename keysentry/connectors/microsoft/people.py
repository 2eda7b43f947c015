"""How authors are told: by a mail from a mailbox of the organisation, or in the activity feed of Teams.

Only people of the tenant are told: an author is looked up in the directory first, by id, sign-in name or mail address.
What was found in somebody's mail may have been written by anybody.

Mail. A notice is made as a draft that carries its id as an extended property, then sent; the draft becomes the mail in
Sent Items. So it is found again in either state, and a draft cannot be sent twice
(https://learn.microsoft.com/en-us/graph/api/singlevaluelegacyextendedproperty-get, .../message-send,
https://learn.microsoft.com/en-us/graph/outlook-immutable-id#immutable-id-with-sending-mail).

Activity. Nobody can ask whether a notification was sent, but one with the same `chainId` takes the place of the one
before, so that it can be sent again (https://learn.microsoft.com/en-us/graph/api/userteamwork-sendactivitynotification).
"""

from __future__ import annotations

import hashlib
import html
from typing import Final, Protocol
from urllib.parse import quote

from keysentry.connectors.base import Notice, Recipient
from keysentry.connectors.microsoft.acting import Actor, Fields, text
from keysentry.connectors.microsoft.address import mail_path, mailbox_path
from keysentry.connectors.microsoft.faults import PLACE
from keysentry.connectors.microsoft.notify import Options
from keysentry.errors import GoneError, InputError, SourceError, UnclearError
from keysentry.model.action import Receipt

_IMMUTABLE: Final = 'IdType="ImmutableId"'
_PROPERTY: Final = "String {6f2c6a0e-52f5-4f0e-9a3c-1b7f6f6b6b52} Name keysentry-notice"
_SELECT: Final = "$select=id,mail,userPrincipalName,displayName"
_PREVIEW: Final = 150
_DEEP: Final = ("https://teams.microsoft.com/l/", "https://teams.cloud.microsoft/l/")


class Means(Protocol):
    """A way in which one person is told."""

    def tell(self, notice: Notice, recipient: Recipient) -> Receipt:
        """See `Notifier`."""
        ...

    def told(self, notice: Notice, recipient: Recipient) -> Receipt | None:
        """See `Notifier`."""
        ...

    def close(self) -> None:
        """See `Notifier`."""
        ...


def person(actor: Actor, recipient: Recipient) -> Fields:
    """Whoever is to be told, from the directory. Raises `InputError` for nobody of this tenant."""
    wanted = [one for one in dict.fromkeys((recipient.author_id, recipient.email)) if one]
    for one in wanted:
        found = actor.look(f"{mailbox_path(one)}?{_SELECT}")
        if found is None and "@" in one:
            named = quote("mail eq '{}'".format(one.replace("'", "''")))
            found = next(actor.listed("", f"users?$filter={named}&{_SELECT}"), None)
        if found is not None and text(found, "id"):
            return found
    who = recipient.author or recipient.author_id or recipient.email or "the author"
    raise InputError(f"{who} is nobody in the directory, and is not told", place=PLACE)


class Mailing:
    """Tells people by mail."""

    def __init__(self, actor: Actor, options: Options) -> None:
        self._actor = actor
        self._sender = options.sender
        self._mailbox = mailbox_path(options.sender)

    def tell(self, notice: Notice, recipient: Recipient) -> Receipt:
        """Send the mail, once."""
        mail = self._found(notice) or self._draft(notice, recipient)
        if mail.get("isDraft"):
            path = f"{mail_path(self._sender, text(mail, 'id'))}/send"

            def sent() -> bool:
                now = self._found(notice)
                return now is not None and not now.get("isDraft")

            try:
                self._actor.change("POST", path, sent, headers={"Prefer": _IMMUTABLE})
            except GoneError:
                if not sent():
                    reason = "the draft of the mail is gone, and the mail is not in Sent Items yet"
                    raise UnclearError(reason, place=self._sender) from None
        return self._receipt(mail)

    def told(self, notice: Notice, recipient: Recipient) -> Receipt | None:
        """The receipt of a mail that was sent. A draft was not."""
        mail = self._found(notice)
        return None if mail is None or mail.get("isDraft") else self._receipt(mail)

    def close(self) -> None:
        """Whatever waits raises `ClosedError`."""
        self._actor.close()

    def _found(self, notice: Notice) -> Fields | None:
        value = notice.id.replace("'", "''")
        named = quote(f"singleValueExtendedProperties/Any(ep: ep/id eq '{_PROPERTY}' and ep/value eq '{value}')")
        first = f"messages?$filter={named}&$select=id,isDraft"
        found = list(self._actor.listed(self._mailbox, first, prefer=_IMMUTABLE))
        return next((one for one in found if not one.get("isDraft")), found[0] if found else None)

    def _draft(self, notice: Notice, recipient: Recipient) -> Fields:
        who = person(self._actor, recipient)
        address = text(who, "mail")
        if not address:
            name = text(who, "displayName") or text(who, "id")
            raise InputError(f"{name} has no mail address", place=PLACE)
        body: Fields = {
            "subject": " ".join(notice.subject.split()),
            "body": {"contentType": "html", "content": _markup(notice)},
            "toRecipients": [{"emailAddress": {"address": address}}],
            "importance": "high" if notice.urgent else "normal",
            "singleValueExtendedProperties": [{"id": _PROPERTY, "value": notice.id}],
        }
        headers = {"Prefer": _IMMUTABLE}
        path = f"{self._mailbox}/messages"
        self._actor.change("POST", path, lambda: self._found(notice) is not None, body, headers=headers)
        made = self._found(notice)
        if made is None:
            raise SourceError("Outlook does not show the draft of the mail yet", place=self._sender)
        return made

    def _receipt(self, mail: Fields) -> Receipt:
        evidence = {"way": "mail", "sender": self._sender, "mail": text(mail, "id")}
        return Receipt(outcome="done", note=f"the author was told, by a mail from {self._sender}", evidence=evidence)


class Activity:
    """Tells people in their activity feed."""

    def __init__(self, actor: Actor, options: Options) -> None:
        self._actor = actor
        self._type = options.activity_type
        self._app = options.teams_app
        self._place = f"Teams ({options.name})"

    def tell(self, notice: Notice, recipient: Recipient) -> Receipt:
        """Show it, or once more in the place of the same one."""
        who = text(person(self._actor, recipient), "id")
        subject = " ".join(notice.subject.split())
        body: Fields = {
            "topic": {"source": "text", "value": subject[:50] or "keysentry", "webUrl": self._link(notice, recipient)},
            "activityType": self._type,
            "chainId": int(hashlib.sha256(notice.id.encode()).hexdigest()[:12], 16),
            "previewText": {"content": subject[:_PREVIEW]},
            "templateParameters": [],
        }
        path = f"{mailbox_path(who)}/teamwork/sendActivityNotification"
        # Sent again after an answer was lost, it takes the place of the first one.
        self._actor.change("POST", path, lambda: False, body)
        evidence = {"way": "activity", "person": who}
        return Receipt(outcome="done", note="the author was told, in the activity feed of Teams", evidence=evidence)

    def told(self, notice: Notice, recipient: Recipient) -> Receipt | None:
        """Not known; telling it again takes the place of what was told."""
        return None

    def close(self) -> None:
        """Whatever waits raises `ClosedError`."""
        self._actor.close()

    def _link(self, notice: Notice, recipient: Recipient) -> str:
        """Where a notification leads, which must be into Teams.

        https://learn.microsoft.com/en-us/microsoftteams/platform/concepts/build-and-test/deep-link-application
        """
        where = recipient.place.uri if recipient.place is not None else ""
        for url in (where, *(url for _, url in notice.links)):
            if url.startswith(_DEEP):
                return url
        if not self._app:
            advice = "set `teams_app` to the id of the Teams app, or `author` to mail"
            raise InputError(
                "a notification must lead into Teams, and this one does not", place=self._place, advice=advice
            )
        return f"https://teams.microsoft.com/l/app/{quote(self._app, safe='')}"


def _markup(notice: Notice) -> str:
    """A notice as a mail: literal words, and its links."""
    lines = [html.escape(paragraph).replace("\n", "<br>") for paragraph in notice.text.strip().split("\n\n")]
    lines += [f'<a href="{html.escape(url)}">{html.escape(label or url)}</a>' for label, url in notice.links]
    return "".join(f"<p>{line}</p>" for line in lines if line)
