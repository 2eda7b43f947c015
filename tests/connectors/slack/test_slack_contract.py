"""What every source promises, shown for Slack: live on both backends, and for an export.

`ours` is a server of our own that keeps to Slack's documentation (`tests/servers/slack.py`), `emulate` the emulator
of a third party (`tests/servers/slack_emulate.py`).
"""

from __future__ import annotations

import json
import sys
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keysentry.connectors.base import Delivery, Source
from keysentry.connectors.slack import Options, open_source
from keysentry.connectors.slack.export import ExportSource
from keysentry.model.cursor import Cursor
from keysentry.model.record import Unit
from keysentry.model.sensitive import Sensitive
from tests.connectors.slack.backends import Backend, content, last, opened, read, texts, unit
from tests.servers.process import ROOT, free_port, serving

pytestmark = pytest.mark.xdist_group("slack")

Opened = Callable[[], Source]


def busy_channel(backend: Backend) -> str:
    """A channel with a bit of everything."""
    channel = backend.channel()
    first = backend.post(channel, "one")
    backend.reply(channel, first, "one a")
    backend.post(channel, "two")
    third = backend.post(channel, "three")
    for letter in "abcde":
        backend.reply(channel, third, f"three {letter}")
    backend.share(channel, "notes.txt", b"in a file")
    fourth = backend.post(channel, "four")
    backend.edit(channel, fourth, "four, edited")
    backend.reply(channel, fourth, "four a")
    backend.post(channel, "five")
    return channel


def shown(deliveries: list[Delivery]) -> list[tuple[object, ...]]:
    """What a delivery gives, without what is only good for going on."""
    found: list[tuple[object, ...]] = []
    for one in deliveries:
        record = one.record
        if record is not None:
            words = [part.segment.text if part.segment else part.name for part in record.parts]
            found.append((record.id, words, record.author, record.time, record.uri, record.deleted, one.skipped))
        elif one.skipped:
            found.append((one.skipped,))
    return found


def check_resumes_anywhere(open_one: Opened, one: Unit) -> int:
    """Read a unit, and again from after each delivery, in a source that knows nothing of the first; how many."""
    source = open_one()
    whole = list(source.records(one, None))
    source.close()
    for cut, delivery in enumerate(whole):
        assert len(delivery.cursor.value) < 4096
        source = open_one()
        rest = list(source.records(one, Cursor(delivery.cursor.value)))
        source.close()
        assert shown(rest) == shown(whole[cut + 1 :]), f"after delivery {cut}"
    return len(whole)


