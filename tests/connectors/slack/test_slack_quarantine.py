"""Messages and files held and released, against our own server, which keeps to Slack's documentation
(`tests/servers/slack_acting.py`); and, as far as it goes, against a third party's emulator.

The emulator lets nobody delete what others wrote, leaves no tombstone and takes a deleted file out of its message.
"""

from __future__ import annotations

import gzip
import logging
import random
import zipfile
from base64 import b64encode
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest

from keysentry.connectors.slack import Options as SourceOptions
from keysentry.connectors.slack.acting import Actor
from keysentry.connectors.slack.address import Address
from keysentry.connectors.slack.holding import SlackQuarantine
from keysentry.connectors.slack.quarantine import Options, open_quarantine
from keysentry.connectors.slack.source import SlackSource
from keysentry.connectors.slack.tokens import Tokens
from keysentry.errors import (
    AccessError,
    ChangedError,
    ClosedError,
    ConfigError,
    GoneError,
    InputError,
    KeysentryError,
    SourceError,
    UnclearError,
)
from keysentry.model.action import Original, Place, Receipt
from keysentry.model.record import Unit
from keysentry.model.sensitive import Sensitive
from keysentry.rules.forge import forge
from tests.connectors.slack.acting_bench import ADMIN, BOT, PERSON, Workspace, place_of
from tests.connectors.slack.backends import Emulator, open_client
from tests.servers.slack import Fault
from tests.servers.slack_acting import acting_slack

pytestmark = pytest.mark.xdist_group("slack")

PLACEHOLDER = "Removed by keysentry: this held a credential <&>. Ask security@example.com."


@pytest.fixture
def acme() -> Iterator[Workspace]:
    with acting_slack() as server:
        yield Workspace(server)


def secret(seed: int = 1) -> Sensitive:
    return Sensitive(forge("ghp_{base62:30}{crc32-base62:6}", random.Random(seed)))


def told(*said: object) -> str:
    """All that was said where people and logs see it."""
    words = []
    for one in said:
        if isinstance(one, Receipt):
            words.append(repr((one.note, one.evidence, one.outcome)))
        elif isinstance(one, Original):
            words.append(repr((one.note, one.version)))
        else:
            words.append(f"{one!r} {one}")
    return "\n".join(words)


def hold(acme: Workspace, place: Place, *secrets: Sensitive, **options: Any) -> tuple[Original, Receipt]:
    with acme.quarantine(**options) as quarantine:
        original = quarantine.inspect(place, secrets)
        receipt = quarantine.hold(place, original, secrets, PLACEHOLDER)
    assert not any(one.reveal() in told(original, receipt) for one in secrets)
    return original, receipt


def release(acme: Workspace, place: Place, original: Original, receipt: Receipt, **options: Any) -> Receipt:
    with acme.quarantine(**options) as quarantine:
        return quarantine.release(place, original, receipt)


class TestOwnMessages:
    def test_a_message_is_replaced_and_gets_its_words_back(self, acme: Workspace) -> None:
        channel, token = acme.channel(), secret()
        ts = acme.app_says(channel, f"use {token.reveal()} &amp; tell nobody", attachments=[{"text": token.reveal()}])
        acme.says(channel, "ok", thread_ts=ts)
        before = {key: acme.message(channel, ts)[key] for key in ("text", "attachments", "reply_count")}
        place = acme.place(channel, ts)
        original, receipt = hold(acme, place, token)
        now = acme.message(channel, ts)
        assert now["text"] == PLACEHOLDER.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        assert now["blocks"][0]["text"]["text"] == PLACEHOLDER and "attachments" not in now
        assert now["reply_count"] == 1 and token.reveal() not in acme.seen(channel)
        assert receipt.evidence["way"] == "replaced" and acme.effects == {"chat.update": 1}
        done = release(acme, place, original, receipt)
        now = acme.message(channel, ts)
        assert {key: now[key] for key in before} == before and "blocks" not in now
        assert done.evidence["record"] == f"{channel}/{ts}" and acme.effects == {"chat.update": 2}
        assert token.reveal() not in told(done)

    def test_rich_text_stays_rich_text(self, acme: Workspace) -> None:
        """A person's own token: what they wrote is rich text, and Slack lets nothing else take its place."""
        channel, token = acme.channel(), secret()
        ts = acme.says(channel, f"my key: {token.reveal()}")
        before = acme.message(channel, ts)["blocks"]
        place = acme.place(channel, ts)
        original, receipt = hold(acme, place, token, token=PERSON, admin="")
        now = acme.message(channel, ts)["blocks"]
        assert now[0]["type"] == "rich_text" and PLACEHOLDER in acme.seen(channel)
        assert token.reveal() not in acme.seen(channel)
        release(acme, place, original, receipt, token=PERSON, admin="")
        assert acme.message(channel, ts)["blocks"] == before

    def test_metadata_and_long_text_come_back(self, acme: Workspace) -> None:
        channel, token = acme.channel(), secret()
        text = f"{token.reveal()}\n" + "words and more words\n" * 400
        metadata = {"event_type": "deployed", "event_payload": {"id": "17"}}
        ts = acme.app_says(channel, text, metadata=metadata)
        place = acme.place(channel, ts)
        original, receipt = hold(acme, place, token)
        with acme.quarantine() as quarantine:
            assert quarantine.released(place, original, receipt) is None
            quarantine.release(place, original, receipt)
        now = acme.message(channel, ts)
        assert now["metadata"] == metadata
        assert "".join(block["text"]["text"] for block in now["blocks"]) == text

    def test_a_message_that_may_not_be_edited_any_more_is_deleted(self, acme: Workspace) -> None:
        channel, token = acme.channel(), secret()
        ts = acme.app_says(channel, token.reveal())
        acme.server.editable = False
        place = acme.place(channel, ts)
        with acme.quarantine(mode="replace") as quarantine:
            original = quarantine.inspect(place, [token])
            with pytest.raises(AccessError, match="Message Editing"):
                quarantine.hold(place, original, [token], PLACEHOLDER)
        assert acme.effects == {}
        _, receipt = hold(acme, place, token)
        assert receipt.evidence["way"] == "deleted" and not acme.there(channel, ts)
        assert token.reveal() not in acme.seen(channel)

    def test_it_can_be_held_again(self, acme: Workspace) -> None:
        channel, token = acme.channel(), secret()
        ts = acme.app_says(channel, token.reveal())
        place = acme.place(channel, ts)
        for _ in range(3):
            original, receipt = hold(acme, place, token)
            assert token.reveal() not in acme.seen(channel)
            release(acme, place, original, receipt)
            assert acme.message(channel, ts)["text"] == token.reveal()


