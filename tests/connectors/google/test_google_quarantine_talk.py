"""Mails of Gmail and messages of Chat held and released, against our own server (`tests/servers/google_acting.py`).

Mails also against a third party's emulator, as far as it goes.
"""

from __future__ import annotations

import io
import logging
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from keysentry.connectors.google import Options as SourceOptions
from keysentry.connectors.google.acting import Actor
from keysentry.connectors.google.holding import GoogleQuarantine
from keysentry.connectors.google.quarantine import Options
from keysentry.errors import AccessError, ChangedError, GoneError, InputError
from keysentry.model.action import Place
from keysentry.model.location import Step
from keysentry.model.sensitive import Sensitive
from tests.connectors.google.acting_bench import (
    ANN,
    BOB,
    CAROL,
    PLACEHOLDER,
    TOKENS,
    Organisation,
    held,
    hold,
    inspect,
    release,
    secret,
    told,
)
from tests.connectors.google.worlds import mail
from tests.servers.emulate_google import EmulatedGmail, emulated_gmail

pytestmark = pytest.mark.xdist_group("google")


def received(corp: Organisation, token: Sensitive, *labels: str, **attached: bytes) -> tuple[Place, dict[str, Any]]:
    """A mail of Ann's with a secret, and how Gmail keeps it."""
    message = mail("see the attachment" if attached else f"use {token.reveal()}")
    for name, content in attached.items():
        message.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    id = corp.gmail.receive(ANN, message, labels=labels or ("INBOX", "UNREAD"))
    return mail_place(id), corp.gmail.box(ANN).messages[id]


def mail_place(id: str) -> Place:
    return Place(source="corp", unit=f"mail:{ANN}", record=f"mail:{ANN}/{id}", route=(Step("field", "text/plain"),))