class TestLive:
    @pytest.fixture
    def channel(self, backend: Backend) -> str:
        return busy_channel(backend)

    def open_on(self, backend: Backend) -> Opened:
        options = Options(
            name="acme", token=Sensitive(backend.token), base_url=backend.base_url, per_minute=0, page=3, edits_for=2
        )
        return lambda: open_source(options)

    def test_resumes_after_any_delivery(self, backend: Backend, channel: str) -> None:
        assert check_resumes_anywhere(self.open_on(backend), unit(channel)) >= 13

    def test_resumes_after_any_delivery_of_a_later_pass(self, backend: Backend, channel: str) -> None:
        with opened(backend) as source:
            first = read(source, channel)
            ids = [one.record.id.partition("/")[2] for one in first if one.record]
            by_text = dict(zip(texts(first), ids, strict=True))
            backend.delete(channel, by_text["two"])
            backend.edit(channel, by_text["five"], "five, edited")
            backend.reply(channel, by_text["three"], "three f")
            backend.post(channel, "six")
            cursor = last(first)
            whole = read(source, channel, cursor)
            assert sorted(texts(whole)) == sorted(["six", "five, edited", "three f", f"-{channel}/{by_text['two']}"])
            for cut, delivery in enumerate(whole):
                assert shown(read(source, channel, delivery.cursor)) == shown(whole[cut + 1 :])

    def test_the_same_state_gives_the_same(self, backend: Backend, channel: str) -> None:
        with opened(backend) as one, opened(backend) as other:
            assert shown(read(one, channel)) == shown(read(other, channel)) != []

    def test_each_message_is_given_once(self, backend: Backend, channel: str) -> None:
        with opened(backend) as source:
            given = read(source, channel)
        ids = [one.record.id for one in given if one.record]
        assert len(ids) == len(set(ids))
        expected = ["one", "one a", "two", "three", *(f"three {letter}" for letter in "abcde"), "four, edited"]
        assert {*expected, "four a", "five"} <= set(texts(given))

    def test_a_second_pass_gives_nothing_then_only_what_is_new(self, backend: Backend, channel: str) -> None:
        with opened(backend) as source:
            cursor = last(read(source, channel))
            again = read(source, channel, cursor)
            assert texts(again) == []
            backend.post(channel, "fresh")
            assert texts(read(source, channel, last(again, cursor))) == ["fresh"]

    def test_edits_come_again_under_the_same_id(self, backend: Backend) -> None:
        channel = backend.channel()
        ts = backend.post(channel, "before")
        reply = backend.reply(channel, ts, "reply before")
        with opened(backend) as source:
            cursor = last(read(source, channel))
            backend.edit(channel, ts, "after")
            given = read(source, channel, cursor)
            assert texts(given) == ["after"]
            assert given[0].record and given[0].record.id == f"{channel}/{ts}"
            cursor = last(given, cursor)
            assert texts(read(source, channel, cursor)) == []
            # A reply's edit is noticed once its thread has another reply.
            backend.edit(channel, reply, "reply after")
            backend.reply(channel, ts, "another")
            given = read(source, channel, cursor)
            assert texts(given) == ["reply after", "another"]
            assert texts(read(source, channel, last(given, cursor))) == []

    def test_deletions_are_told(self, backend: Backend) -> None:
        channel = backend.channel()
        stamps = [backend.post(channel, f"message {number}") for number in range(8)]
        with opened(backend) as source:
            cursor = last(read(source, channel))
            backend.delete(channel, stamps[2])
            backend.delete(channel, stamps[7])
            given = read(source, channel, cursor)
            assert texts(given) == [f"-{channel}/{stamps[2]}", f"-{channel}/{stamps[7]}"]
            record = given[0].record
            assert record and record.parts == () and record.unit == channel and record.uri
            assert texts(read(source, channel, last(given, cursor))) == []

    def test_new_replies_in_known_threads(self, backend: Backend) -> None:
        channel = backend.channel()
        parent = backend.post(channel, "question")
        with opened(backend) as source:
            cursor = last(read(source, channel))
            for number in range(7):
                backend.reply(channel, parent, f"answer {number}")
                given = read(source, channel, cursor)
                assert texts(given) == [f"answer {number}"]
                cursor = last(given, cursor)

    def test_says_who_when_where_and_who_could_see_it(self, backend: Backend, channel: str) -> None:
        with opened(backend) as source:
            title = next(one.title for one in source.units() if isinstance(one, Unit) and one.id == channel)
            given = {text: one.record for one, text in zip_texts(read(source, channel))}
        record = given["five"]
        ts = record.id.partition("/")[2]
        assert record.author == backend.author and record.author_id.startswith("U")
        assert record.time == pytest.approx(float(ts))
        assert record.container == title and title.startswith("#room-")
        assert record.uri == f"https://acme.slack.com/archives/{channel}/p{ts.replace('.', '')}"
        assert record.chat and record.unit == channel
        assert record.exposure.audience == "internal" and record.exposure.reach and record.exposure.since
        reply = given["three a"]
        assert "thread_ts=" in reply.uri and f"cid={channel}" in reply.uri

    def test_files_are_parts_with_their_content(self, backend: Backend, channel: str) -> None:
        with opened(backend) as source:
            shared = [
                one.record for one in read(source, channel) if one.record and any(p.open for p in one.record.parts)
            ]
            assert [content(record) for record in shared] == [{"notes.txt": b"in a file"}]
            assert next(part.size for part in shared[0].parts if part.open) == 9

    def test_units_are_the_conversations(self, backend: Backend) -> None:
        channel = backend.channel()
        with opened(backend) as source:
            first = [one for one in source.units() if isinstance(one, Unit)]
            again = [one for one in source.units() if isinstance(one, Unit)]
        assert first == again
        assert channel in {one.id for one in first}
        assert all(one.title.startswith("#") and not one.live for one in first)

    def test_a_cursor_that_cannot_be_understood_starts_anew_and_says_so(self, backend: Backend) -> None:
        channel = backend.channel()
        backend.post(channel, "hello")
        with opened(backend) as source:
            given = read(source, channel, Cursor("from another time"))
        assert texts(given) == ["hello"]
        assert "from its beginning" in given[0].skipped[0].reason


