"""Events: by Socket Mode against a server of our own (`tests/servers/slack_socket.py`), and by HTTP with requests that
Slack's own SDK signs and requests that the third party's emulator sends and signs.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.signature import SignatureVerifier

from keysentry.connectors.base import Delivery
from keysentry.connectors.slack import Options, open_source
from keysentry.connectors.slack.events import EventsEndpoint
from keysentry.connectors.slack.source import Choice, SlackSource
from keysentry.errors import AccessError, ClosedError, ConfigError
from keysentry.model.record import Unit
from keysentry.model.sensitive import Sensitive
from tests.connectors.slack.backends import Ours, content, opened, skips, texts
from tests.servers.slack import Fault
from tests.servers.slack_emulate import emulated_slack
from tests.servers.slack_socket import SocketServer, sockets
from tests.servers.slack_state import Token

pytestmark = pytest.mark.xdist_group("slack")

EVENTS = Unit("events", "events", live=True)
APP = Sensitive("local-app-token")
SECRET = Sensitive("a-signing-" + "secret")


class TestSocketMode:
    @pytest.fixture
    def events(self, ours: Ours) -> Iterator[SocketServer]:
        ours.state.tokens[APP.reveal()] = Token({"connections:write"})
        with sockets(ours.server) as server:
            yield server

    def opened(self, ours: Ours, **options: Any) -> Any:
        return opened(ours, client={"app_token": APP}, **{"poll": 0.4, **options})

    def take(self, source: SlackSource, *, done: bool = True) -> list[Delivery]:
        given = []
        for one in source.records(EVENTS, None):
            given.append(one)
            if done and one.done is not None:
                one.done()
        return given

    def test_it_is_a_live_unit_only_with_an_app_token(self, ours: Ours) -> None:
        with self.opened(ours) as source:
            assert next(source.units()) == EVENTS
        with opened(ours) as source:
            assert EVENTS not in list(source.units())
            with pytest.raises(AccessError, match="no app-level token"):
                list(source.records(EVENTS, None))

    def test_messages_edits_and_deletions(self, ours: Ours, events: SocketServer) -> None:
        channel = ours.channel()
        with self.opened(ours) as source:
            assert self.take(source) == []  # ends after a while without news
            first = ours.post(channel, "hello")
            reply = ours.reply(channel, first, "a reply")
            ours.edit(channel, reply, "a reply, edited")
            ours.delete(channel, reply)
            ours.delete(channel, first)
            given = self.take(source)
            assert texts(given) == ["hello", "a reply", "a reply, edited", f"-{channel}/{reply}", f"-{channel}/{first}"]
            record = given[0].record
            assert record and record.author == "alice" and record.unit == channel and record.uri
            assert record.exposure.audience == "internal" and record.container.startswith("#room-")

    def test_the_same_ids_as_by_polling(self, ours: Ours, events: SocketServer) -> None:
        channel = ours.channel()
        with self.opened(ours) as source:
            self.take(source)
            parent = ours.post(channel, "hello")
            ours.reply(channel, parent, "reply")
            live = [one.record for one in self.take(source) if one.record]
            polled = [one.record for one in source.records(Unit(channel, ""), None) if one.record]
        assert [(one.id, one.uri, one.parts, one.exposure) for one in live] == [
            (one.id, one.uri, one.parts, one.exposure) for one in polled
        ]

    def test_an_event_is_acknowledged_when_it_was_stored_and_not_before(self, ours: Ours, events: SocketServer) -> None:
        channel = ours.channel()
        with self.opened(ours) as source:
            self.take(source)
            for number in range(3):
                ours.post(channel, f"message {number}")
            given = self.take(source, done=False)
            assert texts(given) == ["message 0", "message 1", "message 2"]
            assert events.acknowledged == []
            assert given[1].done is not None
            given[1].done()
            events.wait(lambda: events.acknowledged == ["envelope-2"])
            # What was handed out and not stored is handed out again.
            again = self.take(source)
            assert texts(again) == ["message 0", "message 2"]
            events.wait(lambda: not events.unacknowledged)
            assert self.take(source) == []

    def test_what_slack_sends_again_is_not_given_again(self, ours: Ours, events: SocketServer) -> None:
        channel = ours.channel()
        with self.opened(ours) as source:
            self.take(source)
            ours.post(channel, "slow to be stored")
            given = self.take(source, done=False)
            events.again()  # Slack waited three seconds and sends it anew
            time.sleep(0.1)
            assert given[0].done is not None
            given[0].done()
            events.wait(lambda: not events.unacknowledged)
            events.push({"type": "event_callback", "event_id": "Ev00000001", "event": {"type": "message"}})
            assert self.take(source) == []
            events.wait(lambda: not events.unacknowledged)  # known: acknowledged at once

    def test_it_connects_again(self, ours: Ours, events: SocketServer) -> None:
        channel = ours.channel()
        with self.opened(ours) as source:
            self.take(source)
            events.drop()
            ours.post(channel, "while nobody listened")
            given: list[Delivery] = []
            events.wait(lambda: given.extend(self.take(source)) or given)
            before = events.connections
            events.ask_to_reconnect()
            events.wait(lambda: events.connections > before)
            ours.post(channel, "after the refresh")
            events.wait(lambda: given.extend(self.take(source)) or len(given) > 1)
            assert texts(given) == ["while nobody listened", "after the refresh"]

    def test_an_app_token_that_is_refused_and_then_is_not(self, ours: Ours, events: SocketServer) -> None:
        channel = ours.channel()
        ours.state.tokens[APP.reveal()].fault = "token_revoked"
        with self.opened(ours) as source:
            with pytest.raises(AccessError, match="app-level token: token_revoked") as caught:
                self.take(source)
            assert "SLACK_APP_TOKEN" in caught.value.advice
            ours.state.tokens[APP.reveal()] = Token(set())
            with pytest.raises(AccessError, match="connections:write"):
                self.take(source)
            ours.state.tokens[APP.reveal()] = Token({"connections:write"})
            ours.post(channel, "hello")
            assert texts(self.take(source)) == ["hello"]

    def test_closing_wakes_whoever_waits(self, ours: Ours, events: SocketServer) -> None:
        with self.opened(ours, poll=60) as source:
            raised: list[BaseException] = []

            def reading() -> None:
                try:
                    list(source.records(EVENTS, None))
                except BaseException as error:
                    raised.append(error)

            thread = threading.Thread(target=reading)
            thread.start()
            events.wait(lambda: events.connections)
            started = time.monotonic()
            source.close()
            thread.join(10)
            assert isinstance(raised[0], ClosedError)
            assert time.monotonic() - started < 2

    def test_only_what_is_wanted(self, ours: Ours, events: SocketServer) -> None:
        wanted, other = ours.channel(), ours.channel()
        direct = ours.channel(is_im=True, user="U00000002")
        with self.opened(ours, choice=Choice((wanted,))) as source:
            self.take(source)
            for channel in (other, direct, wanted):
                ours.post(channel, f"in {channel}")
            given = self.take(source)
            assert texts(given) == [f"in {wanted}"]
            events.wait(lambda: not events.unacknowledged)  # the others are acknowledged too

    def test_files(self, ours: Ours, events: SocketServer) -> None:
        channel = ours.channel()
        with self.opened(ours) as source:
            self.take(source)
            ours.share(channel, "notes.txt", b"in a file")
            given = [one.record for one in self.take(source) if one.record]
            assert [content(record) for record in given] == [{"notes.txt": b"in a file"}]
            # A file that is changed later: the whole message comes again.
            ours.state.tell({"type": "file_change", "file_id": "F00000001", "file": {"id": "F00000001"}})
            again = [one.record for one in self.take(source) if one.record]
            assert [record.id for record in again] == [record.id for record in given]
            assert again[0].parts[0].segment and len(again[0].parts) == len(given[0].parts)

    def test_a_rename_and_odd_events(self, ours: Ours, events: SocketServer) -> None:
        channel = ours.channel(name="before")
        with self.opened(ours) as source:
            self.take(source)
            ours.post(channel, "one")
            assert [one.record.container for one in self.take(source) if one.record] == ["#before"]
            ours.state.conversations[channel].told["name"] = "after"
            ours.state.tell({"type": "channel_rename", "channel": {"id": channel, "name": "after"}})
            ours.state.tell({"type": "user_change", "user": {"id": "U00000001", "name": "alicia", "profile": None}})
            for odd in ({"type": "message"}, {"type": "message", "channel": channel}, {"type": None}, {}):
                ours.state.tell(odd)
            ours.state.tell({"type": "message", "channel": "C99999999", "ts": "1.000001", "text": "unseen"})
            ours.state.tell({"type": "message", "subtype": "message_changed", "channel": channel, "message": None})
            ours.post(channel, "two")
            given = self.take(source)
            assert texts(given) == ["two"]
            assert [(one.record.container, one.record.author) for one in given if one.record] == [("#after", "alicia")]
            assert len(skips(given)) == 4
            events.wait(lambda: not events.unacknowledged)

    def test_a_fault_while_an_event_is_looked_into_loses_nothing(self, ours: Ours, events: SocketServer) -> None:
        channel = ours.channel()
        with self.opened(ours) as source:
            self.take(source)
            ours.state.tokens[ours.token].fault = "token_expired"
            ours.post(channel, "hello")
            with pytest.raises(AccessError):
                self.take(source)
            assert events.acknowledged == []
            ours.state.tokens[ours.token].fault = ""
            assert texts(self.take(source)) == ["hello"]


def signed(body: bytes, *, at: float | None = None, secret: Sensitive = SECRET) -> dict[str, str]:
    """The headers of a request, signed by Slack's SDK."""
    stamp = str(int(time.time() if at is None else at))
    signature = SignatureVerifier(secret.reveal()).generate_signature(timestamp=stamp, body=body)
    return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": str(signature)}