class TestMessagesOfOthers:
    def test_a_message_is_deleted_and_said_again(self, acme: Workspace) -> None:
        channel, token = acme.channel(), secret()
        first = acme.says(channel, "before", "U00000002")
        ts = acme.says(channel, f"here: {token.reveal()} <3")
        place = acme.place(channel, ts)
        original, receipt = hold(acme, place, token)
        assert not acme.there(channel, ts) and token.reveal() not in acme.seen(channel)
        top = acme.top(channel)
        assert [one["ts"] for one in top] == [first, receipt.evidence["placeholder"]]
        assert top[1]["blocks"][0]["text"] == {"type": "plain_text", "text": PLACEHOLDER}
        assert acme.effects == {"chat.postMessage": 1, "chat.delete": 1}
        done = release(acme, place, original, receipt)
        said = acme.top(channel)[1]
        assert f"here: {token.reveal()} <3" in acme.seen(channel)
        assert said["blocks"][0]["elements"][0]["text"].startswith("_alice, <!date^")
        assert said["blocks"][1]["type"] == "rich_text" and PLACEHOLDER not in acme.seen(channel)
        assert done.evidence["record"] == f"{channel}/{said['ts']}" and "another's name" in done.note
        assert acme.effects == {"chat.postMessage": 1, "chat.delete": 1, "chat.update": 1}

    def test_a_first_message_leaves_its_thread(self, acme: Workspace) -> None:
        channel, token = acme.channel(), secret()
        ts = acme.says(channel, token.reveal())
        reply = acme.says(channel, "thanks", "U00000002", thread_ts=ts)
        place = acme.place(channel, ts)
        original, receipt = hold(acme, place, token)
        assert acme.message(channel, ts)["subtype"] == "tombstone"
        assert [one["ts"] for one in acme.thread(channel, ts)] == [reply, receipt.evidence["placeholder"]]
        release(acme, place, original, receipt)
        assert token.reveal() in str(acme.thread(channel, ts)[1])
        assert len(acme.top(channel)) == 1

    def test_an_answer_that_comes_while_it_is_held(self, acme: Workspace) -> None:
        """The placeholder stands in the channel; the message gets its first reply before it could be deleted."""
        channel, token = acme.channel(), secret()
        ts = acme.says(channel, token.reveal())
        place = acme.place(channel, ts)
        with acme.quarantine() as quarantine:
            original = quarantine.inspect(place, [token])
        cut = acme.server.cut_at(lambda method: method == "chat.delete", before=True)
        with cut, acme.quarantine() as quarantine, pytest.raises(SourceError):
            quarantine.hold(place, original, [token], PLACEHOLDER)
        acme.says(channel, "thanks", "U00000002", thread_ts=ts)
        with acme.quarantine() as quarantine:
            receipt = quarantine.held(place, original, PLACEHOLDER)
            assert receipt is not None
            quarantine.release(place, original, receipt)
        assert acme.effects == {"chat.postMessage": 1, "chat.delete": 1, "chat.update": 1}
        assert token.reveal() in str(acme.top(channel)[1])

    def test_few_calls(self, acme: Workspace) -> None:
        """What is limited most, history and threads, is asked for three times each."""
        channel, token = acme.channel(), secret()
        ts = acme.says(channel, token.reveal())
        place = acme.place(channel, ts)
        acme.server.calls.clear()
        hold(acme, place, token)
        assert acme.server.count("conversations.replies") == acme.server.count("conversations.history") == 3
        assert len(acme.server.calls) <= 10

    def test_a_reply_stays_in_its_thread(self, acme: Workspace) -> None:
        channel, token = acme.channel(), secret()
        parent = acme.says(channel, "how do I log in?", "U00000002")
        ts = acme.says(channel, token.reveal(), thread_ts=parent)
        place = acme.place(channel, ts)
        original, receipt = hold(acme, place, token)
        (standing,) = acme.thread(channel, parent)
        assert standing["ts"] == receipt.evidence["placeholder"] and standing["thread_ts"] == parent
        release(acme, place, original, receipt)
        (standing,) = acme.thread(channel, parent)
        assert token.reveal() in str(standing) and len(acme.top(channel)) == 1

    def test_what_a_bot_of_others_wrote(self, acme: Workspace) -> None:
        """Blocks that only its own app may post are left out; its words come back."""
        channel, token = acme.channel(), secret()
        blocks = [
            {"type": "section", "text": {"type": "mrkdwn", "text": f"*key* `{token.reveal()}`"}},
            {"type": "actions", "elements": [{"type": "button", "action_id": "x"}]},
        ]
        attachments = [{"text": "more"}, {"text": "preview", "from_url": "https://example.com/"}]
        ts = acme.says(
            channel, "fallback", "U9", bot_id="B9", username="deployer", blocks=blocks, attachments=attachments
        )
        place = acme.place(channel, ts)
        original, receipt = hold(acme, place, token)
        release(acme, place, original, receipt)
        (said,) = acme.top(channel)
        assert [block["type"] for block in said["blocks"]] == ["context", "section"]
        assert said["attachments"] == [{"text": "more"}] and "deployer" in str(said["blocks"][0])

    def test_a_long_text_without_blocks(self, acme: Workspace) -> None:
        channel, token = acme.channel(), secret()
        text = f"{token.reveal()} " + "x" * 9000
        ts = acme.says(channel, text, blocks=[])
        place = acme.place(channel, ts)
        original, receipt = hold(acme, place, token)
        release(acme, place, original, receipt)
        (said,) = acme.top(channel)
        assert "".join(block["text"]["text"] for block in said["blocks"][1:]) == text

    def test_a_placeholder_that_somebody_took_away(self, acme: Workspace) -> None:
        channel, token = acme.channel(), secret()
        ts = acme.says(channel, token.reveal())
        place = acme.place(channel, ts)
        original, receipt = hold(acme, place, token)
        acme.state.delete(channel, receipt.evidence["placeholder"])
        done = release(acme, place, original, receipt)
        assert token.reveal() in acme.seen(channel) and len(acme.top(channel)) == 1
        with acme.quarantine() as quarantine:
            assert quarantine.released(place, original, receipt) == done
            assert quarantine.release(place, original, receipt) == done
        assert acme.effects["chat.postMessage"] == 2 and len(acme.top(channel)) == 1

    def test_delete_is_for_own_messages_too_if_it_is_wished_for(self, acme: Workspace) -> None:
        channel, token = acme.channel(), secret()
        ts = acme.app_says(channel, token.reveal())
        _, receipt = hold(acme, acme.place(channel, ts), token, mode="delete", admin="")
        assert receipt.evidence["way"] == "deleted" and not acme.there(channel, ts)

    def test_held_in_private_channels_that_only_the_person_sees(self, acme: Workspace) -> None:
        """What the bot may not read is read by the other token."""
        channel, token = acme.channel(), secret()
        ts = acme.says(channel, token.reveal())
        place = acme.place(channel, ts)
        acme.bot.scopes -= {"channels:history"}
        with acme.quarantine() as quarantine:
            original = quarantine.inspect(place, [token])
            quarantine.hold(place, original, [token], PLACEHOLDER)
        assert token.reveal() not in acme.seen(channel)


