"""Syslog against collectors by UDP, TCP and TLS that hold lines to the grammar of RFC 5424."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keysentry.connectors.base import Recipient
from keysentry.errors import AccessError, ConfigError, KeysentryError, SourceError
from keysentry.response.notify import open_notifier
from keysentry.response.notify.cef import cef
from keysentry.response.notify.messages import escalation_notice
from keysentry.response.notify.syslog import Options, line
from tests.response.notify.facts import ACTION, TIME, case, forged, late_action, notice, voice
from tests.servers.certificates import Authority
from tests.servers.process import free_port
from tests.servers.syslog import Collector, Line, stream_collector, udp_collector

TEAM = Recipient()


def options(collector: Collector, **changes: Any) -> Options:
    known: dict[str, Any] = {"name": "siem", "host": "127.0.0.1", "port": collector.port, "timeout": 5.0}
    return Options(**(known | changes))


def parse_cef(text: str) -> tuple[list[str], dict[str, str]]:
    """A line as a collector reads it, written from the standard, not from our code."""
    head = re.match(r"((?:[^|\\]|\\.)*)\|" * 7, text)
    assert head is not None, text
    fields = [re.sub(r"\\(.)", r"\1", one) for one in head.groups()]
    rest = text[head.end() :]
    pairs = re.findall(r"(\w+)=((?:[^=\\]|\\.)*?)(?=\s\w+=|$)", rest)
    unescape = {"\\n": "\n", "\\r": "\r", "\\=": "=", "\\\\": "\\"}
    return fields, {key: re.sub(r"\\.", lambda it: unescape[it[0]], value) for key, value in pairs}


def one(collector: Collector) -> Line:
    lines = collector.wait(1)
    assert len(lines) == 1 and not collector.wrong, collector.wrong
    return lines[0]


def test_a_line_by_tcp_arrives_once() -> None:
    with stream_collector() as collector:
        receipt = open_notifier(options(collector, hostname="sensor-1")).tell(notice(), TEAM)
        got = one(collector)
        assert receipt.evidence["id"] == ACTION
    assert (got.priority, got.host, got.app, got.id) == (13 * 8 + 2, "sensor-1", "keysentry", "channel")
    assert got.time == "2027-01-15T08:00:00.000Z"
    assert len(collector.raw) == 1


def test_what_a_line_of_cef_says() -> None:
    with stream_collector() as collector:
        open_notifier(options(collector)).tell(notice(), TEAM)
        head, fields = parse_cef(one(collector).content)
    assert head[:3] == ["CEF:0", "keysentry", "keysentry"] and head[4] == "github.pat-classic" and head[6] == "10"
    assert fields["externalId"] == ACTION and fields["rt"] == str(int(TIME * 1000)) and fields["suser"] == "Ann Lee"
    assert fields["cs1"] == "inc_0001" and fields["cs1Label"] == "incident"
    assert fields["msg"] == notice().text
    assert forged(1) not in collector.raw[0].decode()


def test_a_line_of_json_is_the_notice() -> None:
    with stream_collector() as collector:
        open_notifier(options(collector, form="json", facility="local3")).tell(notice(2), TEAM)
        got = one(collector)
    assert got.priority == 19 * 8 + 2
    content = msgspec.json.decode(got.content)
    assert content["id"] == ACTION and [one["id"] for one in content["incidents"]] == ["inc_0001", "inc_0002"]


@pytest.mark.parametrize("form", ["cef", "json"])
def test_a_datagram_is_whole_and_no_longer_than_every_collector_takes(form: str) -> None:
    with udp_collector() as collector:
        receipt = open_notifier(options(collector, transport="udp", form=form)).tell(notice(40), TEAM)
        got = one(collector)
    assert len(collector.raw[0]) <= 2048 and "answers nothing" in receipt.note
    if form == "json":
        content = msgspec.json.decode(got.content)
        assert content["count"] == 40 and content["id"] == ACTION
    else:
        assert parse_cef(got.content)[1]["cnt"] == "40"


def test_tls_checks_the_certificate(trusted: Authority) -> None:
    with stream_collector(trusted.server) as collector:
        with pytest.raises(AccessError, match="certificate is not trusted"):
            open_notifier(options(collector, transport="tls")).tell(notice(), TEAM)
        open_notifier(options(collector, transport="tls", ca_file=trusted.ca_file)).tell(notice(), TEAM)
        assert one(collector).id == "channel"


def test_a_collector_that_dies_is_noticed_and_the_line_is_sent_again_with_the_same_id() -> None:
    with stream_collector() as collector:
        siem = open_notifier(options(collector))
        collector.reset = True
        with pytest.raises(SourceError, match="could not be sent"):
            siem.tell(notice(), TEAM)
        collector.reset = False
        assert siem.told(notice(), TEAM) is None
        siem.tell(notice(), TEAM)
        assert parse_cef(one(collector).content)[1]["externalId"] == ACTION


def test_nobody_there() -> None:
    for transport, kind in (("tcp", SourceError), ("tls", SourceError)):
        nowhere = Options(name="siem", host="127.0.0.1", port=free_port(), transport=transport)  # type: ignore[arg-type]
        with pytest.raises(KeysentryError) as caught:
            open_notifier(nowhere).tell(notice(), TEAM)
        assert type(caught.value) is kind


def test_a_facility_that_there_is_not() -> None:
    with pytest.raises(ConfigError, match="no facility 'local9'"):
        open_notifier(Options(name="siem", host="127.0.0.1", facility="local9"))


def test_an_escalation_is_an_alert() -> None:
    late = escalation_notice(ACTION, [case()], late_action(), voice(), time=TIME)
    assert line(late, TEAM, Options(name="siem", host="x")).startswith(b"<105>1 ")


@given(title=st.text(max_size=200), author=st.text(max_size=100), container=st.text(max_size=100))
@settings(max_examples=150, deadline=None)
def test_whatever_names_hold_a_line_of_cef_can_be_read_back(title: str, author: str, container: str) -> None:
    told = notice(author=author, container=container, incident_changes={"title": title})
    text = cef(told)
    assert "\n" not in text and "\r" not in text
    head, fields = parse_cef(text)
    assert head[5] == " ".join(told.subject[:512].split())
    assert fields["msg"].split() == told.text.split() and fields["externalId"] == ACTION
