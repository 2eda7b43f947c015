"""People told in Slack, against our own server (`tests/servers/slack_acting.py`) and, as far as it goes, against a
third party's emulator, which keeps to no time and takes any block.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from subprocess import run
from sys import executable

import pytest

from keysentry.connectors.base import Notice, Recipient
from keysentry.connectors.slack.acting import Actor
from keysentry.connectors.slack.notify import Options, open_notifier
from keysentry.connectors.slack.telling import SlackNotifier
from keysentry.errors import AccessError, ClosedError, ConfigError, GoneError, InputError, SourceError, UnclearError
from keysentry.model.action import Place
from keysentry.model.sensitive import Sensitive
from keysentry.rules.forge import forge
from tests.connectors.slack.acting_bench import BOT, Workspace
from tests.connectors.slack.backends import Emulator
from tests.servers.slack import Fault
from tests.servers.slack_acting import acting_slack
from tests.servers.slack_state import Fields, ts_number

pytestmark = pytest.mark.xdist_group("slack")

NOTICE = Notice(
    id="act_0123456789abcdef/1",
    kind="author",
    subject="A credential in #general <b>",
    text="Hello *alice*,\n\nyour message held ghp_…xy & was _removed_.\n\nThe safe way: <!channel> use the vault.",
    links=(("The incident", "https://sec.example.com/i?a=1&b=2|x"), ("", "https://sec.example.com/guide")),
)
ALICE = "U00000001"


@pytest.fixture
def acme() -> Iterator[Workspace]:
    with acting_slack() as server:
        yield Workspace(server)


def author(acme: Workspace, channel: str, ts: str) -> Recipient:
    place = acme.place(channel, ts)
    return Recipient(author=place.author, author_id=place.author_id, place=place)


def direct(acme: Workspace) -> list[Fields]:
    """What alice finds in her direct messages with the app."""
    rooms = [one for one in acme.state.conversations.values() if one.told.get("is_im")]
    assert all(one.told["user"] == ALICE for one in rooms)
    return [message for one in rooms for message in acme.top(one.id)]


class TestAuthors:
    def test_a_direct_message(self, acme: Workspace) -> None:
        channel = acme.channel()
        recipient = author(acme, channel, acme.says(channel, "oops"))
        with acme.notifier() as notifier:
            assert notifier.told(NOTICE, recipient) is None
            receipt = notifier.tell(NOTICE, recipient)
        (message,) = direct(acme)
        header, words, links = message["blocks"]
        assert header["text"] == {"type": "plain_text", "text": NOTICE.subject}
        assert words["elements"][0]["elements"] == [{"type": "text", "text": NOTICE.text}]
        assert [one.get("url") for one in links["elements"][0]["elements"][::2]] == [url for _, url in NOTICE.links]
        assert "<!channel>" not in message["text"] and "&lt;!channel&gt;" in message["text"]
        assert "<https://sec.example.com/i?a=1&amp;b=2%7Cx|The incident>" in message["text"]
        assert message["metadata"]["event_payload"] == {"id": NOTICE.id}
        assert receipt.evidence["message"] == message["ts"] and receipt.outcome == "done"
        assert len(acme.top(channel)) == 1

    def test_it_is_found_again(self, acme: Workspace) -> None:
        recipient = Recipient(author_id=ALICE)
        with acme.notifier() as notifier:
            receipt = notifier.tell(NOTICE, recipient)
            other = Notice(id="act_other", kind="author", subject="", text="else")
            assert notifier.told(other, recipient) is None
            notifier.tell(other, recipient)
        with acme.notifier() as notifier:
            assert notifier.told(NOTICE, recipient) == receipt
        assert len(direct(acme)) == 2

    def test_metadata_that_is_kept_from_us(self, acme: Workspace) -> None:
        """The id of a block says the same."""
        recipient = Recipient(author_id=ALICE)
        with acme.notifier() as notifier:
            receipt = notifier.tell(NOTICE, recipient)
            direct(acme)[0].pop("metadata")
            assert notifier.told(NOTICE, recipient) == receipt

    @pytest.mark.parametrize("reached", [True, False], ids=["answer lost", "not sent"])
    def test_an_answer_that_is_lost(self, acme: Workspace, reached: bool) -> None:
        fault = Fault(reset=True) if reached else Fault(status=502)
        acme.server.fail("chat.postMessage", fault)
        with acme.notifier() as notifier:
            notifier.tell(NOTICE, Recipient(author_id=ALICE))
        assert len(direct(acme)) == 1 and acme.effects["chat.postMessage"] == 1

    @pytest.mark.parametrize("reached", [True, False], ids=["answer lost", "not sent"])
    def test_interrupted(self, acme: Workspace, reached: bool) -> None:
        recipient = Recipient(author_id=ALICE)
        cut = acme.server.cut_at(lambda method: True, before=not reached)
        with cut, acme.notifier() as notifier, pytest.raises(SourceError):
            notifier.tell(NOTICE, recipient)
        with acme.notifier() as notifier:
            if notifier.told(NOTICE, recipient) is None:
                notifier.tell(NOTICE, recipient)
        assert len(direct(acme)) == 1

    def test_authors_elsewhere_are_found_by_their_address(self, acme: Workspace) -> None:
        place = Place(source="drive", platform="google", unit="u", record="abc")
        with acme.notifier() as notifier:
            notifier.tell(NOTICE, Recipient(author_id="1234", email="alice@example.com", place=place))
            assert len(direct(acme)) == 1
            with pytest.raises(GoneError, match="users_not_found"):
                notifier.tell(NOTICE, Recipient(author_id="1234", email="nobody@example.com", place=place))
            with pytest.raises(InputError, match="e-mail"):
                notifier.tell(NOTICE, Recipient(author_id="1234", author="carol", place=place))

    def test_a_bot_cannot_be_told(self, acme: Workspace) -> None:
        with acme.notifier() as notifier, pytest.raises(InputError, match="bot"):
            notifier.tell(NOTICE, Recipient(author_id="B00000009", author="deployer"))

    @pytest.mark.parametrize("scope", ["im:write", "chat:write", "im:history"])
    def test_a_missing_scope_is_named(self, acme: Workspace, scope: str) -> None:
        acme.bot.scopes -= {scope}
        with acme.notifier() as notifier, pytest.raises(AccessError, match=scope):
            notifier.told(NOTICE, Recipient(author_id=ALICE))
            notifier.tell(NOTICE, Recipient(author_id=ALICE))


class TestEphemeral:
    def test_where_they_wrote(self, acme: Workspace) -> None:
        channel = acme.channel()
        parent = acme.says(channel, "question", "U00000002")
        recipient = author(acme, channel, acme.says(channel, "oops", thread_ts=parent))
        with acme.notifier(ephemeral=True) as notifier:
            receipt = notifier.tell(NOTICE, recipient)
            with pytest.raises(UnclearError, match="ephemeral"):
                notifier.told(NOTICE, recipient)
        (whisper,) = acme.server.whispers
        assert (whisper["user"], whisper["channel"], whisper["thread_ts"]) == (ALICE, channel, parent)
        assert receipt.evidence["way"] == "ephemeral" and not direct(acme)

    def test_who_left_is_told_directly(self, acme: Workspace) -> None:
        channel = acme.channel()
        recipient = author(acme, channel, acme.says(channel, "oops"))
        acme.state.conversations[channel].members = []
        with acme.notifier(ephemeral=True) as notifier:
            receipt = notifier.tell(NOTICE, recipient)
        assert len(direct(acme)) == 1 and not acme.server.whispers
        assert receipt.evidence["way"] == "direct message"

    def test_a_lost_answer_is_not_sent_again(self, acme: Workspace) -> None:
        channel = acme.channel()
        recipient = author(acme, channel, acme.says(channel, "oops"))
        acme.server.fail("chat.postEphemeral", Fault(reset=True))
        with acme.notifier(ephemeral=True) as notifier, pytest.raises(UnclearError):
            notifier.tell(NOTICE, recipient)
        assert len(acme.server.whispers) == 1


class TestChannels:
    @pytest.mark.parametrize("named", [True, False])
    def test_by_name_or_id(self, acme: Workspace, named: bool) -> None:
        channel = acme.channel()
        name = f"#{acme.state.conversations[channel].told['name']}"
        with acme.notifier(channel=name if named else channel) as notifier:
            receipt = notifier.tell(NOTICE, Recipient())
            assert notifier.told(NOTICE, Recipient()) == receipt
        assert len(acme.top(channel)) == 1

    def test_no_such_channel(self, acme: Workspace) -> None:
        with acme.notifier(channel="#nowhere") as notifier, pytest.raises(AccessError, match="/invite"):
            notifier.tell(NOTICE, Recipient())
        with acme.notifier() as notifier, pytest.raises(InputError, match="`channel`"):
            notifier.tell(NOTICE, Recipient())

    def test_the_app_must_be_there(self, acme: Workspace) -> None:
        channel = acme.channel(is_member=False)
        with acme.notifier(channel=channel) as notifier, pytest.raises(AccessError, match="/invite"):
            notifier.tell(NOTICE, Recipient())

    def test_429(self, acme: Workspace) -> None:
        channel = acme.channel()
        acme.server.fail("chat.postMessage", Fault(status=429, error="ratelimited", retry_after="3"))
        with acme.notifier(channel=channel) as notifier:
            notifier.tell(NOTICE, Recipient())
        assert acme.waits == [3.0] and len(acme.top(channel)) == 1

    def test_a_long_notice_is_cut(self, acme: Workspace) -> None:
        channel = acme.channel()
        long = Notice(id="n", kind="channel", subject="x" * 400, text="words " * 5000)
        with acme.notifier(channel=channel) as notifier:
            notifier.tell(long, Recipient())
        (message,) = acme.top(channel)
        assert len(message["text"]) <= 4000 and message["blocks"][1]["elements"][0]["elements"][0]["text"].endswith("…")

    def test_a_busy_channel(self, acme: Workspace) -> None:
        """Of a notice that has no time the newest thousand messages are looked at, else as far back as it may be."""
        channel = acme.channel()
        with acme.notifier(channel=channel) as notifier:
            receipt = notifier.tell(NOTICE, Recipient())
            for number in range(1100):
                acme.says(channel, f"message {number}")
            assert notifier.told(NOTICE, Recipient()) is None
            timed = Notice(
                id=NOTICE.id,
                kind="channel",
                subject="",
                text="x",
                time=ts_number(receipt.evidence["message"]) / 1_000_000,
            )
            assert notifier.told(timed, Recipient()) == receipt

    def test_a_notice_of_somebody_else_is_none(self, acme: Workspace) -> None:
        channel = acme.channel()
        acme.says(channel, "x", metadata={"event_type": "keysentry_notice", "event_payload": {"id": NOTICE.id}})
        with acme.notifier(channel=channel) as notifier:
            assert notifier.told(NOTICE, Recipient()) is None


class TestOptions:
    def test_opening(self, acme: Workspace) -> None:
        with pytest.raises(ConfigError, match="SLACK_NOTIFY_TOKEN"):
            open_notifier(Options(name="slack"))
        with pytest.raises(ConfigError, match="per_minute"):
            open_notifier(Options(name="slack", token=Sensitive(BOT), per_minute=-1))
        channel = acme.channel()
        found = open_notifier(Options(name="slack", token=Sensitive(BOT), channel=channel, base_url=acme.base_url))
        found.tell(NOTICE, Recipient())
        found.close()
        with pytest.raises(ClosedError):
            found.tell(NOTICE, Recipient())
        assert len(acme.top(channel)) == 1

    def test_importing_is_cheap(self) -> None:
        """Neither the SDK nor an HTTP client is imported to read a configuration."""
        code = (
            "import keysentry.connectors.slack.notify, keysentry.connectors.slack.quarantine, sys;"
            "sys.exit(any(name in sys.modules for name in ('slack_sdk', 'urllib.request', 'http.client')))"
        )
        assert run([executable, "-c", code], check=False).returncode == 0


class TestEmulator:
    @pytest.fixture
    def notifier(self, emulator: Emulator) -> Iterator[SlackNotifier]:
        channel = emulator.channel()
        actor = Actor("acme", Sensitive(emulator.token), base_url=emulator.base_url, per_minute=0.0)
        found = SlackNotifier(actor, channel=channel)
        yield found
        found.close()

    def test_a_channel_and_a_person(self, emulator: Emulator, notifier: SlackNotifier) -> None:
        users = emulator.web.users_list()["members"]
        bob = next(user["id"] for user in users if user["name"] == "bob")
        for recipient in (Recipient(), Recipient(author_id=bob)):
            unique = Notice(id=forge("{base62:20}", random.Random(1)), kind="author", subject="s", text="t")
            assert notifier.told(unique, recipient) is None
            receipt = notifier.tell(unique, recipient)
            assert notifier.told(unique, recipient) == receipt
            history = emulator.web.conversations_history(channel=receipt.evidence["conversation"])["messages"]
            assert [one["ts"] for one in history] == [receipt.evidence["message"]]