class TestFiles:
    def test_a_file_is_deleted_and_comes_back_in_the_thread(self, acme: Workspace) -> None:
        channel, token = acme.channel(), secret()
        content = b"# settings\ntoken = " + token.reveal_bytes() + b"\n"
        ts = acme.shares(channel, "settings.env", content, "our settings")
        place = acme.place(channel, ts, "settings.env")
        original, receipt = hold(acme, place, token)
        assert acme.message(channel, ts)["text"] == "our settings" and acme.contents(channel) == []
        (note,) = acme.thread(channel, ts)
        assert PLACEHOLDER in str(note) and receipt.evidence["way"] == "files"
        assert acme.effects == {"chat.postMessage": 1, "files.delete": 1}
        done = release(acme, place, original, receipt)
        assert acme.contents(channel) == [content] and PLACEHOLDER not in acme.seen(channel)
        assert acme.thread(channel, ts)[1]["files"][0]["name"] == "settings.env"
        assert "uploaded anew" in done.note and done.evidence["record"] == f"{channel}/{ts}"
        with acme.quarantine() as quarantine:
            assert quarantine.release(place, original, receipt) == done
        assert acme.effects["files.completeUploadExternal"] == 1

    def test_words_and_file_of_an_own_message(self, acme: Workspace) -> None:
        channel, token, other = acme.channel(), secret(), secret(2)
        ts = acme.shares(channel, "a.txt", other.reveal_bytes(), f"and {token.reveal()}")
        acme.message(channel, ts).update(user="U0KEYSENTRY", bot_id="B00000001")
        acme.message(channel, ts)["files"][0]["user"] = "U0KEYSENTRY"
        place = acme.place(channel, ts)
        original, receipt = hold(acme, place, token, other, admin="")
        assert acme.message(channel, ts)["blocks"] and not acme.contents(channel)
        assert token.reveal() not in acme.seen(channel) and receipt.evidence["way"] == "replaced"
        release(acme, place, original, receipt, admin="")
        assert acme.message(channel, ts)["text"] == f"and {token.reveal()}"
        assert acme.contents(channel) == [other.reveal_bytes()]

    def test_a_deleted_message_with_a_clean_file_links_to_it(self, acme: Workspace) -> None:
        channel, token = acme.channel(), secret()
        ts = acme.shares(channel, "photo.txt", b"nothing here", token.reveal())
        place = acme.place(channel, ts)
        original, receipt = hold(acme, place, token)
        assert len(acme.state.files) == 1 and "files.delete" not in acme.effects
        release(acme, place, original, receipt)
        assert "|photo.txt>" in str(acme.top(channel)[0]["blocks"][0])

    @pytest.mark.parametrize("kind", ["zip", "utf-16", "base64", "plain"])
    def test_which_file_it_is_in(self, acme: Workspace, kind: str) -> None:
        channel, token = acme.channel(), secret()
        content = token.reveal_bytes()
        if kind == "zip":
            packed = BytesIO()
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("keys.txt", content)
            content = packed.getvalue()
        elif kind == "utf-16":
            content = token.reveal().encode("utf-16")
        elif kind == "base64":
            content = b64encode(b"user:" + content)
        ts = acme.shares(channel, "keys", content, "look")
        place = acme.place(channel, ts, "keys" if kind == "zip" else "")
        original, receipt = hold(acme, place, token)
        assert receipt.evidence["way"] == "files" and not acme.contents(channel)
        release(acme, place, original, receipt)
        assert acme.contents(channel) == [content]

    def test_what_may_hide_it_is_taken_with_it(self, acme: Workspace) -> None:
        """Of two secrets one is not to be seen anywhere: it may be in the archive."""
        channel, token, other = acme.channel(), secret(), secret(2)
        ts = acme.shares(channel, "logs.gz", gzip.compress(other.reveal_bytes()), token.reveal())
        original, receipt = hold(acme, acme.place(channel, ts), token, other)
        assert not acme.there(channel, ts) and not acme.state.files
        release(acme, acme.place(channel, receipt.evidence["placeholder"]), original, receipt)
        assert gzip.decompress(acme.contents(channel)[0]) == other.reveal_bytes()

    def test_what_cannot_be_sealed_is_not_touched(self, acme: Workspace) -> None:
        channel, token = acme.channel(), secret()
        ts = acme.shares(channel, "big.txt", token.reveal_bytes() + b"x" * 5000)
        place = acme.place(channel, ts, "big.txt")
        with acme.quarantine(max_file=1000) as quarantine, pytest.raises(InputError, match=r"not deleted.*max_file"):
            quarantine.inspect(place, [token])
        acme.message(channel, ts)["files"][0]["filetype"] = "quip"
        with acme.quarantine() as quarantine, pytest.raises(InputError, match="canvas"):
            quarantine.inspect(acme.place(channel, ts, "big.txt.html"), [token])
        acme.message(channel, ts)["files"][0].pop("filetype")
        for one in (acme.bot, acme.admin):
            one.scopes -= {"files:read"}
        with acme.quarantine() as quarantine, pytest.raises(AccessError, match="files:read"):
            quarantine.inspect(place, [token])
        assert acme.effects == {}

    def test_a_file_that_may_not_be_deleted_leaves_no_note(self, acme: Workspace) -> None:
        channel, token = acme.channel(), secret()
        ts = acme.shares(channel, "a.txt", token.reveal_bytes())
        acme.state.files["F00000001"].told["user"] = "U00000001"
        place = acme.place(channel, ts, "a.txt")
        with acme.quarantine(admin="") as quarantine:
            original = quarantine.inspect(place, [token])
            with pytest.raises(AccessError, match=r"admin_token.*files:write"):
                quarantine.hold(place, original, [token], PLACEHOLDER)
        assert acme.thread(channel, ts) == [] and len(acme.state.files) == 1

    def test_sharing_takes_its_time(self, acme: Workspace) -> None:
        channel, token = acme.channel(), secret()
        ts = acme.shares(channel, "a.txt", token.reveal_bytes())
        place = acme.place(channel, ts, "a.txt")
        original, receipt = hold(acme, place, token)
        acme.server.share_after = 3
        release(acme, place, original, receipt)
        assert acme.contents(channel) == [token.reveal_bytes()] and sum(acme.waits) < 10

    def test_a_share_whose_answer_is_lost(self, acme: Workspace) -> None:
        channel, token = acme.channel(), secret()
        ts = acme.shares(channel, "a.txt", token.reveal_bytes())
        place = acme.place(channel, ts, "a.txt")
        original, receipt = hold(acme, place, token)
        acme.server.fail("files.completeUploadExternal", Fault(reset=True))
        release(acme, place, original, receipt)
        assert acme.contents(channel) == [token.reveal_bytes()]
        assert acme.effects["files.completeUploadExternal"] == 1

    def test_a_share_that_slack_drops_is_told(self, acme: Workspace) -> None:
        channel, token = acme.channel(), secret()
        ts = acme.shares(channel, "a.txt", token.reveal_bytes())
        place = acme.place(channel, ts, "a.txt")
        original, receipt = hold(acme, place, token)
        acme.server.drops_shares = True
        with acme.quarantine() as quarantine:
            with pytest.raises(UnclearError, match="does not show it"):
                quarantine.release(place, original, receipt)
            assert quarantine.released(place, original, receipt) is None
            acme.server.drops_shares = False
            quarantine.release(place, original, receipt)
        assert len(acme.contents(channel)) == 1

    def test_a_name_with_a_secret_in_it(self, acme: Workspace) -> None:
        channel, token = acme.channel(), secret()
        name = f"{token.reveal()}.txt"
        ts = acme.shares(channel, name, b"y" * 5000)
        acme.message(channel, ts)["text"] = ""
        place = acme.place(channel, ts)
        with acme.quarantine(max_file=4000) as quarantine, pytest.raises(InputError) as caught:
            quarantine.inspect(place, [token])
        assert token.reveal() not in told(caught.value)
        original, receipt = hold(acme, place, token)
        assert token.reveal() not in told(original, receipt) and not acme.state.files


