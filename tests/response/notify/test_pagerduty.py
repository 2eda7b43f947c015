"""PagerDuty against a server that holds events to the published form and joins them by their `dedup_key`."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from keysentry.connectors.base import Recipient
from keysentry.errors import ConfigError, InputError, SourceError
from keysentry.model.sensitive import Sensitive
from keysentry.response.notify import open_notifier
from keysentry.response.notify.messages import escalation_notice
from keysentry.response.notify.pagerduty import Options, event
from keysentry.rules.forge import forge
from tests.response.notify.facts import ACTION, TIME, case, forged, late_action, notice, voice
from tests.servers.pagerduty import PagerDutyServer, pagerduty
from tests.servers.webhook_receiver import Reply

pytestmark = pytest.mark.xdist_group("notify-http")
KEY = forge("{hex:32}", random.Random(7))
TEAM = Recipient()


@pytest.fixture(scope="module")
def running() -> Iterator[PagerDutyServer]:
    with pagerduty(KEY) as server:
        yield server


@pytest.fixture
def server(running: PagerDutyServer) -> PagerDutyServer:
    running.receiver.reset()
    running.alerts.clear()
    return running


def options(server: PagerDutyServer, **changes: Any) -> Options:
    known: dict[str, Any] = {"name": "oncall", "routing_key": Sensitive(KEY), "base_url": server.receiver.url}
    return Options(**(known | changes))


def test_a_notice_is_one_alert_however_often_it_is_sent(server: PagerDutyServer) -> None:
    oncall = open_notifier(options(server))
    receipt = oncall.tell(notice(), TEAM)
    assert receipt.evidence == {"status": "202", "dedup_key": ACTION}
    server.receiver.answers = [Reply(500)]
    with pytest.raises(SourceError):
        oncall.tell(notice(), TEAM)
    assert oncall.told(notice(), TEAM) is None
    oncall.tell(notice(), TEAM)
    assert list(server.alerts) == [ACTION] and len(server.receiver.requests) == 3


def test_what_the_event_says(server: PagerDutyServer) -> None:
    open_notifier(options(server)).tell(notice(), TEAM)
    (event_,) = server.alerts[ACTION]
    payload = event_["payload"]
    assert (
        payload["severity"] == "critical" and payload["source"] == "#ops" and payload["class"] == "github.pat-classic"
    )
    assert payload["custom_details"]["incidents"][0]["id"] == "inc_0001"
    assert event_["links"][0] == {"href": "https://acme.slack.example/archives/C1/p1700000001", "text": "#ops"}
    assert forged(1) not in msgspec.json.encode(event_).decode()


@pytest.mark.parametrize(
    ("severity", "expected"), [("critical", "critical"), ("high", "error"), ("medium", "warning"), ("low", "info")]
)
def test_severities(severity: str, expected: str) -> None:
    payload = event(msgspec.structs.replace(notice(), severity=severity))["payload"]
    assert payload["severity"] == expected  # type: ignore[index]


def test_an_escalation_is_critical(server: PagerDutyServer) -> None:
    late = escalation_notice(ACTION, [case()], late_action(), voice(), time=TIME)
    open_notifier(options(server)).tell(msgspec.structs.replace(late, severity="low"), TEAM)
    (event_,) = server.alerts[ACTION]
    assert event_["payload"]["severity"] == "critical"
    assert event_["payload"]["custom_details"]["action"]["kind"] == "revoke"


def test_a_large_one_is_cut_to_what_is_taken(server: PagerDutyServer) -> None:
    long = "x" * 2000
    large = notice(300, uri=f"https://acme.example/{long}", path=long, record=long, part=long)
    assert len(msgspec.json.encode(event(large))) > 512 * 1024
    open_notifier(options(server)).tell(large, TEAM)
    assert server.alerts[ACTION][0]["payload"]["custom_details"]["count"] == 300


def test_a_wrong_key_stays_wrong_and_is_not_told(server: PagerDutyServer) -> None:
    wrong = forge("{hex:32}", random.Random(8))
    with pytest.raises(InputError, match="Invalid routing key") as caught:
        open_notifier(options(server, routing_key=Sensitive(wrong))).tell(notice(), TEAM)
    assert wrong not in str(caught.value) and not server.alerts


def test_without_a_key_it_is_not_opened(server: PagerDutyServer) -> None:
    with pytest.raises(ConfigError, match="PAGERDUTY_ROUTING_KEY"):
        open_notifier(options(server, routing_key=None))