def zip_texts(deliveries: list[Delivery]) -> Iterator[tuple[Delivery, str]]:
    records = [one for one in deliveries if one.record is not None]
    yield from zip(records, texts(records), strict=True)


def test_memory_does_not_grow_with_the_channel(tmp_path: Path) -> None:
    """The server is a process of its own, so that only the source is measured."""
    port = free_port()
    command = [sys.executable, "-m", "tests.servers.slack", "--port", str(port), "--messages", "20000", "--plant", "5"]
    with serving(command, port, tmp_path, {"PYTHONPATH": str(ROOT)}):
        options = Options(
            name="big", token=Sensitive("local-test-token"), base_url=f"http://127.0.0.1:{port}/api/", per_minute=0
        )
        source = open_source(options)
        try:
            [one] = source.units()
            assert isinstance(one, Unit)
            given = 0
            tracemalloc.start()
            try:
                for given, _delivery in enumerate(source.records(one, None), 1):
                    if given == 2000:
                        early = tracemalloc.get_traced_memory()[1]
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
        finally:
            source.close()
    assert given == 20_001
    assert peak < 12_000_000
    assert peak < early * 1.2


class TestExport:
    @pytest.fixture(params=["zip", "folder"])
    def path(self, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
        files = {
            "channels.json": [{"id": "C1", "name": "general", "members": ["U1", "U2"]}],
            "users.json": [{"id": "U1", "name": "alice"}],
            "general/2024-01-02.json": [message(1, "one"), message(2, "two")],
            "general/2024-01-03.json": [message(86_400, "three")],
            "general/2024-01-05.json": [message(260_000, "four"), message(260_001, "five")],
        }
        if request.param == "folder":
            for name, value in files.items():
                (tmp_path / name).parent.mkdir(exist_ok=True)
                (tmp_path / name).write_text(json.dumps(value))
            bad = tmp_path / "general" / "2024-01-04.json"
            bad.write_text(json.dumps([message(170_000, "good")])[:-1] + ', {"ts": "1')
            return tmp_path
        target = tmp_path / "export.zip"
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, value in files.items():
                archive.writestr(name, json.dumps(value))
            archive.writestr("general/2024-01-04.json", json.dumps([message(170_000, "good")])[:-1] + ', {"ts": "1')
        return target

    def test_resumes_after_any_delivery(self, path: Path) -> None:
        assert check_resumes_anywhere(lambda: ExportSource(str(path)), Unit("C1", "#general")) == 7

    def test_says_who_when_where_and_who_could_see_it(self, path: Path) -> None:
        source = ExportSource(str(path))
        [one] = [one for one in source.units() if isinstance(one, Unit)]
        given = list(source.records(one, None))
        source.close()
        assert texts(given) == ["one", "two", "three", "good", "four", "five"]
        record = given[0].record
        assert record and (record.author, record.container, record.unit) == ("alice", "#general", "C1")
        assert record.exposure.audience == "internal" and record.exposure.reach == 2
        assert record.uri and record.path.startswith(str(path))

    def test_damage_costs_only_itself_and_is_told(self, path: Path) -> None:
        source = ExportSource(str(path))
        given = list(source.records(Unit("C1", "#general"), None))
        source.close()
        [damage] = [one for delivery in given for one in delivery.skipped]
        assert damage.partial and "2024-01-04" in damage.place and "damaged" in damage.reason


def message(at: int, text: str) -> dict[str, object]:
    return {"type": "message", "user": "U1", "ts": f"{1_704_153_600 + at}.000100", "text": text}