class TestWhatChangedMeanwhile:
    def test_edited_so_that_it_is_gone(self, acme: Workspace) -> None:
        channel, token = acme.channel(), secret()
        ts = acme.says(channel, token.reveal())
        place = acme.place(channel, ts)
        acme.state.edit(channel, ts, "use the vault")
        acme.message(channel, ts)["blocks"] = []
        with acme.quarantine() as quarantine, pytest.raises(ChangedError):
            quarantine.inspect(place, [token])

    @pytest.mark.parametrize("what", ["edited", "file added", "unfurled"])
    def test_between_the_look_and_the_hold(self, acme: Workspace, what: str) -> None:
        channel, token = acme.channel(), secret()
        ts = acme.says(channel, token.reveal())
        place = acme.place(channel, ts)
        with acme.quarantine() as quarantine:
            original = quarantine.inspect(place, [token])
            message = acme.message(channel, ts)
            if what == "edited":
                acme.state.edit(channel, ts, f"{token.reveal()} again")
            elif what == "file added":
                message["files"] = [{"id": "F1"}]
            else:
                message["attachments"] = [{"text": "a page", "from_url": "https://example.com/"}]
            if what == "unfurled":
                quarantine.hold(place, original, [token], PLACEHOLDER)
                assert not acme.there(channel, ts)
                return
            with pytest.raises(ChangedError):
                quarantine.hold(place, original, [token], PLACEHOLDER)
        assert acme.effects == {} and acme.there(channel, ts)

    def test_deleted(self, acme: Workspace) -> None:
        channel, token = acme.channel(), secret()
        ts, other = acme.says(channel, token.reveal()), acme.says(channel, token.reveal())
        acme.says(channel, "a reply", "U00000002", thread_ts=other)
        place, second = acme.place(channel, ts), acme.place(channel, other)
        with acme.quarantine() as quarantine:
            original, also = quarantine.inspect(place, [token]), quarantine.inspect(second, [token])
            acme.state.delete(channel, ts)
            acme.state.delete(channel, other)  # leaves a tombstone
            for one, sealed in ((place, original), (second, also)):
                assert quarantine.held(one, sealed, PLACEHOLDER) is None
                with pytest.raises(GoneError):
                    quarantine.hold(one, sealed, [token], PLACEHOLDER)
                with pytest.raises(GoneError):
                    quarantine.inspect(one, [token])
        assert acme.effects == {}

    def test_the_conversation_is_gone_or_archived(self, acme: Workspace) -> None:
        channel, token = acme.channel(), secret()
        ts = acme.says(channel, token.reveal())
        place = acme.place(channel, ts)
        original, receipt = hold(acme, place, token)
        acme.state.conversations[channel].told["is_archived"] = True
        with acme.quarantine() as quarantine, pytest.raises(GoneError, match="archived"):
            quarantine.release(place, original, receipt)
        del acme.state.conversations[channel]
        with acme.quarantine() as quarantine:
            with pytest.raises(GoneError, match="channel_not_found"):
                quarantine.release(place, original, receipt)
            with pytest.raises(GoneError):
                quarantine.inspect(place, [token])

    def test_somebody_wrote_over_the_placeholder(self, acme: Workspace) -> None:
        channel, token = acme.channel(), secret()
        ts = acme.app_says(channel, token.reveal())
        place = acme.place(channel, ts)
        original, receipt = hold(acme, place, token)
        acme.message(channel, ts).update(text="other words", blocks=[], metadata={})
        with acme.quarantine() as quarantine, pytest.raises(ChangedError):
            quarantine.release(place, original, receipt)

    def test_an_unedited_message_is_what_was_scanned(self, acme: Workspace) -> None:
        """A secret in pieces, or encoded in a way of its own, is not seen by looking for it."""
        channel, token = acme.channel(), secret()
        ts = acme.says(channel, token.reveal()[::-1])
        _, receipt = hold(acme, acme.place(channel, ts), token)
        assert receipt.evidence["way"] == "deleted" and token.reveal()[::-1] not in acme.seen(channel)


