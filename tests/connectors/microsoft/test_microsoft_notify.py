"""Authors told by mail and in the activity feed, channels told through their workflow.

Graph is played by our own server behind Prism (`tests/servers/graph_acting.py`), a workflow by one in this file: it
answers as Power Automate and the older connectors are documented to, and checks that what it gets is one message with
one adaptive card of 28 kB at most.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from keysentry.connectors.base import Notice, Notifier, Recipient
from keysentry.connectors.microsoft import Options as ReadingOptions
from keysentry.connectors.microsoft.holding import actor
from keysentry.connectors.microsoft.notify import Options, open_notifier
from keysentry.connectors.microsoft.people import Mailing
from keysentry.connectors.microsoft.telling import TeamsNotifier
from keysentry.connectors.slack.notify import Options as SlackOptions
from keysentry.errors import (
    AccessError,
    ClosedError,
    ConfigError,
    InputError,
    KeysentryError,
    SourceError,
    UnclearError,
)
from keysentry.model.action import Place
from keysentry.model.sensitive import Sensitive
from tests.connectors.microsoft.acting_bench import Corp
from tests.servers.graph_acting import ACTING, ACTING_PERMISSIONS, ActingServer, acting_graph, describe
from tests.servers.prism import prism, violations

pytestmark = pytest.mark.xdist_group("graph acting")

SENDER = "security@contoso.com"
NOTICE = Notice(
    id="act_0123456789",
    kind="author",
    subject="A key of yours\nstands in <Backups>",
    text="Somebody could read it.\nIt is *not* your fault.\n\nPlease use the <vault> instead.",
    links=(("The message", "https://teams.microsoft.com/l/message/19:x/1"), ("How to", "https://example.com/?a=1&b=2")),
    time=1.0,
)


@pytest.fixture(scope="module")
def server() -> Iterator[ActingServer]:
    with acting_graph() as running:
        yield running


@pytest.fixture
def corp(server: ActingServer) -> Corp:
    return Corp(server)


@pytest.fixture(scope="module")
def _prism(server: ActingServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("prism")
    with prism(folder, server.url, describe) as address:
        yield address, folder


@pytest.fixture
def validated(_prism: tuple[str, Path], server: ActingServer) -> Iterator[Corp]:
    address, folder = _prism
    before = len(violations(folder))
    yield Corp(server, address)
    assert violations(folder)[before:] == []


@contextmanager
def notifier(corp: Corp, **told: Any) -> Iterator[Notifier]:
    options = {"token": Sensitive(ACTING), "sender": SENDER, "base_url": corp.base_url, "per_minute": 0.0, **told}
    found = open_notifier(Options(name="teams", **options))
    try:
        yield found
    finally:
        found.close()


def tell(corp: Corp, recipient: Recipient, notice: Notice = NOTICE, **options: Any) -> Any:
    with notifier(corp, **options) as found:
        return found.tell(notice, recipient)


def told(corp: Corp, recipient: Recipient, notice: Notice = NOTICE, **options: Any) -> Any:
    with notifier(corp, **options) as found:
        return found.told(notice, recipient)


def ann(corp: Corp, uri: str = "https://teams.microsoft.com/l/message/19:x/1") -> Recipient:
    place = Place(source="acme", platform="microsoft", unit="chats/x", record="chats/x/messages/1", uri=uri)
    return Recipient(author="Ann", author_id=corp.ann, place=place)


class TestMail:
    def test_an_author_gets_one_mail(self, validated: Corp) -> None:
        corp = validated
        assert told(corp, ann(corp)) is None
        receipt = tell(corp, ann(corp))
        (mail,) = corp.server.sent
        assert mail["subject"] == "A key of yours stands in <Backups>"
        assert [one["emailAddress"]["address"] for one in mail["toRecipients"]] == ["ann@contoso.com"]
        content = mail["body"]["content"]
        assert "&lt;vault&gt;" in content and "read it.<br>It is" in content
        assert '<a href="https://example.com/?a=1&amp;b=2">How to</a>' in content
        assert receipt.evidence["way"] == "mail" and receipt.evidence["sender"] == SENDER
        again = told(corp, ann(corp))
        assert again is not None and again.note == receipt.note
        assert tell(corp, ann(corp)).outcome == "done"
        assert corp.effects == {"draft": 1, "sent": 1}

    @pytest.mark.parametrize("before", [True, False], ids=["not sent", "answer lost"])
    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_stopped_at_any_call_it_is_told_once(self, corp: Corp, number: int, before: bool) -> None:
        with without_waiting(corp) as found, corp.server.stop(number, before=before), suppress(KeysentryError):
            found.tell(NOTICE, ann(corp))
        if told(corp, ann(corp)) is None:
            tell(corp, ann(corp))
        assert corp.effects == {"draft": 1, "sent": 1} and len(corp.server.sent) == 1

    def test_limits_and_answers_that_tell_nothing(self, corp: Corp) -> None:
        corp.server.fault("^POST .*/messages$", status=429, code="ApplicationThrottled", Retry_After="9")
        corp.server.fault("^POST .*/messages$", "reset", after=1)
        corp.server.fault("^POST .*/send$", status=503)
        corp.server.fault("^POST .*/send$", "reset", after=1)
        with without_waiting(corp) as found:
            found.tell(NOTICE, ann(corp))
        assert 9.0 in corp.waits.seconds and corp.effects == {"draft": 1, "sent": 1}

    @pytest.mark.parametrize(
        "recipient",
        [
            Recipient(author_id="ann@contoso.com"),
            Recipient(email="ann@contoso.com"),
            Recipient(author_id="nobody", email="ann@contoso.com"),
        ],
    )
    def test_people_are_found_by_id_or_address(self, corp: Corp, recipient: Recipient) -> None:
        tell(corp, recipient)
        assert corp.server.sent[0]["toRecipients"][0]["emailAddress"]["address"] == "ann@contoso.com"

    def test_a_mail_address_that_is_no_sign_in_name(self, corp: Corp) -> None:
        corp.tenant.users[corp.ann]["userPrincipalName"] = "a.nonymous@contoso.onmicrosoft.com"
        tell(corp, Recipient(email="ann@contoso.com"))
        assert len(corp.server.sent) == 1

    def test_nobody_outside_is_told(self, corp: Corp) -> None:
        """A mail that was found may be from anybody."""
        with pytest.raises(InputError) as caught:
            tell(corp, Recipient(author="Carol", author_id="carol@fabrikam.com", email="carol@fabrikam.com"))
        assert "nobody in the directory" in caught.value.reason and corp.effects == {}

    def test_somebody_without_an_address(self, corp: Corp) -> None:
        corp.tenant.users[corp.ann]["mail"] = ""
        with pytest.raises(InputError):
            tell(corp, ann(corp))
        assert corp.effects == {}

    @pytest.mark.parametrize("missing", ["Mail.Send", "Mail.ReadWrite", "User.Read.All"])
    def test_a_missing_permission_is_named(self, corp: Corp, missing: str) -> None:
        corp.server.permissions[ACTING] = ACTING_PERMISSIONS - {missing}
        with pytest.raises(AccessError) as caught:
            tell(corp, ann(corp))
        assert missing in caught.value.advice
        corp.server.permissions[ACTING] = ACTING_PERMISSIONS
        tell(corp, ann(corp))
        assert corp.effects == {"draft": 1, "sent": 1}


@contextmanager
def without_waiting(corp: Corp) -> Iterator[Notifier]:
    """The same as `notifier`, whose waits take no time."""
    options = Options(name="teams", token=Sensitive(ACTING), sender=SENDER)
    reading = ReadingOptions(name="teams", token=options.token, base_url=corp.base_url)
    found = TeamsNotifier(options, Mailing(actor(reading, 0.0, corp.waits.pace), options), None)
    try:
        yield found
    finally:
        found.close()


class TestActivity:
    WAY: dict[str, Any] = {"author": "activity", "activity_type": "secretFound"}

    def test_an_author_sees_it_in_the_feed(self, validated: Corp) -> None:
        corp = validated
        corp.server.has_app = {corp.ann}
        receipt = tell(corp, ann(corp), **self.WAY)
        (shown,) = corp.server.activities
        assert shown["user"] == corp.ann and shown["previewText"]["content"].startswith("A key of yours stands in")
        assert shown["topic"]["webUrl"] == "https://teams.microsoft.com/l/message/19:x/1"
        assert receipt.evidence == {"way": "activity", "person": corp.ann}
        assert told(corp, ann(corp), **self.WAY) is None
        tell(corp, ann(corp), **self.WAY)
        assert len(corp.server.activities) == 1, "it takes the place of the same one"

    def test_it_must_lead_into_teams(self, corp: Corp) -> None:
        corp.server.has_app = {corp.ann}
        notice = Notice(id="n", kind="author", subject="s", text="t", links=(("x", "https://example.com"),))
        elsewhere = ann(corp, "https://contoso-my.sharepoint.com/notes.txt")
        with pytest.raises(InputError) as caught:
            tell(corp, elsewhere, notice, **self.WAY)
        assert "teams_app" in caught.value.advice
        tell(corp, elsewhere, notice, teams_app="app-1", **self.WAY)
        assert corp.server.activities[0]["topic"]["webUrl"] == "https://teams.microsoft.com/l/app/app-1"

    def test_without_the_app_or_its_manifest(self, corp: Corp) -> None:
        with pytest.raises(AccessError) as caught:
            tell(corp, ann(corp), **self.WAY)
        assert "not installed" in caught.value.reason and "TeamsActivity.Send" in caught.value.advice
        corp.server.has_app = {corp.ann}
        with pytest.raises(InputError) as refused:
            tell(corp, ann(corp), author="activity", activity_type="other")
        assert "manifest" in refused.value.reason


class _Channel:
    """A channel's workflow: what was posted, and how the next posts are answered."""

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        self.answers: list[tuple[int, str, dict[str, str]]] = []
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), _Workflow)
        self.http.channel = self  # type: ignore[attr-defined]

    @property
    def url(self) -> Sensitive:
        return Sensitive(
            f"http://127.0.0.1:{self.http.server_address[1]}/workflows/abc/triggers/manual?sig={SIGNATURE}"
        )


