"""Which conversations are read, who could see them, and what odd messages do, against our own server."""

from __future__ import annotations

from typing import Any

import pytest

from keysentry.connectors.slack.source import Choice, SlackSource
from keysentry.model.finding import Skipped
from keysentry.model.record import Unit
from tests.connectors.slack.backends import Ours, opened, read, skips, texts

pytestmark = pytest.mark.xdist_group("slack")


def titles(source: SlackSource) -> list[str]:
    return [one.title for one in source.units() if isinstance(one, Unit)]


def unread(source: SlackSource) -> dict[str, str]:
    return {one.place: one.reason for one in source.units() if isinstance(one, Skipped)}


class TestWhichAndWho:
    def test_direct_messages_only_if_asked_for(self, ours: Ours) -> None:
        ours.state.add_user("U00000003", "carol")
        ours.channel(is_im=True, is_channel=False, user="U00000003", name=None)
        ours.channel(is_mpim=True, is_channel=False, is_private=True, name="mpdm-alice--bob--carol-1")
        with opened(ours) as source:
            assert titles(source) == []
        with opened(ours, choice=Choice(direct=True)) as source:
            assert titles(source) == ["@carol", "@alice, @bob, @carol"]

    def test_by_name_by_id_and_by_glob(self, ours: Ours) -> None:
        ids = [ours.channel(name=name) for name in ("general", "dev", "dev-ops", "random")]

        def chosen(*channels: str, include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> list[str]:
            with opened(ours, choice=Choice(channels, include, exclude)) as source:
                return titles(source)

        assert chosen() == ["#general", "#dev", "#dev-ops", "#random"]
        assert chosen("#dev", "random") == ["#dev", "#random"]
        assert chosen(ids[0], "#dev") == ["#general", "#dev"]
        assert chosen(include=("dev*",)) == ["#dev", "#dev-ops"]
        assert chosen(include=("#dev*",), exclude=("*-ops",)) == ["#dev"]
        before = ours.server.count("conversations.list")
        assert chosen(ids[3]) == ["#random"]
        assert ours.server.count("conversations.list") == before
        with opened(ours, choice=Choice(("#nowhere", "C99999999"))) as source:
            assert set(unread(source)) == {"#nowhere", "C99999999"}

    def test_many_conversations_come_in_pages(self, ours: Ours) -> None:
        ours.server.most = 7
        ids = [ours.channel() for _ in range(20)]
        with opened(ours) as source:
            assert [one.id for one in source.units() if isinstance(one, Unit)] == ids

    def test_exposure(self, ours: Ours) -> None:
        ours.state.add_user("U00000003", "guest", is_restricted=True)
        ours.state.add_user("U00000004", "stranger", is_stranger=True)
        cases = {
            "internal": ours.channel(num_members=40),
            "private": ours.channel(is_private=True, num_members=4),
            "external": ours.channel(is_ext_shared=True, is_shared=True, num_members=9),
        }
        for channel in cases.values():
            ours.post(channel, "hello")
        with_guest, of_org = ours.channel(num_members=5), ours.channel(is_shared=True, is_org_shared=True)
        ours.state.conversations[with_guest].members = ["U00000001", "U00000003"]
        direct = ours.channel(is_im=True, user="U00000002")
        outside = ours.channel(is_im=True, user="U00000004")
        for channel in (with_guest, of_org, direct, outside):
            ours.post(channel, "hello")

        def seen_by(channel: str) -> tuple[str, int | None]:
            record = read(source, channel)[0].record
            assert record is not None
            return record.exposure.audience, record.exposure.reach

        with opened(ours, choice=Choice(direct=True)) as source:
            list(source.units())
            assert seen_by(cases["internal"]) == ("internal", 40)
            assert seen_by(cases["private"]) == ("private", 4)
            assert seen_by(cases["external"]) == ("external", 9)
            assert seen_by(with_guest) == ("external", 5)
            assert seen_by(of_org)[0] == "internal"
            assert seen_by(direct) == ("private", 2)
            assert seen_by(outside)[0] == "external"

    def test_names_are_asked_for_once(self, ours: Ours) -> None:
        channel = ours.channel()
        for number in range(9):
            ours.post(channel, f"ask <@U00000002>, {number}", "U00000001" if number % 2 else "U00000077")
        with opened(ours) as source:
            given = [one.record for one in read(source, channel) if one.record]
            assert texts(read(source, channel))[0] == "ask @bob, 8"
        assert {record.author for record in given} == {"alice", "U00000077"}
        assert ours.server.count("users.list") == 1
        assert ours.server.count("users.info") == 1

    def test_messages_with_null_wrong_and_unknown_fields(self, ours: Ours) -> None:
        channel = ours.channel()
        odd: list[dict[str, Any]] = [
            {"user": None, "blocks": None, "files": None, "attachments": [None, 7], "edited": "no"},
            {"user": 7, "text": None, "blocks": [{"type": "rich_text", "elements": None}], "reply_count": "many"},
            {
                "files": [None, "x", {}],
                "bot_profile": "bot",
                "username": None,
                "thread_ts": None,
                "novelty": {"a": [1]},
            },
            {"subtype": None, "attachments": [{"fields": {"title": 1}, "text": "deep"}], "latest_reply": 5},
        ]
        conversation = ours.state.conversations[channel]
        for number, fields in enumerate(odd):
            message = {"type": "message", "text": f"odd {number}", "ts": f"17000000{number:02d}.000100", **fields}
            conversation._messages[1_700_000_000_000_100 + number * 1_000_000] = message
            conversation._order.append(1_700_000_000_000_100 + number * 1_000_000)
        ours.post(channel, "even")
        with opened(ours) as source:
            given = read(source, channel)
        assert len([one for one in given if one.record]) == 5
        assert texts(given)[1:] == ["odd 3 | deep", "odd 2 | x", "", "odd 0"]
        assert len(skips(given)) == 3

    def test_messages_that_are_none_are_told(self, ours: Ours) -> None:
        channel = ours.channel()
        ours.post(channel, "hello")
        history = ours.server._conversations_history  # type: ignore[attr-defined]

        def odd(*rest: Any) -> dict[str, Any]:
            answer: dict[str, Any] = history(*rest)
            answer["messages"] = [None, {"text": "without a time"}, "x", *answer["messages"], {"ts": "yesterday"}]
            return answer

        ours.server._conversations_history = odd  # type: ignore[attr-defined]
        with opened(ours) as source:
            given = read(source, channel)
        assert texts(given) == ["hello"]
        assert "4 of its messages" in skips(given)[0].reason


class TestCanvases:
    def test_a_canvas_is_given_when_it_changes(self, ours: Ours) -> None:
        channel = ours.channel(properties={"canvas": {"file_id": "F00000001", "is_empty": False}})
        ours.share("".join(ours.state.conversations), "ignored", b"<h1>plan</h1>")
        told = ours.state.files["F00000001"].told
        told.update(name=None, title="Plan", filetype="quip", mode="quip", updated=1_700_000_000, user="U00000002")
        with opened(ours) as source:
            list(source.units())
            given = [one for one in read(source, channel) if one.record and one.record.id.endswith("/F00000001")]
            record = given[0].record
            assert record and record.author == "bob" and record.time == 1_700_000_000
            assert [(part.name, b"".join(part.open())) for part in record.parts if part.open] == [
                ("Plan.html", b"<h1>plan</h1>")
            ]
            cursor = given[0].cursor
            assert texts(read(source, channel, cursor)) == []
            told["updated"] = 1_700_000_500
            assert len(texts(read(source, channel, cursor))) == 1
            ours.state.conversations[channel].told["properties"] = {}
            list(source.units())
            assert texts(read(source, channel, cursor)) == [f"-{channel}/F00000001"]