class TestInterruptions:
    """A hold is broken off before and after each of its calls; then it is done as the worker does it."""

    @pytest.mark.parametrize("lost", ["chat.postMessage", "chat.delete", "files.delete"])
    @pytest.mark.parametrize("reached", [True, False], ids=["answer lost", "not sent"])
    def test_nothing_is_done_twice(self, acme: Workspace, lost: str, reached: bool) -> None:
        channel, token, other = acme.channel(), secret(), secret(2)
        ts = acme.shares(channel, "a.txt", other.reveal_bytes(), token.reveal())
        place, secrets = acme.place(channel, ts), (token, other)
        with acme.quarantine() as quarantine:
            original = quarantine.inspect(place, secrets)
        cut = acme.server.cut_at(lambda method: method == lost, before=not reached)
        with cut, acme.quarantine() as quarantine, pytest.raises(SourceError):
            quarantine.hold(place, original, secrets, PLACEHOLDER)
        with acme.quarantine() as quarantine:
            receipt = quarantine.held(place, original, PLACEHOLDER)
            if receipt is None:
                assert acme.effects == {}
                original = quarantine.inspect(place, secrets)
                receipt = quarantine.hold(place, original, secrets, PLACEHOLDER)
        assert acme.effects == {"chat.postMessage": 1, "chat.delete": 1, "files.delete": 1}
        assert len(acme.top(channel)) == 1 and not any(one.reveal() in acme.seen(channel) for one in secrets)
        release(acme, place, original, receipt)
        assert all(one.reveal() in acme.seen(channel) for one in secrets)

    @pytest.mark.parametrize("reached", [True, False], ids=["answer lost", "not sent"])
    def test_a_lost_answer_is_looked_for_at_once(self, acme: Workspace, reached: bool) -> None:
        """The connection breaks once: the same hold finds out by itself, and posts no second placeholder."""
        channel, token = acme.channel(), secret()
        ts = acme.says(channel, token.reveal())
        place = acme.place(channel, ts)
        if reached:
            acme.server.fail("chat.postMessage", Fault(reset=True))
        else:
            acme.server.fail("chat.postMessage", Fault(status=503), Fault(error="internal_error"))
        hold(acme, place, token)
        assert acme.effects == {"chat.postMessage": 1, "chat.delete": 1} and len(acme.top(channel)) == 1

    def test_a_message_that_was_edited_before_it_could_be_deleted(self, acme: Workspace) -> None:
        channel, token = acme.channel(), secret()
        ts = acme.says(channel, token.reveal())
        place = acme.place(channel, ts)
        with acme.quarantine() as quarantine:
            original = quarantine.inspect(place, [token])
        cut = acme.server.cut_at(lambda method: method == "chat.delete", before=True)
        with cut, acme.quarantine() as quarantine, pytest.raises(SourceError):
            quarantine.hold(place, original, [token], PLACEHOLDER)
        acme.state.edit(channel, ts, f"edited {token.reveal()}")
        with acme.quarantine() as quarantine:
            assert quarantine.held(place, original, PLACEHOLDER) is None
            assert len(acme.top(channel)) == 1, "the placeholder was taken back"
            quarantine.hold(place, quarantine.inspect(place, [token]), [token], PLACEHOLDER)
        assert len(acme.top(channel)) == 1 and token.reveal() not in acme.seen(channel)

    @pytest.mark.parametrize("lost", ["chat.update", "upload", "files.completeUploadExternal"])
    @pytest.mark.parametrize("reached", [True, False], ids=["answer lost", "not sent"])
    def test_a_release_is_gone_on_with(self, acme: Workspace, lost: str, reached: bool) -> None:
        channel, token, other = acme.channel(), secret(), secret(2)
        ts = acme.shares(channel, "a.txt", other.reveal_bytes(), token.reveal())
        place = acme.place(channel, ts)
        original, receipt = hold(acme, place, token, other)
        cut = acme.server.cut_at(lambda method: method == lost, before=not reached)
        with cut, acme.quarantine() as quarantine, pytest.raises(SourceError):
            quarantine.release(place, original, receipt)
        with acme.quarantine() as quarantine:
            if quarantine.released(place, original, receipt) is None:
                quarantine.release(place, original, receipt)
        assert acme.effects["files.completeUploadExternal"] == 1 and len(acme.contents(channel)) == 1
        assert acme.effects["chat.update"] == 1 and token.reveal() in acme.seen(channel)

    def test_a_mark_of_somebody_else_is_none(self, acme: Workspace) -> None:
        """Another app writes what looks like our placeholder: nothing was held."""
        channel, token = acme.channel(), secret()
        ts, victim = acme.says(channel, token.reveal()), acme.says(channel, token.reveal())
        place, second = acme.place(channel, ts), acme.place(channel, victim)
        hold(acme, place, token)
        mark = acme.top(channel)[-1]
        with acme.quarantine() as quarantine:
            original = quarantine.inspect(second, [token])
            forged = dict(mark["metadata"], event_payload={"hold": Address(channel, victim).digest})
            acme.says(channel, "held", "U9", bot_id="B9", metadata=forged)
            assert quarantine.held(second, original, PLACEHOLDER) is None
            acme.message(channel, victim)["metadata"] = forged  # its author pretends that it is held
            assert quarantine.held(second, original, PLACEHOLDER) is None
            quarantine.hold(second, quarantine.inspect(second, [token]), [token], PLACEHOLDER)
        assert not acme.there(channel, victim)


