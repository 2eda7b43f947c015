"""Places: routes as a person reads them, and the way from a view back to the original."""

from __future__ import annotations

from keysentry.model.finding import Severity, Skipped
from keysentry.model.location import ByteSpan, Location, OffsetMap, Step, render_route
from keysentry.model.summary import Summary


def test_a_route_as_a_person_reads_it():
    route = (Step("member", "notes.zip"), Step("field", "users[3].token"))
    assert render_route(route) == "notes.zip » users[3].token"
    assert Location(route=route).part == "notes.zip » users[3].token"
    assert Location().part == ""


def test_a_packed_run_maps_to_the_characters_that_hold_each_byte():
    base64_map = OffsetMap((0,), (10,), packed=(3, 4))
    assert base64_map.to_original(0) == 10
    for start in range(6):
        for end in range(start + 1, 9):
            span = base64_map.span_to_original(ByteSpan(start, end))
            assert (span.start, span.end) == (10 + start * 8 // 6, 10 - (-end * 8 // 6))


def test_a_whole_run_is_never_cut():
    escapes = OffsetMap((0, 2, 3), (0, 2, 8), whole=(0, 6, 0))
    assert escapes.span_to_original(ByteSpan(2, 3)) == ByteSpan(2, 8)
    assert escapes.span_to_original(ByteSpan(1, 4)) == ByteSpan(1, 9)
    assert len(ByteSpan(2, 8)) == 6


def test_severities_have_an_order():
    assert [severity.rank for severity in Severity] == [0, 1, 2, 3]


def test_a_summary_is_complete_if_all_was_read():
    assert Summary().complete
    assert not Summary(interrupted=True).complete
    assert not Summary(skipped=[Skipped("a", "b")]).complete
    assert Summary().skipped is not Summary().skipped