SIGNATURE = "local-signature"


class _Workflow(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """The test looks at what was posted."""

    def do_POST(self) -> None:
        channel: _Channel = self.server.channel  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, said, headers = channel.answers.pop(0) if channel.answers else (202, "", {})
        if status == 0:
            self.connection.close()
            return
        if not self.path.endswith(f"?sig={SIGNATURE}"):
            status = 401
        message = json.loads(body)
        (attachment,) = message["attachments"]
        assert message["type"] == "message" and attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
        assert attachment["content"]["type"] == "AdaptiveCard"
        if len(body) > 28 << 10:
            status = 413
        if status in (200, 202) and "failed" not in said:
            channel.posted.append(attachment["content"])
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(said))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(said.encode())


@pytest.fixture
def channel() -> Iterator[_Channel]:
    made = _Channel()
    thread = threading.Thread(target=made.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield made
    made.http.shutdown()
    made.http.server_close()
    thread.join()


def post(channel: _Channel, notice: Notice = NOTICE) -> Any:
    found = open_notifier(Options(name="teams", webhook=channel.url))
    try:
        return found.tell(notice, Recipient())
    finally:
        found.close()


class TestChannel:
    def test_a_card_is_posted_with_literal_words(self, channel: _Channel) -> None:
        receipt = post(channel)
        (card,) = channel.posted
        words = [run["text"] for block in card["body"] for run in block["inlines"]]
        assert words == [
            "A key of yours stands in <Backups>",
            "Somebody could read it.\nIt is *not* your fault.",
            "Please use the <vault> instead.",
        ]
        assert {block["type"] for block in card["body"]} == {"RichTextBlock"}
        assert [one["url"] for one in card["actions"]] == [url for _, url in NOTICE.links]
        assert receipt.evidence == {"way": "channel", "host": "127.0.0.1", "status": "202"}

    def test_a_long_notice_is_cut(self, channel: _Channel) -> None:
        post(channel, Notice(id="n", kind="channel", subject="s" * 300, text='"é\n' * 20_000))
        assert channel.posted

    @pytest.mark.parametrize(
        ("status", "said", "headers", "kind", "words"),
        [
            (429, "", {"Retry-After": "17"}, SourceError, "17 s"),
            (503, "", {}, SourceError, "503"),
            (200, "Webhook message delivery failed with error: HTTP error 429", {}, SourceError, "did not post"),
            (401, "", {}, AccessError, "401"),
            (404, "", {}, AccessError, "404"),
            (400, "", {}, InputError, "400"),
            (302, "", {"Location": "https://elsewhere.example.com/"}, InputError, "302"),
            (502, "", {}, UnclearError, "502"),
            (0, "", {}, UnclearError, "before an answer"),
        ],
    )
    def test_what_answers_mean(
        self,
        channel: _Channel,
        status: int,
        said: str,
        headers: dict[str, str],
        kind: type[KeysentryError],
        words: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        channel.answers = [(status, said, headers)]
        with caplog.at_level(logging.DEBUG), pytest.raises(kind) as caught:
            post(channel)
        assert type(caught.value) is kind and words in str(caught.value)
        assert SIGNATURE not in f"{caught.value!r} {caught.value} {caught.value.advice} {caplog.text}"
        assert not channel.posted

    def test_whether_it_was_posted_cannot_be_asked(self, channel: _Channel) -> None:
        found = open_notifier(Options(name="teams", webhook=channel.url))
        with pytest.raises(UnclearError) as caught:
            found.told(NOTICE, Recipient())
        assert "look into the channel" in caught.value.advice
        found.close()
        with pytest.raises(ClosedError):
            found.tell(NOTICE, Recipient())

    def test_nobody_answers(self, channel: _Channel) -> None:
        found = open_notifier(Options(name="teams", webhook=Sensitive("http://127.0.0.1:9/x")))
        with pytest.raises(SourceError) as caught:
            found.tell(NOTICE, Recipient())
        assert type(caught.value) is SourceError
        found.close()

    def test_what_is_not_configured_is_told(self, channel: _Channel, corp: Corp) -> None:
        found = open_notifier(Options(name="teams", webhook=channel.url))
        with pytest.raises(InputError) as caught:
            found.tell(NOTICE, ann(corp))
        assert "sender" in caught.value.advice
        found.close()
        with pytest.raises(InputError) as refused:
            tell(corp, Recipient())
        assert "webhook" in refused.value.advice


class TestOptions:
    @pytest.mark.parametrize(
        ("told_", "word"),
        [
            ({}, "webhook"),
            ({"sender": SENDER}, "sign in"),
            ({"author": "activity", "sender": SENDER, "token": Sensitive("t")}, "activity_type"),
            ({"webhook": Sensitive("http://hooks.example.com/x")}, "https"),
            ({"webhook": Sensitive("https://user@hooks.example.com/x")}, "address"),
            ({"webhook": Sensitive("nonsense")}, "address"),
            ({"webhook": Sensitive("https://[::1/x")}, "address"),
            ({"webhook": Sensitive("https://h/x"), "per_minute": -1.0}, "per_minute"),
        ],
    )
    def test_what_does_not_fit_together_is_told(self, told_: dict[str, Any], word: str) -> None:
        with pytest.raises(ConfigError) as caught:
            open_notifier(Options(name="teams", **told_))
        assert word in str(caught.value)

    def test_options_of_others_are_refused(self) -> None:
        with pytest.raises(TypeError):
            open_notifier(SlackOptions(name="x"))
