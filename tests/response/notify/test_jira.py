"""Jira against a server that makes issues, and whose search knows them only some time later."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from keysentry.connectors.base import Recipient
from keysentry.errors import (
    AccessError,
    ClosedError,
    ConfigError,
    InputError,
    KeysentryError,
    SourceError,
    UnclearError,
)
from keysentry.model.sensitive import Sensitive
from keysentry.response.notify import open_notifier
from keysentry.response.notify.jira import Jira, Options, document
from tests.response.notify.facts import ACTION, LANGUAGES, forged, notice
from tests.servers.jira import DOCUMENT, JiraServer, jira
from tests.servers.webhook_receiver import Reply

pytestmark = pytest.mark.xdist_group("notify-http")
EMAIL, TOKEN = "bot@acme.example", "local-test-token"
TEAM = Recipient()


@pytest.fixture(scope="module")
def running() -> Iterator[JiraServer]:
    with jira(EMAIL, TOKEN) as server:
        yield server


@pytest.fixture
def server(running: JiraServer) -> JiraServer:
    running.receiver.reset()
    running.issues.clear()
    running.lag = 0
    running._searches.clear()
    return running


def options(server: JiraServer, **changes: Any) -> Options:
    known: dict[str, Any] = {
        "name": "tickets",
        "base_url": server.receiver.url,
        "email": EMAIL,
        "token": Sensitive(TOKEN),
        "project": "SEC",
    }
    return Options(**(known | changes))


class Waits:
    """Waits without waiting."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.stop = False

    def __call__(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        return self.stop


def test_a_notice_is_one_issue(server: JiraServer) -> None:
    tickets = open_notifier(options(server))
    receipt = tickets.tell(notice(), TEAM)
    assert receipt.outcome == "done" and receipt.evidence["issue"] == f"{server.receiver.url}/browse/SEC-1"
    again = tickets.tell(notice(), TEAM)
    assert again.outcome == "already" and again.evidence == receipt.evidence
    told = tickets.told(notice(), TEAM)
    assert told is not None and told.evidence == receipt.evidence
    assert len(server.issues) == 1


def test_what_the_issue_says(server: JiraServer) -> None:
    open_notifier(options(server, labels=("keysentry", "leak"))).tell(notice(12), TEAM)
    fields = server.issues[0]["fields"]
    assert fields["summary"] == "Critical: 12 secrets in #ops"
    assert fields["labels"] == ["keysentry", "leak", f"keysentry-{ACTION}"]
    written = msgspec.json.encode(fields).decode()
    assert "bulletList" in written and '"type":"link"' in written and forged(1) not in written


@pytest.mark.parametrize("reply", [Reply(cut=True), Reply(504), Reply(500)], ids=["cut", "504", "500"])
def test_an_issue_whose_making_is_unclear_is_not_made_again(server: JiraServer, reply: Reply) -> None:
    """The answer is lost on the way; the issue is there."""
    tickets = Jira(options(server), wait=Waits())
    server._make({  # what the request did before its answer was lost
        "project": {"key": "SEC"}, "issuetype": {"name": "Task"}, "summary": "x", "description": document(notice()),
        "labels": [f"keysentry-{ACTION}"],
    })  # fmt: skip
    server.lag = 3
    server.receiver.answers = [Reply(200, body=b'{"issues": []}'), reply]
    with pytest.raises(UnclearError):
        tickets.tell(notice(), TEAM)
    known = tickets.told(notice(), TEAM)
    assert known is not None and known.evidence["issue"].endswith("SEC-1") and len(server.issues) == 1


def test_the_search_is_asked_again_before_it_is_believed_that_there_is_none(server: JiraServer) -> None:
    waits = Waits()
    assert Jira(options(server), wait=waits).told(notice(), TEAM) is None
    assert waits.seconds == [2.0, 4.0, 8.0, 16.0] and len(server.receiver.requests) == 5


def test_after_an_attempt_that_surely_failed_it_is_asked_once(server: JiraServer) -> None:
    waits = Waits()
    tickets = Jira(options(server), wait=waits)
    server.receiver.answers = [Reply(200, body=b'{"issues": []}'), Reply(429)]
    with pytest.raises(SourceError):
        tickets.tell(notice(), TEAM)
    assert tickets.told(notice(), TEAM) is None and not waits.seconds
    tickets.tell(notice(), TEAM)
    assert len(server.issues) == 1


def test_closing_ends_the_asking(server: JiraServer) -> None:
    waits = Waits()
    waits.stop = True
    with pytest.raises(ClosedError):
        Jira(options(server), wait=waits).told(notice(), TEAM)
    tickets = open_notifier(options(server))
    tickets.close()
    with pytest.raises(ClosedError):
        tickets.told(notice(), TEAM)


FAULTS = [
    ({"token": Sensitive("another-token")}, None, AccessError, "check email and token"),
    ({"project": "NONE"}, None, InputError, "NONE"),
    ({"issue_type": "Epic"}, None, InputError, "issue type"),
    ({}, Reply(429, {"Retry-After": "7"}), SourceError, "asks to wait 7 s"),
    ({}, Reply(503), SourceError, "503"),
    ({}, Reply(cut=True), SourceError, "connection ended"),
    ({}, Reply(200, body=b"<html>maintenance</html>"), SourceError, "something else than issues"),
    ({}, Reply(302, {"Location": "https://id.example/login"}), InputError, "redirects are not followed"),
]


@pytest.mark.parametrize(("changes", "reply", "kind", "words"), FAULTS, ids=[one[3] for one in FAULTS])
def test_what_an_answer_means(
    server: JiraServer, changes: dict[str, Any], reply: Reply | None, kind: type[KeysentryError], words: str
) -> None:
    server.receiver.answers = [reply] if reply else []
    with pytest.raises(kind) as caught:
        open_notifier(options(server, **changes)).tell(notice(), TEAM)
    assert type(caught.value) is kind and words in str(caught.value)
    assert TOKEN not in str(caught.value) and not server.issues


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"token": None}, "JIRA_API_TOKEN"),
        ({"project": 'SEC" OR project = "HR'}, "no key of a project"),
        ({"labels": ("two words",)}, "one word"),
        ({"base_url": "http://acme.atlassian.example"}, "not encrypted"),
    ],
)
def test_options_that_cannot_work_are_refused_at_once(server: JiraServer, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        open_notifier(options(server, **changes))


@given(text=st.text(max_size=400), language=st.sampled_from(LANGUAGES))
@settings(max_examples=150, deadline=None)
def test_whatever_a_text_holds_its_document_is_one(text: str, language: str) -> None:
    for told in (msgspec.structs.replace(notice(), text=text), notice(language=language)):
        Draft202012Validator(DOCUMENT).validate(document(told))