class TestLimitsAndPermissions:
    def test_429_is_waited_for(self, acme: Workspace) -> None:
        channel, token = acme.channel(), secret()
        ts = acme.says(channel, token.reveal())
        place = acme.place(channel, ts)
        limited = Fault(status=429, error="ratelimited", retry_after="7")
        for method in ("chat.postMessage", "chat.delete", "conversations.replies"):
            acme.server.fail(method, limited)
        hold(acme, place, token)
        assert acme.waits.count(7.0) == 3 and acme.effects == {"chat.postMessage": 1, "chat.delete": 1}

    def test_a_bot_alone_may_not_delete_what_others_wrote(self, acme: Workspace) -> None:
        channel, token = acme.channel(), secret()
        ts = acme.says(channel, token.reveal())
        place = acme.place(channel, ts)
        with acme.quarantine(admin="") as quarantine:
            original = quarantine.inspect(place, [token])
            with pytest.raises(AccessError, match=r"admin_token.*owner or admin.*chat:write"):
                quarantine.hold(place, original, [token], PLACEHOLDER)
        with acme.quarantine(mode="replace") as quarantine, pytest.raises(AccessError, match="mode"):
            quarantine.hold(place, original, [token], PLACEHOLDER)
        assert acme.effects == {} and acme.there(channel, ts)

    @pytest.mark.parametrize("reason", ["no admin", "compliance"])
    def test_a_placeholder_is_taken_back_if_nothing_came_of_it(self, acme: Workspace, reason: str) -> None:
        channel, token = acme.channel(), secret()
        ts = acme.says(channel, token.reveal())
        place = acme.place(channel, ts)
        with acme.quarantine() as quarantine:
            original = quarantine.inspect(place, [token])
            acme.admin.admin = reason != "no admin"
            if reason == "compliance":
                refused = Fault(error="compliance_exports_prevent_deletion")
                acme.server.fail("chat.delete", refused)
            with pytest.raises(AccessError, match=r"cant_delete_message|compliance"):
                quarantine.hold(place, original, [token], PLACEHOLDER)
        assert [one["ts"] for one in acme.top(channel)] == [ts]

    @pytest.mark.parametrize("scope", ["chat:write", "channels:history"])
    def test_a_missing_scope_is_named(self, acme: Workspace, scope: str) -> None:
        channel, token = acme.channel(), secret()
        ts = acme.app_says(channel, token.reveal())
        place = acme.place(channel, ts)
        for one in (acme.bot, acme.admin):
            one.scopes -= {scope}
        with acme.quarantine() as quarantine, pytest.raises(AccessError, match=scope):
            quarantine.hold(place, quarantine.inspect(place, [token]), [token], PLACEHOLDER)
        assert acme.effects == {}

    def test_the_app_must_be_in_the_channel(self, acme: Workspace) -> None:
        channel, token = acme.channel(), secret()
        ts = acme.says(channel, token.reveal())
        place = acme.place(channel, ts)
        with acme.quarantine() as quarantine:
            original = quarantine.inspect(place, [token])
            acme.state.conversations[channel].told["is_member"] = False
            with pytest.raises(AccessError, match="/invite"):
                quarantine.hold(place, original, [token], PLACEHOLDER)
            assert acme.effects == {}
            acme.bot.scopes |= {"chat:write.public"}
            quarantine.hold(place, original, [token], PLACEHOLDER)
        assert not acme.there(channel, ts)

    def test_a_token_that_is_none(self, acme: Workspace) -> None:
        channel, token = acme.channel(), secret()
        place = acme.place(channel, acme.says(channel, token.reveal()))
        acme.bot.fault = acme.admin.fault = "token_revoked"
        with acme.quarantine() as quarantine, pytest.raises(AccessError, match="token_revoked"):
            quarantine.inspect(place, [token])

    def test_closing_wakes_who_waits(self, acme: Workspace) -> None:
        channel, token = acme.channel(), secret()
        place = acme.place(channel, acme.says(channel, token.reveal()))
        with acme.quarantine() as quarantine:
            quarantine.close()
            with pytest.raises(ClosedError):
                quarantine.inspect(place, [token])

    def test_nothing_is_logged(self, acme: Workspace, caplog: pytest.LogCaptureFixture) -> None:
        channel, token = acme.channel(), secret()
        ts = acme.shares(channel, "a.txt", token.reveal_bytes(), token.reveal())
        place = acme.place(channel, ts)
        with caplog.at_level(logging.DEBUG):
            original, receipt = hold(acme, place, token)
            release(acme, place, original, receipt)
        assert token.reveal() not in caplog.text and ADMIN not in caplog.text and BOT not in caplog.text