class TestEndpoint:
    @pytest.fixture
    def endpoint(self, ours: Ours) -> Iterator[EventsEndpoint]:
        with opened(ours, signing_secret=SECRET) as source:
            yield source.endpoint()

    def event(self, **event: Any) -> bytes:
        return json.dumps({"type": "event_callback", "event_id": "Ev1", "event_time": 5, "event": event}).encode()

    def test_an_event_is_believed_once(self, ours: Ours, endpoint: EventsEndpoint) -> None:
        channel = ours.channel()
        body = self.event(type="message", channel=channel, user="U00000001", ts="1700000000.000100", text="hello")
        headers = signed(body)
        answer = endpoint.receive(headers, body)
        assert answer.status == 200 and texts(answer.deliveries) == ["hello"]
        again = endpoint.receive({key.lower(): value for key, value in headers.items()}, body)
        assert (again.status, again.deliveries) == (401, ()) and "seen before" in again.body

    def test_the_address_is_verified(self, endpoint: EventsEndpoint) -> None:
        body = json.dumps({"type": "url_verification", "challenge": "3eZbrw1a"}).encode()
        assert endpoint.receive(signed(body), body)[:2] == (200, "3eZbrw1a")
        assert endpoint.receive({}, body).status == 401

    def test_what_is_not_believed(self, endpoint: EventsEndpoint) -> None:
        body = self.event(type="message")
        good = signed(body)
        for headers, reason in (
            ({}, "not signed"),
            ({**good, "X-Slack-Signature": ""}, "not signed"),
            ({**good, "X-Slack-Request-Timestamp": "soon"}, "not signed"),
            ({**good, "X-Slack-Signature": "v0=" + "0" * 64}, "not right"),
            ({**good, "X-Slack-Signature": "ünicode"}, "not right"),
            (signed(body, secret=Sensitive("another")), "not right"),
            (signed(body + b" "), "not right"),
            (signed(body, at=time.time() - 301), "too old"),
            (signed(body, at=time.time() + 330), "too old"),
        ):
            answer = endpoint.receive(headers, body)
            assert (answer.status, answer.deliveries) == (401, ()) and reason in answer.body
        assert endpoint.receive(signed(body, at=time.time() - 290), body).status == 200

    def test_bodies_that_are_none(self, endpoint: EventsEndpoint) -> None:
        for body in (b"", b"{", b"[]", b'"\\ud800"', b"7"):
            assert endpoint.receive(signed(body), body).status == 400
        assert endpoint.receive(signed(b"{}"), b"{}").status == 200

    def test_events_that_were_held_back_are_told(self, endpoint: EventsEndpoint) -> None:
        body = json.dumps({"type": "app_rate_limited", "minute_rate_limited": 1518467820}).encode()
        answer = endpoint.receive(signed(body), body)
        assert answer.status == 200 and "held back" in skips(list(answer.deliveries))[0].reason

    def test_slack_is_asked_to_send_again_what_could_not_be_looked_into(
        self, ours: Ours, endpoint: EventsEndpoint
    ) -> None:
        ours.server.fail("auth.test", *[Fault(500)] * 6)
        body = self.event(type="message", channel=ours.channel(), ts="1700000000.000100", text="hello")
        assert endpoint.receive(signed(body), body).status == 503
        assert texts(endpoint.receive(signed(body, at=time.time() + 1), body).deliveries) == ["hello"]

    def test_there_is_none_without_a_secret(self, ours: Ours) -> None:
        source = open_source(Options(name="x", token=Sensitive(ours.token), base_url=ours.base_url))
        assert isinstance(source, SlackSource)
        with pytest.raises(ConfigError, match="SLACK_SIGNING_SECRET"):
            source.endpoint()
        source.close()


