"""Files of messages, against our own server, which gives ranges, breaks connections and leads to a log-in page as Slack
does (`tests/servers/slack.py`).
"""

from __future__ import annotations

import hashlib
import tracemalloc
from typing import Any

import pytest

from keysentry.connectors.slack.download import Downloads
from keysentry.errors import AccessError, ClosedError, InputError, SourceError
from keysentry.model.record import Part
from tests.connectors.slack.backends import Ours, content, open_client, opened, read, skips, texts
from tests.servers.slack import Fault, SlackServer, slack
from tests.servers.slack_state import Stored

pytestmark = pytest.mark.xdist_group("slack")


def large(size: int) -> Stored:
    """A file of any size whose bytes are made as they are read."""

    def bytes_of(start: int, end: int) -> bytes:
        blocks = range(start // 65536, -(-end // 65536))
        joined = b"".join(hashlib.sha256(b"%d" % block).digest() * 2048 for block in blocks)
        return joined[start % 65536 : start % 65536 + end - start]

    return Stored({}, size, bytes_of)


def shared(ours: Ours, **told: Any) -> tuple[str, Stored]:
    """A channel with a message that shares a file, and the file."""
    channel = ours.channel()
    ours.share(channel, "notes.txt", b"in a file")
    stored = ours.state.files[f"F{len(ours.state.files):08d}"]
    stored.told.update(told)
    return channel, stored


def parts(ours: Ours, channel: str, **options: Any) -> list[Part]:
    with opened(ours, **options) as source:
        return [part for one in read(source, channel) if one.record for part in one.record.parts if part.open]


def streamed(part: Part) -> bytes:
    assert part.open is not None
    return b"".join(part.open())


class TestContent:
    def test_a_large_file_comes_in_pieces_and_is_never_held(self, ours: Ours) -> None:
        channel, stored = shared(ours, size=40 << 20)
        made = large(40 << 20)
        stored.size, stored.read = made.size, made.read
        with opened(ours) as source:
            [part] = [part for one in read(source, channel) if one.record for part in one.record.parts if part.open]
            assert part.open is not None
            sizes = []
            tracemalloc.start()
            try:
                for piece in part.open():
                    sizes.append(len(piece))
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
        assert sum(sizes) == 40 << 20 and max(sizes) <= 1 << 20
        assert peak < 8 << 20

    @pytest.mark.parametrize("ranges", [True, False])
    def test_a_broken_connection_is_taken_up_again(self, ours: Ours, ranges: bool) -> None:
        channel, stored = shared(ours, size=900_000)
        made = large(900_000)
        stored.size, stored.read, stored.ranges = made.size, made.read, ranges
        stored.breaks = [100_000, 400_000, 850_000]
        with opened(ours) as source:
            [part] = [part for one in read(source, channel) if one.record for part in one.record.parts if part.open]
            assert streamed(part) == made.read(0, 900_000)
        asked = [arguments["range"] for _at, method, arguments in ours.server.calls if method == "files"]
        assert asked == ["", "bytes=100000-", "bytes=400000-", "bytes=850000-"]

    def test_each_call_of_open_begins_at_the_start(self, ours: Ours) -> None:
        channel, _stored = shared(ours)
        with opened(ours) as source:
            [record] = [one.record for one in read(source, channel) if one.record]
            assert content(record) == content(record) == {"notes.txt": b"in a file"}

    def test_a_file_that_changes_while_it_is_read_is_read_anew(self, ours: Ours) -> None:
        channel, stored = shared(ours)
        made = large(900_000)
        stored.size, stored.read, stored.breaks = made.size, made.read, [600_000]
        with opened(ours) as source:
            [part] = [part for one in read(source, channel) if one.record for part in one.record.parts if part.open]
            assert part.open is not None
            pieces = part.open()
            next(pieces)
            stored.etag = '"2"'
            with pytest.raises(SourceError, match="changed while it was read") as caught:
                list(pieces)
            assert not isinstance(caught.value, AccessError)
            assert len(streamed(part)) == 900_000

    def test_an_empty_file(self, ours: Ours) -> None:
        channel, stored = shared(ours, size=0)
        stored.size = 0
        with opened(ours) as source:
            [record] = [one.record for one in read(source, channel) if one.record]
            assert content(record) == {"notes.txt": b""}

    def test_limits_and_faults_are_waited_for(self, ours: Ours) -> None:
        channel, _stored = shared(ours)
        waits: list[float] = []
        with opened(ours, waits) as source:
            [record] = [one.record for one in read(source, channel) if one.record]
            ours.server.fail("files", Fault(429, retry_after="9"), Fault(500), Fault(429))
            assert content(record) == {"notes.txt": b"in a file"}
            assert 9.0 in waits
            ours.server.fail("files", *[Fault(503)] * 6)
            with pytest.raises(SourceError, match="fault of its own"):
                content(record)

    def test_closing_ends_a_download(self, ours: Ours) -> None:
        channel, stored = shared(ours)
        made = large(20 << 20)
        stored.size, stored.read = made.size, made.read
        stored.told["size"] = made.size
        with opened(ours) as source:
            [part] = [part for one in read(source, channel) if one.record for part in one.record.parts if part.open]
            assert part.open is not None
            pieces = part.open()
            next(pieces)
            source.close()
            with pytest.raises(ClosedError):
                list(pieces)


class TestWhatCannotBeRead:
    @pytest.mark.parametrize(
        ("told", "reason"),
        [
            ({"mode": "tombstone", "name": None}, "it was deleted"),
            ({"mode": "hidden_by_limit"}, "the workspace's plan hides it"),
            ({"mode": "external", "is_external": True, "external_type": "gdrive"}, "outside Slack (gdrive)"),
            ({"file_access": "access_denied"}, "does not give it to this token"),
            ({"file_access": "file_not_found"}, "not there any more"),
            ({"size": 5_000}, "5,000 bytes; more than 1,000"),
            ({"url_private_download": None, "id": None}, "no address"),
        ],
    )
    def test_it_is_told_with_its_reason(self, ours: Ours, told: dict[str, Any], reason: str) -> None:
        channel, _stored = shared(ours, **told)
        with opened(ours, max_file=1000) as source:
            given = read(source, channel)
        [skipped] = skips(given)
        assert reason in skipped.reason
        assert skipped.place.startswith("https://acme.slack.com/archives/") and " » " in skipped.place
        assert texts(given)[0].startswith("see notes.txt")

    def test_a_size_that_was_not_told_truly(self, ours: Ours) -> None:
        channel, stored = shared(ours, size=None)
        made = large(300_000)
        stored.size, stored.read = made.size, made.read
        with opened(ours, max_file=200_000) as source:
            [record] = [one.record for one in read(source, channel) if one.record]
            with pytest.raises(InputError, match="more than 200,000 bytes"):
                content(record)

    def test_a_file_that_is_only_named_is_asked_for(self, ours: Ours) -> None:
        """Files of another organisation come as an id (`file_access: check_file_info`)."""
        channel, stored = shared(ours)
        message = ours.state.conversations[channel].message(ours.state._last)
        assert message is not None
        message["files"] = [{"id": stored.told["id"], "file_access": "check_file_info"}]
        with opened(ours) as source:
            [record] = [one.record for one in read(source, channel) if one.record]
            assert list(content(record).values()) == [b"in a file"]
            stored.told["mode"] = "tombstone"
            with pytest.raises(InputError, match="it was deleted"):
                content(record)
            ours.state.files.clear()
            with pytest.raises(InputError, match="not there any more"):
                content(record)

    def test_a_deleted_file(self, ours: Ours) -> None:
        channel, _stored = shared(ours)
        with opened(ours) as source:
            [record] = [one.record for one in read(source, channel) if one.record]
            ours.state.files.clear()
            with pytest.raises(InputError, match="not there any more") as caught:
                content(record)
            assert not isinstance(caught.value, SourceError)

    def test_a_token_without_the_scope_is_not_fooled_by_the_login_page(self, ours: Ours) -> None:
        channel, _stored = shared(ours)
        with opened(ours) as source:
            [record] = [one.record for one in read(source, channel) if one.record]
            ours.state.tokens[ours.token].scopes -= {"files:read"}
            with pytest.raises(InputError, match="may not read files") as caught:
                content(record)
            assert "files:read" in caught.value.advice and not isinstance(caught.value, SourceError)

    def test_a_token_that_ended_stops_the_unit_instead_of_losing_the_file(self, ours: Ours) -> None:
        channel, _stored = shared(ours)
        with opened(ours) as source:
            [record] = [one.record for one in read(source, channel) if one.record]
            ours.state.tokens[ours.token].fault = "token_expired"
            with pytest.raises(AccessError, match="token_expired"):
                content(record)
            ours.state.tokens[ours.token].fault = ""
            assert content(record) == {"notes.txt": b"in a file"}

    def test_without_files_they_are_left_out(self, ours: Ours) -> None:
        channel, _stored = shared(ours)
        assert parts(ours, channel, files=False) == []


class TestNames:
    @pytest.mark.parametrize(
        ("told", "name"),
        [
            ({"name": None, "title": "Untitled", "filetype": "python"}, "Untitled.python"),
            ({"name": None, "title": None, "filetype": None}, "F00000001"),
            ({"name": "Plan", "filetype": "quip"}, "Plan.html"),
            ({"name": "Notes", "mode": "space", "filetype": "space"}, "Notes.html"),
            ({"name": "keys.env", "mode": "snippet"}, "keys.env"),
        ],
    )
    def test_a_name_tells_the_format(self, ours: Ours, told: dict[str, Any], name: str) -> None:
        channel, _stored = shared(ours, **told)
        assert [part.name for part in parts(ours, channel)] == [name]


class TestWhoGetsTheToken:
    def test_nobody_but_slack(self, ours: Ours) -> None:
        """An address elsewhere is not asked at all; one that leads elsewhere is followed without the token."""
        asked: list[str] = []
        with slack() as stranger:
            stranger.state.files["F1"] = Stored({"mimetype": "text/plain"}, 3, lambda start, end: b"abc"[start:end])
            watch(stranger, asked)
            downloads = Downloads(open_client(ours))
            with pytest.raises(InputError, match="kept elsewhere, at 127"):
                list(downloads.content(f"{stranger.url}/files-pri/T1-F1/download/a", "a"))
            with pytest.raises(InputError, match="kept elsewhere, at files"):
                list(downloads.content("https://files.slack.com.evil.example/a", "a"))
            with pytest.raises(InputError, match="kept elsewhere"):
                list(downloads.content("http://files.slack.com/a", "a"))
            with pytest.raises(InputError, match="kept elsewhere"):
                list(downloads.content("file:///etc/passwd", "a"))
            assert asked == []
            channel, stored = shared(ours)
            ours.server.redirect = {f"/files-pri/T0000001-{stored.told['id']}": f"{stranger.url}/open"}
            with opened(ours) as source:
                [record] = [one.record for one in read(source, channel) if one.record]
                assert content(record) == {"notes.txt": b"from elsewhere"}
            assert asked == [""]


def watch(server: SlackServer, asked: list[str]) -> None:
    """Note with which token a server is asked."""
    server.on_file = asked.append
    server.open_file = b"from elsewhere"