class TestPlacesAndOptions:
    @pytest.mark.parametrize(
        ("place", "reason"),
        [
            (Place(source="x", unit="C1", record="C00000001/1736478514.897649", path="/exports/acme.zip"), "export"),
            (Place(source="x", unit="C1", record="C00000001/2024-01-02#3"), "does not name"),
            (Place(source="x", unit="C1", record="C00000001/F0123456"), "canvas"),
            (Place(source="x", unit="C1", record="reports/a.txt"), "does not name"),
        ],
    )
    def test_places_that_cannot_be_acted_upon(self, acme: Workspace, place: Place, reason: str) -> None:
        with acme.quarantine() as quarantine, pytest.raises(InputError, match=reason):
            quarantine.inspect(place, [secret()])

    def test_opening(self, acme: Workspace) -> None:
        source = SourceOptions(name="acme", token=Sensitive("local"), base_url=acme.base_url)
        with pytest.raises(ConfigError, match="SLACK_ACTING_TOKEN"):
            open_quarantine(Options(source="acme"), source)
        export = SourceOptions(name="acme", export="acme.zip")
        with pytest.raises(ConfigError, match="export"):
            open_quarantine(Options(source="acme", token=Sensitive("local")), export)
        channel, token = acme.channel(), secret()
        ts = acme.says(channel, token.reveal())
        options = Options(source="acme", token=Sensitive(BOT), admin_token=Sensitive(ADMIN))
        found = open_quarantine(options, source)
        try:
            place = acme.place(channel, ts)
            found.hold(place, found.inspect(place, [token]), [token], PLACEHOLDER)
        finally:
            found.close()
        assert not acme.there(channel, ts)

    @pytest.mark.parametrize("damage", ["content", "undo"])
    def test_what_was_sealed_elsewhere(self, acme: Workspace, damage: str) -> None:
        channel, token = acme.channel(), secret()
        place = acme.place(channel, acme.says(channel, token.reveal()))
        original, receipt = hold(acme, place, token)
        if damage == "content":
            original = Original(content=b"else", version="", note="")
        else:
            receipt = Receipt(outcome="done", note="", undo=b"{}")
        with acme.quarantine() as quarantine, pytest.raises(KeysentryError):
            quarantine.release(place, original, receipt)