def test_the_emulators_events_are_believed_and_understood(tmp_path: Path) -> None:
    """A third party signs and words these requests; the token, the names and the files are asked of it too."""
    requests: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()

    class Receiver(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            return

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            requests.put((dict(self.headers.items()), body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

    receiver = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        address = f"http://127.0.0.1:{receiver.server_port}/"
        with emulated_slack(tmp_path, events=address, signing_secret=SECRET.reveal()) as emulated:
            options = Options(
                name="x", token=Sensitive(emulated.token), base_url=emulated.base_url, signing_secret=SECRET
            )
            source = open_source(options)
            assert isinstance(source, SlackSource)
            web = WebClient(token=emulated.token, base_url=emulated.base_url)
            channel = web.conversations_list()["channels"][0]["id"]
            first = web.chat_postMessage(channel=channel, text="hello")["ts"]
            web.chat_update(channel=channel, ts=first, text="hello, edited")
            web.files_upload_v2(channel=channel, filename="notes.txt", content=b"in a file", initial_comment="see")
            web.chat_delete(channel=channel, ts=first)
            endpoint = source.endpoint()
            given: list[Delivery] = []
            while not any(one.record and one.record.deleted for one in given):
                answer = endpoint.receive(*requests.get(timeout=10))
                assert answer.status == 200
                given += answer.deliveries
            records = [one.record for one in given if one.record]
            assert texts(given)[:2] == ["hello", "hello, edited"] and texts(given)[-1] == f"-{channel}/{first}"
            assert {record.id for record in records[:2]} == {f"{channel}/{first}"}
            assert records[0].author == "alice" and records[0].container == "#general"
            assert {"notes.txt": b"in a file"} in [content(record) for record in records]
            source.close()
    finally:
        receiver.shutdown()
        receiver.server_close()
        thread.join()
