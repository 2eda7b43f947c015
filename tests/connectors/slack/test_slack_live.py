"""Slack's own rules, against our own server, which keeps to Slack's documentation (`tests/servers/slack.py`): how few
calls are made, what happens at limits and faults, and what a token may not read.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from keysentry.connectors.pace import Pace
from keysentry.connectors.slack import Options, open_source
from keysentry.connectors.slack.client import Client
from keysentry.connectors.slack.source import Choice, SlackSource
from keysentry.errors import AccessError, ClosedError, GoneError, SourceError
from keysentry.model.finding import Skipped
from keysentry.model.record import Unit
from keysentry.model.sensitive import Sensitive
from tests.connectors.slack.backends import Ours, last, opened, read, skips, texts
from tests.servers.slack import Fault
from tests.servers.slack_state import ALL_SCOPES, Token

pytestmark = pytest.mark.xdist_group("slack")


def titles(source: SlackSource) -> list[str]:
    return [one.title for one in source.units() if isinstance(one, Unit)]


def unread(source: SlackSource) -> dict[str, str]:
    return {one.place: one.reason for one in source.units() if isinstance(one, Skipped)}


class TestPages:
    def test_a_channel_costs_one_call_a_page(self, ours: Ours) -> None:
        channel = ours.channel()
        for number in range(30):
            ours.post(channel, f"message {number}")
        with opened(ours, client={"page": 10}) as source:
            cursor = last(read(source, channel))
            assert ours.server.count("conversations.history") == 3
            read(source, channel, cursor)
            # Whatever was said within `edits_for` is looked at again.
            assert ours.server.count("conversations.history") == 6

    def test_without_looking_back_a_quiet_channel_costs_one_call(self, ours: Ours) -> None:
        channel = ours.channel()
        for number in range(30):
            ours.post(channel, f"message {number}")
        with opened(ours, client={"page": 10}, edits_for=0) as source:
            cursor = last(read(source, channel))
            before = ours.server.count("conversations.history")
            assert read(source, channel, cursor) == []
            assert ours.server.count("conversations.history") == before + 1
            ours.post(channel, "new")
            assert texts(read(source, channel, cursor)) == ["new"]

    def test_a_thread_that_did_not_change_costs_nothing(self, ours: Ours) -> None:
        channel = ours.channel()
        parent = ours.post(channel, "question")
        ours.reply(channel, parent, "answer")
        with opened(ours) as source:
            cursor = last(read(source, channel))
            read(source, channel, cursor)
        assert ours.server.count("conversations.replies") == 1

    @pytest.mark.parametrize("short", [False, True])
    def test_long_threads_and_short_pages(self, ours: Ours, short: bool) -> None:
        ours.server.short_pages = short
        channel = ours.channel()
        parents = [ours.post(channel, f"parent {number}") for number in range(4)]
        for number in range(11):
            ours.reply(channel, parents[1], f"reply {number}")
        with opened(ours) as source:
            given = texts(read(source, channel))
        replies = [f"reply {number}" for number in range(11)]
        assert given == ["parent 3", "parent 2", "parent 1", *replies, "parent 0"]

    def test_a_reply_that_was_sent_to_the_channel_too_is_given_once(self, ours: Ours) -> None:
        channel = ours.channel()
        parent = ours.post(channel, "question")
        ours.reply(channel, parent, "to all", subtype="thread_broadcast")
        ours.reply(channel, parent, "to the thread")
        with opened(ours) as source:
            given = read(source, channel)
            assert sorted(texts(given)) == ["question", "to all", "to the thread"]
            ours.reply(channel, parent, "to all again", subtype="thread_broadcast")
            assert texts(read(source, channel, last(given))) == ["to all again"]

    def test_what_comes_while_a_pass_is_under_way_is_given_after_it(self, ours: Ours) -> None:
        channel = ours.channel()
        for number in range(7):
            ours.post(channel, f"message {number}")
        with opened(ours) as source:
            reading = source.records(Unit(channel, ""), None)
            given = [next(reading) for _ in range(4)]
            ours.post(channel, "meanwhile")
            given += list(reading)
            assert "meanwhile" not in texts(given) and len(texts(given)) == 7
            assert texts(read(source, channel, last(given))) == ["meanwhile"]
            # Broken off in its middle, the pass is ended first, and then comes what is new.
            assert texts(read(source, channel, given[3].cursor)) == ["message 2", "message 1", "message 0", "meanwhile"]

    def test_an_edit_that_is_made_during_a_pass_is_not_lost(self, ours: Ours) -> None:
        channel = ours.channel()
        stamps = [ours.post(channel, f"message {number}") for number in range(7)]
        with opened(ours) as source:
            reading = source.records(Unit(channel, ""), None)
            given = [next(reading) for _ in range(4)]
            ours.edit(channel, stamps[6], "message 6, edited")  # was given already
            ours.edit(channel, stamps[0], "message 0, edited")  # is given yet
            given += list(reading)
            assert texts(given)[-1] == "message 0, edited"
            again = read(source, channel, last(given))
            assert texts(again) == ["message 6, edited"]
            assert texts(read(source, channel, last(again))) == []

    def test_a_cursor_of_slack_may_expire(self, ours: Ours) -> None:
        channel = ours.channel()
        parent = ours.post(channel, "parent")
        for number in range(8):
            ours.reply(channel, parent, f"reply {number}")
        for number in range(8):
            ours.post(channel, f"message {number}")
        with opened(ours) as source:
            given = []
            for one in source.records(Unit(channel, ""), None):
                given.append(one)
                ours.server.expire_cursors()
        assert len(texts(given)) == len(set(texts(given))) == 17

    def test_paging_by_time_where_slack_gives_no_cursor(self, ours: Ours) -> None:
        """The other documented way: `latest` is the time of the last message of the page before."""
        channel = ours.channel()
        for number in range(8):
            ours.post(channel, f"message {number}")
        history = ours.server._conversations_history  # type: ignore[attr-defined]
        ours.server._conversations_history = lambda *rest: {**history(*rest), "response_metadata": None}  # type: ignore[attr-defined]
        with opened(ours) as source:
            assert texts(read(source, channel)) == [f"message {number}" for number in range(7, -1, -1)]

    def test_looking_back_farther_than_before_gives_nothing_again(self, ours: Ours) -> None:
        channel = ours.channel()
        for number in range(5):
            ours.post(channel, f"message {number}")
        with opened(ours, edits_for=0) as source:
            cursor = last(read(source, channel))
        with opened(ours, edits_for=1, since=1_000_000_000.0) as source:
            for number in range(3):
                ours.post(channel, f"later {number}")
                given = read(source, channel, cursor)
                assert texts(given) == [f"later {number}"]
                cursor = last(given)

    def test_since_leaves_out_what_is_older(self, ours: Ours) -> None:
        channel = ours.channel()
        ours.post(channel, "old", at=1_600_000_000_000_000)
        ours.post(channel, "new", at=1_700_000_000_000_000)
        with opened(ours, since=1_650_000_000.0) as source:
            assert texts(read(source, channel)) == ["new"]

    def test_history_that_the_plan_hides_is_told_once(self, ours: Ours) -> None:
        channel = ours.channel()
        ours.post(channel, "hello")
        history = ours.server._conversations_history  # type: ignore[attr-defined]
        ours.server._conversations_history = lambda *rest: {**history(*rest), "is_limited": True}  # type: ignore[attr-defined]
        with opened(ours) as source:
            given = read(source, channel)
            assert "limit of the workspace's plan" in skips(given)[0].reason
            assert skips(read(source, channel, last(given))) == []


class TestWhatIsGone:
    def test_a_deleted_parent_is_told_and_its_replies_are_kept(self, ours: Ours) -> None:
        channel = ours.channel()
        parent = ours.post(channel, "question")
        ours.reply(channel, parent, "answer")
        with opened(ours) as source:
            given = read(source, channel)
            ours.delete(channel, parent)
            again = read(source, channel, last(given))
            assert texts(again) == [f"-{channel}/{parent}"]
            ours.reply(channel, parent, "another answer")
            assert texts(read(source, channel, last(again))) == ["another answer"]
            # Whoever reads it first sees only the replies.
            assert texts(read(source, channel)) == ["answer", "another answer"]

    def test_more_deletions_than_can_be_told_apart_are_said(self, ours: Ours) -> None:
        channel = ours.channel()
        stamps = [ours.post(channel, f"message {number}") for number in range(120)]
        with opened(ours, client={"page": 200}) as source:
            cursor = last(read(source, channel))
            for ts in stamps[10:100]:
                ours.delete(channel, ts)
            given = read(source, channel, cursor)
            assert texts(given) == []
            assert "deleted at once" in skips(given)[0].reason
            # From then on deletions are told again.
            ours.delete(channel, stamps[5])
            assert texts(read(source, channel, last(given))) == [f"-{channel}/{stamps[5]}"]

    def test_a_message_that_turns_up_late_is_given(self, ours: Ours) -> None:
        """An import, or a server that was behind: its time is before that of messages that were given."""
        channel = ours.channel()
        first = ours.post(channel, "first")
        ours.post(channel, "second")
        with opened(ours) as source:
            given = read(source, channel)
            ours.post(channel, "between", at=int(first.replace(".", "")) + 1)
            again = read(source, channel, last(given))
            assert texts(again) == ["between"]
            assert texts(read(source, channel, last(again))) == []

    def test_deletions_older_than_the_days_looked_back_are_not_told(self, ours: Ours) -> None:
        channel = ours.channel()
        old = ours.post(channel, "old", at=1_700_000_000_000_000)
        ours.post(channel, "new", at=1_700_200_000_000_000)
        with opened(ours, edits_for=1) as source:
            cursor = last(read(source, channel))
            ours.delete(channel, old)
            assert read(source, channel, cursor) == []

    def test_a_channel_that_is_gone(self, ours: Ours) -> None:
        channel = ours.channel()
        ours.post(channel, "hello")
        with opened(ours) as source:
            cursor = last(read(source, channel))
            del ours.state.conversations[channel]
            with pytest.raises(GoneError, match="channel_not_found"):
                read(source, channel, cursor)
            with pytest.raises(GoneError):
                read(source, "C99999999")


class TestLimitsAndFaults:
    def virtual(self, ours: Ours, per_minute: float) -> tuple[Client, list[float]]:
        """A client and a server that share a clock, in which waiting takes no time."""
        clock = [1000.0]

        def wait(seconds: float) -> bool:
            clock[0] += seconds
            return False

        ours.server.clock = lambda: clock[0]

        def pace(place: str, **more: Any) -> Pace:
            return Pace(place, clock=lambda: clock[0], wait=wait, **more)

        client = Client("test", Sensitive(ours.token), base_url=ours.base_url, per_minute=per_minute, page=3, pace=pace)
        return client, clock

    def test_no_minute_sees_more_calls_than_the_tier(self, ours: Ours) -> None:
        channel = ours.channel()
        for number in range(600):
            ours.post(channel, f"message {number}")
        ours.server.limits = {"conversations.history": 50, "conversations.replies": 50, "conversations.list": 20}
        client, clock = self.virtual(ours, 50)
        source = SlackSource(client)
        list(source.units())
        started = clock[0]
        given = read(source, channel)
        source.close()
        assert len(texts(given)) == 600
        assert ours.server.too_many == 0
        assert 200 < clock[0] - started < 320  # 200 pages at 50 a minute

    def test_an_app_that_is_sold_outside_the_marketplace(self, ours: Ours) -> None:
        channel = ours.channel()
        for number in range(40):
            ours.post(channel, f"message {number}")
        ours.server.limits, ours.server.most = {"conversations.history": 1}, 15
        client, _clock = self.virtual(ours, 1)
        client.page = 200
        source = SlackSource(client)
        given = read(source, channel)
        source.close()
        assert len(texts(given)) == 40
        assert ours.server.too_many == 0
        assert ours.server.count("conversations.history") == 3

    @pytest.mark.parametrize("says_when", [True, False])
    def test_too_many_calls_are_waited_for(self, ours: Ours, says_when: bool) -> None:
        channel = ours.channel()
        for number in range(60):
            ours.post(channel, f"message {number}")
        ours.server.limits, ours.server.says_when = {"conversations.history": 10}, says_when
        ours.server.minute = 60.0 if says_when else 5.0
        client, _clock = self.virtual(ours, 6000)
        source = SlackSource(client)
        given = read(source, channel)
        source.close()
        assert len(texts(given)) == 60
        assert ours.server.too_many > 0

    def test_the_time_that_slack_names_is_waited(self, ours: Ours) -> None:
        channel = ours.channel()
        ours.post(channel, "hello")
        ours.server.fail("conversations.history", Fault(429, "ratelimited", retry_after="17"))
        waits: list[float] = []
        with opened(ours, waits) as source:
            assert texts(read(source, channel)) == ["hello"]
        assert 17.0 in waits

    def test_a_wait_that_is_too_long_ends_the_pass_and_loses_nothing(self, ours: Ours) -> None:
        channel = ours.channel()
        for number in range(6):
            ours.post(channel, f"message {number}")
        given = []
        with opened(ours) as source:
            with pytest.raises(SourceError, match="asks to wait 7,200 s"):
                for one in source.records(Unit(channel, ""), None):
                    given.append(one)
                    if len(given) == 2:
                        ours.server.fail("conversations.history", Fault(429, retry_after="7200"))
            given += read(source, channel, last(given))
        assert texts(given) == [f"message {number}" for number in (5, 4, 3, 2, 1, 0)]

    @pytest.mark.parametrize(
        "fault",
        [
            Fault(500),
            Fault(503, body=b"<html>down</html>"),
            Fault(200, "internal_error"),
            Fault(200, "ratelimited"),
            Fault(200, body=b'{"ok": tru'),
            Fault(200, body=b"[1, 2]"),
            Fault(reset=True),
        ],
        ids=["500", "503", "internal_error", "ratelimited", "no JSON", "no object", "reset"],
    )
    def test_passing_faults_in_the_middle_of_a_channel(self, ours: Ours, fault: Fault) -> None:
        channel = ours.channel()
        parent = ours.post(channel, "parent")
        for number in range(7):
            ours.reply(channel, parent, f"reply {number}")
            ours.post(channel, f"message {number}")
        with opened(ours) as source:
            given = []
            for one in source.records(Unit(channel, ""), None):
                if len(given) % 3 == 0:
                    ours.server.fail("conversations.history", fault)
                    ours.server.fail("conversations.replies", fault)
                given.append(one)
        assert len(texts(given)) == len(set(texts(given))) == 15

    def test_faults_that_do_not_pass_end_the_pass(self, ours: Ours) -> None:
        channel = ours.channel()
        ours.server.fail("conversations.history", *[Fault(500)] * 6)
        with opened(ours) as source, pytest.raises(SourceError, match="fault of its own") as caught:
            read(source, channel)
        assert not isinstance(caught.value, AccessError) and "Slack (test)" in str(caught.value)

    def test_nobody_answers(self, ours: Ours) -> None:
        client = Client(
            "test", Sensitive("t"), base_url="http://127.0.0.1:9/api/", pace=lambda place, **_: Pace(place, tries=1)
        )
        with pytest.raises(SourceError, match="no answer to auth"):
            list(SlackSource(client).units())

    def test_closing_wakes_whoever_waits(self, ours: Ours) -> None:
        channel = ours.channel()
        ours.server.fail("conversations.history", Fault(429, retry_after="200"))
        source = open_source(Options(name="x", token=Sensitive(ours.token), base_url=ours.base_url))
        waiting = threading.Event()
        ours.server.on_call = lambda method, _arguments: waiting.set()
        raised: list[BaseException] = []

        def reading() -> None:
            try:
                list(source.records(Unit(channel, ""), None))
            except BaseException as error:
                raised.append(error)

        thread = threading.Thread(target=reading)
        thread.start()
        assert waiting.wait(10)
        source.close()
        thread.join(10)
        assert not thread.is_alive()
        assert isinstance(raised[0], ClosedError)
        with pytest.raises(ClosedError):
            list(source.units())


class TestAccess:
    @pytest.mark.parametrize("fault", ["token_expired", "token_revoked", "account_inactive", "invalid_auth"])
    def test_a_token_that_is_refused_and_then_is_not(self, ours: Ours, fault: str) -> None:
        channel = ours.channel()
        for number in range(6):
            ours.post(channel, f"message {number}")
        token = ours.state.tokens[ours.token]
        with opened(ours) as source:
            reading = source.records(Unit(channel, ""), None)
            given = [next(reading) for _ in range(3)]
            token.fault = fault
            with pytest.raises(AccessError, match=fault) as caught:
                given += list(reading)
            assert "SLACK_BOT_TOKEN" in caught.value.advice and ours.token not in str(caught.value)
            with pytest.raises(AccessError, match=fault):
                list(source.units())
            token.fault = ""
            assert channel in [one.id for one in source.units() if isinstance(one, Unit)]
            given += read(source, channel, last(given))
        assert texts(given) == [f"message {number}" for number in (5, 4, 3, 2, 1, 0)]

    def test_a_scope_that_is_missing_is_named_with_those_that_are_there(self, ours: Ours) -> None:
        channel = ours.channel()
        with opened(ours) as source:
            list(source.units())
            ours.state.tokens[ours.token].scopes = {"channels:read"}
            with pytest.raises(AccessError) as caught:
                read(source, channel)
        assert "channels:history" in caught.value.reason and "the token has channels:read" in caught.value.reason

    def test_a_kind_that_may_not_be_read_does_not_keep_the_others_from_it(self, ours: Ours) -> None:
        ours.channel()
        ours.state.tokens[ours.token].scopes -= {"groups:history"}
        with opened(ours, choice=Choice(direct=True)) as source:
            found = list(source.units())
        assert [one for one in found if isinstance(one, Unit)]
        assert Skipped("private channels", "the token lacks groups:history") in found

    def test_a_token_that_may_read_nothing(self, ours: Ours) -> None:
        ours.state.tokens[ours.token].scopes = {"chat:write"}
        with opened(ours) as source, pytest.raises(AccessError, match="it has chat:write") as caught:
            list(source.units())
        assert "channels:history" in caught.value.advice

    def test_names_and_files_that_may_not_be_read_are_told(self, ours: Ours) -> None:
        channel = ours.channel()
        ours.share(channel, "a.txt", b"x")
        ours.state.tokens[ours.token].scopes -= {"users:read", "files:read"}
        with opened(ours) as source:
            assert {"names", "files"} <= set(unread(source))
            [given] = [one for one in read(source, channel) if one.record]
            assert given.record and given.record.author == "U00000001"

    def test_a_bot_reads_only_where_it_takes_part(self, ours: Ours) -> None:
        inside, outside = ours.channel(), ours.channel(is_member=False)
        with opened(ours) as source:
            found = {getattr(one, "id", None) or getattr(one, "place", ""): one for one in source.units()}
            assert inside in found and outside not in found
            title = ours.state.conversations[outside].told["name"]
            assert "/invite" in found[f"#{title}"].reason
            with pytest.raises(GoneError, match="not_in_channel"):
                read(source, outside)

    def test_a_person_reads_all_public_channels(self, ours: Ours) -> None:
        outside = ours.channel(is_member=False)
        ours.post(outside, "hello")
        ours.state.tokens[ours.token] = Token(set(ALL_SCOPES), bot=False)
        with opened(ours) as source:
            assert outside in [one.id for one in source.units() if isinstance(one, Unit)]
            assert texts(read(source, outside)) == ["hello"]

    def test_the_token_is_in_no_log_and_no_error(self, ours: Ours, caplog: pytest.LogCaptureFixture) -> None:
        secret = "a-" + "token-that-nobody-may-see"
        ours.state.tokens[secret] = ours.state.tokens[ours.token]
        ours.token = secret
        channel = ours.channel()
        ours.post(channel, "words that nobody may see")
        with caplog.at_level(logging.DEBUG), opened(ours, client={"app_token": Sensitive(secret)}) as source:
            list(source.units())
            read(source, channel)
            ours.server.fail("conversations.history", Fault(403, body=b"words that nobody may see"))
            with pytest.raises(SourceError) as caught:
                read(source, channel)
        everything = caplog.text + str(caught.value) + repr(source) + repr(vars(source))
        assert secret not in everything and "nobody may see" not in everything