class TestEmulator:
    """What the emulator can do: own messages, files of one's own; others' messages are refused to everybody."""

    @pytest.fixture
    def quarantine(self, emulator: Emulator) -> Iterator[SlackQuarantine]:
        actor = Actor("acme", Sensitive(emulator.token), base_url=emulator.base_url, per_minute=0.0)
        found = SlackQuarantine(Tokens(actor, actor))
        yield found
        found.close()

    @staticmethod
    def place(emulator: Emulator, channel: str, ts: str, file: str = "") -> Place:
        source = SlackSource(open_client(emulator))
        try:
            given = [one.record for one in source.records(Unit(channel, "#it"), None) if one.record is not None]
        finally:
            source.close()
        return place_of(next(one for one in given if one.id == f"{channel}/{ts}"), file)

    @staticmethod
    def message(emulator: Emulator, channel: str, ts: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = emulator.web.conversations_replies(channel=channel, ts=ts)["messages"]
        return next(one for one in found if one["ts"] == ts)

    def test_an_own_message(self, emulator: Emulator, quarantine: SlackQuarantine) -> None:
        channel, token = emulator.channel(), secret()
        ts = emulator.post(channel, f"use {token.reveal()}")
        emulator.reply(channel, ts, "ok")
        place = self.place(emulator, channel, ts)
        original = quarantine.inspect(place, [token])
        receipt = quarantine.hold(place, original, [token], PLACEHOLDER)
        assert token.reveal() not in str(self.message(emulator, channel, ts))
        again = quarantine.held(place, original, PLACEHOLDER)
        assert again == receipt and quarantine.hold(place, original, [token], PLACEHOLDER) == receipt
        assert quarantine.released(place, original, receipt) is None
        quarantine.release(place, original, receipt)
        message = self.message(emulator, channel, ts)
        assert message["text"] == f"use {token.reveal()}" and not message.get("blocks")
        assert quarantine.released(place, original, receipt) is not None

    def test_a_file(self, emulator: Emulator, quarantine: SlackQuarantine) -> None:
        channel, token = emulator.channel(), secret()
        ts = emulator.share(channel, "a.txt", token.reveal_bytes())
        place = self.place(emulator, channel, ts, "a.txt")
        original = quarantine.inspect(place, [token])
        receipt = quarantine.hold(place, original, [token], PLACEHOLDER)
        assert not self.message(emulator, channel, ts).get("files")
        quarantine.release(place, original, receipt)
        thread = emulator.web.conversations_replies(channel=channel, ts=ts)["messages"]
        assert [file["name"] for one in thread for file in one.get("files") or ()] == ["a.txt"]
        assert len(thread) == 3, "the message, the note, the file"

    def test_deleting_and_saying_again(self, emulator: Emulator) -> None:
        channel, token = emulator.channel(), secret()
        parent = emulator.post(channel, "question")
        ts = emulator.reply(channel, parent, token.reveal())
        actor = Actor("acme", Sensitive(emulator.token), base_url=emulator.base_url, per_minute=0.0)
        quarantine = SlackQuarantine(Tokens(actor, actor), mode="delete")
        try:
            place = self.place(emulator, channel, ts)
            original = quarantine.inspect(place, [token])
            receipt = quarantine.hold(place, original, [token], PLACEHOLDER)
            thread = emulator.web.conversations_replies(channel=channel, ts=parent)["messages"]
            assert [one["ts"] for one in thread] == [parent, receipt.evidence["placeholder"]]
            assert token.reveal() not in str(thread)
            quarantine.release(place, original, receipt)
            thread = emulator.web.conversations_replies(channel=channel, ts=parent)["messages"]
            assert token.reveal() in str(thread[1]) and len(thread) == 2
        finally:
            quarantine.close()