class TestMails:
    def test_labels_come_back_as_they_were(self, corp: Organisation) -> None:
        token, mine = secret(), corp.gmail.new_label(ANN, "Mine")
        place, message = received(corp, token, "INBOX", "UNREAD", "STARRED", mine)
        original, receipt = hold(corp, place, token)
        quarantine = next(id for id, name in corp.gmail.labels[ANN].items() if name == "Quarantine")
        assert set(message["labelIds"]) == {"UNREAD", "STARRED", mine, quarantine}
        message["labelIds"].remove("UNREAD")
        done = release(corp, place, original, receipt)
        assert set(message["labelIds"]) == {"INBOX", "UNREAD", "STARRED", mine}
        assert corp.effects == {"users.labels.create": 1, "users.messages.modify": 2}
        assert "has the labels that it had" in done.note

    def test_the_trash_and_what_it_costs_is_told(self, corp: Organisation) -> None:
        token = secret()
        place, message = received(corp, token)
        original, receipt = hold(corp, place, token, mail="trash", label="Held by security")
        assert "TRASH" in message["labelIds"] and "INBOX" not in message["labelIds"] and "30 days" in receipt.note
        assert held(corp, place, original, mail="trash", label="Held by security") is not None
        release(corp, place, original, receipt, mail="trash", label="Held by security")
        assert set(message["labelIds"]) == {"INBOX", "UNREAD"}
        original, receipt = hold(corp, place, token, mail="trash")
        corp.gmail.delete(ANN, place.record.rpartition("/")[2])
        with pytest.raises(GoneError, match="for good"):
            release(corp, place, original, receipt, mail="trash")

    def test_a_label_of_the_mail_that_was_deleted_meanwhile(self, corp: Organisation) -> None:
        token, mine = secret(), corp.gmail.new_label(ANN, "Mine")
        place, message = received(corp, token, "INBOX", mine)
        original, receipt = hold(corp, place, token)
        message["labelIds"].remove(mine)
        del corp.gmail.labels[ANN][mine]
        done = release(corp, place, original, receipt)
        assert message["labelIds"] == ["INBOX"] and "but for 1 labels" in done.note

    def test_one_that_was_moved_back_into_the_inbox_is_taken_out_again(self, corp: Organisation) -> None:
        token = secret()
        place, message = received(corp, token)
        original, _ = hold(corp, place, token)
        message["labelIds"].append("INBOX")
        assert held(corp, place, original) is not None and "INBOX" not in message["labelIds"]

    def test_two_workers_make_one_label(self, corp: Organisation) -> None:
        token = secret()
        place, _ = received(corp, token)
        seen: list[Any] = []

        def late(answer: Any) -> Any:
            """The label of another worker, which is not to be seen the first times."""
            seen.append(answer)
            return answer if len(seen) > 2 else {"labels": []}

        corp.gmail.new_label(ANN, "Quarantine")
        corp.server.twists["gmail.users.labels.list"] = late
        hold(corp, place, token)
        assert list(corp.gmail.labels[ANN].values()) == ["Quarantine"] and corp.effects["users.messages.modify"] == 1

    def test_an_answer_about_a_new_label_that_is_lost(self, corp: Organisation) -> None:
        token = secret()
        place, _ = received(corp, token)
        corp.server.fail("gmail.users.labels.create#lost")
        hold(corp, place, token)
        assert corp.effects == {"users.labels.create": 1, "users.messages.modify": 1}

    def test_what_is_in_an_attachment(self, corp: Organisation) -> None:
        token = secret()
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("env", f"token={token.reveal()}")
        for content in (token.reveal_bytes(), packed.getvalue()):
            place, _ = received(corp, token, attached=content)
            original, receipt = hold(corp, place, token)
            release(corp, place, original, receipt)
        place, _ = received(corp, token, attached=b"nothing")
        with pytest.raises(ChangedError):
            inspect(corp, place, token)

    def test_what_cannot_be_held(self, corp: Organisation) -> None:
        token = secret()
        with pytest.raises(InputError, match="draft"):
            inspect(corp, received(corp, token, "DRAFT")[0], token)
        for label in ("TRASH", "SPAM"):
            with pytest.raises(GoneError):
                inspect(corp, received(corp, token, label)[0], token)
        place, _ = received(corp, token)
        with pytest.raises(AccessError) as caught:
            hold(corp, place, token, token=Sensitive(f"{TOKENS[ANN]}-reading"))
        assert "https://www.googleapis.com/auth/gmail.modify" in caught.value.advice and not corp.effects

    @pytest.mark.parametrize("silent", [False, True])
    def test_lost_answers_and_limits(self, corp: Organisation, silent: bool, caplog: pytest.LogCaptureFixture) -> None:
        token = secret()
        corp.gmail.new_label(ANN, "quarantine")
        place, message = received(corp, token)
        corp.server.silent = silent
        corp.server.fail("gmail.users.messages.modify#lost")
        corp.server.fail("gmail.users.messages.modify", status=403, reason="userRateLimitExceeded")
        with caplog.at_level(logging.DEBUG):
            original, receipt = hold(corp, place, token)
            release(corp, place, original, receipt)
        assert corp.effects == {"users.messages.modify": 2} and set(message["labelIds"]) == {"INBOX", "UNREAD"}
        assert token.reveal() not in caplog.text


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatedGmail]:
    with emulated_gmail(tmp_path_factory.mktemp("emulate"), TOKENS[ANN], ANN) as server:
        yield server


class TestMailsInTheEmulator:
    """`emulate` 0.12.2: scopes are not looked at, and a label that exists is refused with 400."""

    @pytest.mark.parametrize("mode", ["label", "trash"])
    def test_a_mail_is_held_and_released(self, emulator: EmulatedGmail, mode: Any) -> None:
        token = secret()
        id = emulator.receive(mail(f"use {token.reveal()}"))
        before = set(emulator.ask("GET", f"messages/{id}")["labelIds"])
        options = Options(source="corp", token=Sensitive(TOKENS[ANN]), users=(ANN,), mail=mode, per_minute=0.0)
        quarantine = GoogleQuarantine(Actor(options, SourceOptions(name="corp", base_url=emulator.url)), options)
        place = mail_place(id)
        original = quarantine.inspect(place, [token])
        assert quarantine.held(place, original, PLACEHOLDER) is None
        receipt = quarantine.hold(place, original, [token], PLACEHOLDER)
        now = set(emulator.ask("GET", f"messages/{id}")["labelIds"])
        assert "INBOX" not in now and ("TRASH" in now) is (mode == "trash")
        assert quarantine.held(place, original, PLACEHOLDER) is not None
        quarantine.release(place, original, receipt)
        assert set(emulator.ask("GET", f"messages/{id}")["labelIds"]) == before
        assert quarantine.released(place, original, receipt) is not None
        quarantine.close()


class TestMessages:
    @pytest.fixture
    def space(self, corp: Organisation) -> str:
        name = corp.chat.space("AAA", "Operations", ANN, BOB, CAROL)
        corp.chat.managers[name] = {CAROL}
        return name

    @staticmethod
    def place(name: str, author: str = "", route: Step | None = None) -> Place:
        unit = f"space:{name.partition('/messages/')[0]}"
        return Place(
            source="corp",
            unit=unit,
            record=name,
            author="Bob",
            author_id=author,
            route=(route or Step("field", "text"),),
        )

    @staticmethod
    def said(corp: Organisation, space: str) -> list[str]:
        return [one["text"] for one in corp.chat.messages[space].values() if "deleteTime" not in one]

    def test_an_own_message_keeps_its_thread_and_gets_its_words_back(self, corp: Organisation, space: str) -> None:
        token = secret()
        name = corp.chat.says(space, ANN, f"use {token.reveal()}")
        thread = corp.chat.messages[space][name]["thread"]
        corp.chat.says(space, BOB, "thanks", thread=thread, threadReply=True)
        original, receipt = hold(corp, self.place(name), token)
        assert corp.chat.messages[space][name]["text"].startswith(PLACEHOLDER)
        assert token.reveal() not in repr(corp.chat.messages)
        done = release(corp, self.place(name), original, receipt)
        assert self.said(corp, space) == [f"use {token.reveal()}", "thanks"]
        assert corp.effects == {"spaces.messages.patch": 2} and done.evidence["record"] == name

    def test_the_author_is_known_also_where_chat_tells_no_address(self, corp: Organisation, space: str) -> None:
        token = secret()
        corp.chat.quiet = True
        name = corp.chat.says(space, ANN, f"use {token.reveal()}")
        _, receipt = hold(corp, self.place(name), token)
        assert receipt.evidence["way"] == "replaced"
        assert corp.server.count("chat.spaces.members.get") == 1

    def test_somebody_elses_message_becomes_one_that_names_them(self, corp: Organisation, space: str) -> None:
        token = secret()
        name = corp.chat.says(space, BOB, f"use {token.reveal()}")
        original, receipt = hold(corp, self.place(name), token, user=CAROL)
        assert self.said(corp, space) == [PLACEHOLDER] and receipt.evidence["way"] == "deleted"
        done = release(corp, self.place(name), original, receipt, user=CAROL)
        (text,) = self.said(corp, space)
        assert text.startswith("Bob wrote on 2026-03-01 ") and text.endswith(f"UTC:\nuse {token.reveal()}")
        assert done.evidence["record"] == receipt.evidence["placeholder"]
        assert corp.effects == {"spaces.messages.create": 1, "spaces.messages.delete": 1, "spaces.messages.patch": 1}
        assert token.reveal() not in told(done)

    def test_a_placeholder_of_a_reply_stands_in_the_thread(self, corp: Organisation, space: str) -> None:
        token = secret()
        first = corp.chat.says(space, ANN, "what is the key?")
        thread = corp.chat.messages[space][first]["thread"]
        name = corp.chat.says(space, BOB, token.reveal(), thread=thread, threadReply=True)
        _, receipt = hold(corp, self.place(name), token, user=CAROL)
        assert corp.chat.messages[space][receipt.evidence["placeholder"]]["thread"] == thread

    def test_a_placeholder_that_was_deleted_is_written_anew(self, corp: Organisation, space: str) -> None:
        token = secret()
        name = corp.chat.says(space, BOB, token.reveal())
        original, receipt = hold(corp, self.place(name), token, user=CAROL)
        corp.chat.delete(receipt.evidence["placeholder"])
        corp.server.fail("chat.spaces.messages.create#lost")
        release(corp, self.place(name), original, receipt, user=CAROL)
        assert len(self.said(corp, space)) == 1 and token.reveal() in self.said(corp, space)[0]
        release(corp, self.place(name), original, receipt, user=CAROL)
        assert corp.effects["spaces.messages.create"] == 2

    def test_one_that_was_edited_while_it_was_being_held(self, corp: Organisation, space: str) -> None:
        token = secret()
        name = corp.chat.says(space, BOB, token.reveal())
        place = self.place(name)
        with corp.quarantine(CAROL) as quarantine:
            original = quarantine.inspect(place, [token])
            with corp.server.stop(2, before=True), pytest.raises(Exception, match="broke"):
                quarantine.hold(place, original, [token], PLACEHOLDER)
        corp.chat.edit(name, "in the vault")
        assert held(corp, place, original, user=CAROL) is None
        assert self.said(corp, space) == ["in the vault"]

    def test_what_is_lost_with_a_message_is_told(self, corp: Organisation, space: str) -> None:
        token = secret()
        quoted = {"name": f"{space}/messages/m0.m0"}
        name = corp.chat.says(space, BOB, token.reveal(), quotedMessageMetadata=quoted)
        original, receipt = hold(corp, self.place(name), token, user=CAROL)
        done = release(corp, self.place(name), original, receipt, user=CAROL)
        assert "the quoted message" in receipt.note and "the quoted message" in done.note

    def test_who_may_not(self, corp: Organisation, space: str) -> None:
        token = secret()
        name = corp.chat.says(space, BOB, token.reveal())
        with pytest.raises(AccessError, match="`manager`"):
            hold(corp, self.place(name), token)
        assert self.said(corp, space) == [token.reveal()], "no placeholder of which nothing came"
        alone = corp.chat.space("BBB", "Without us", BOB)
        with pytest.raises(GoneError):
            inspect(corp, self.place(corp.chat.says(alone, BOB, token.reveal())), token)
        corp.server.grant("local-token-few", CAROL, "chat.memberships.readonly", "chat.messages.readonly")
        with pytest.raises(AccessError) as caught:
            hold(corp, self.place(name), token, user=CAROL, token=Sensitive("local-token-few"))
        assert "https://www.googleapis.com/auth/chat.messages" in caught.value.advice

    def test_what_cannot_be_held(self, corp: Organisation, space: str) -> None:
        token = secret()
        first = corp.chat.says(space, BOB, token.reveal())
        corp.chat.says(space, ANN, "ok", thread=corp.chat.messages[space][first]["thread"], threadReply=True)
        with pytest.raises(InputError, match="has replies"):
            inspect(corp, self.place(first), token, user=CAROL)
        upload = [{"name": "a", "contentName": "env", "attachmentDataRef": {"resourceName": "r"}}]
        name = corp.chat.says(space, BOB, token.reveal(), attachment=upload)
        with pytest.raises(InputError, match="uploaded files"):
            inspect(corp, self.place(name), token, user=CAROL)
        own = corp.chat.says(space, ANN, "see", attachment=upload)
        with pytest.raises(InputError, match="uploaded files"):
            inspect(corp, self.place(own, route=Step("file", "env")), token)
        assert not corp.effects

    def test_an_own_message_keeps_its_files(self, corp: Organisation, space: str) -> None:
        token = secret()
        upload = [{"name": "a", "contentName": "plan.pdf", "attachmentDataRef": {"resourceName": "r"}}]
        name = corp.chat.says(space, ANN, token.reveal(), attachment=upload)
        original, receipt = hold(corp, self.place(name), token)
        release(corp, self.place(name), original, receipt)
        assert corp.chat.messages[space][name]["attachment"] == upload

    def test_one_that_somebody_changed_or_deleted_while_it_was_held(self, corp: Organisation, space: str) -> None:
        token = secret()
        name = corp.chat.says(space, ANN, token.reveal())
        original, receipt = hold(corp, self.place(name), token)
        corp.chat.edit(name, "never mind")
        with pytest.raises(ChangedError):
            release(corp, self.place(name), original, receipt)
        corp.chat.delete(name)
        with pytest.raises(GoneError):
            release(corp, self.place(name), original, receipt)

    @pytest.mark.parametrize("silent", [False, True])
    def test_lost_answers_and_limits(
        self, corp: Organisation, space: str, silent: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        token = secret()
        name = corp.chat.says(space, BOB, token.reveal())
        corp.server.silent = silent
        for method in ("create", "delete", "patch"):
            corp.server.fail(f"chat.spaces.messages.{method}#lost")
        corp.server.fail("chat.spaces.messages.delete", status=429, headers={"Retry-After": "2"})
        with caplog.at_level(logging.DEBUG):
            original, receipt = hold(corp, self.place(name), token, user=CAROL)
            release(corp, self.place(name), original, receipt, user=CAROL)
        assert corp.effects == {"spaces.messages.create": 1, "spaces.messages.delete": 1, "spaces.messages.patch": 1}
        assert token.reveal() not in caplog.text and 2.0 in corp.waits
