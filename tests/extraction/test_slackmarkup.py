"""Slack's markup undone, and traced back."""

from __future__ import annotations

import json
import re

import hyperscan
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysentry.extraction.formats.slackmarkup import MARKUP_GLUE, says_the_same, undo
from keysentry.model.location import ByteSpan

NAMES = {"U1": "bob", "C1": "general"}


def plain(text: str):
    return undo(text.encode(), lambda id: NAMES.get(id, id), lambda id: NAMES.get(id, id))


@pytest.mark.parametrize(
    ("stored", "typed"),
    [
        ("no markup at all", "no markup at all"),
        ("a &amp;&amp; b &lt;c&gt; &amp;lt;", "a && b <c> &lt;"),
        (
            "postgres://u:pw@<http://db.example.com|db.example.com>/x?a=1&amp;b=2",
            "postgres://u:pw@db.example.com/x?a=1&b=2",
        ),
        ("<mailto:bob@corp.com|bob@corp.com>:hunter-77-x", "bob@corp.com:hunter-77-x"),
        ("<https://x.com/?a=1&amp;t=2>!", "https://x.com/?a=1&t=2!"),
        ("<https://x.com/|https://x.com>", "https://x.com"),
        ("<tel:+4312345|+43 123 45>", "+43 123 45"),
        ("<@U1> <@U1|robert> <@U9>: <#C1> <#C2|random> <#C3|>", "@bob @robert @U9: #general #random #C3"),
        ("<!here> <!channel> <!subteam^S1|@ops> <!subteam^S2>", "@here @channel @ops S2"),
        ("<!date^1392734382^{date}|Feb 18>", "Feb 18"),
        ("see <https://x.com/doc|the docs>", "see the docs"),
        ("a < b | c > d", "a < b | c > d"),
        ("<not a link>", "<not a link>"),
    ],
)
def test_reads_as_it_was_typed(stored: str, typed: str) -> None:
    assert plain(stored).text.decode() == typed


def test_the_address_behind_another_label_is_not_lost() -> None:
    stored = "see <https://x.com/?a=1&amp;t=secret|the docs> now"
    (link,) = plain(stored).links
    assert link.url == b"https://x.com/?a=1&t=secret"
    assert link.label == b"the docs"
    at = link.url.index(b"1&t=secret")
    span = link.origin.span_to_original(ByteSpan(at, len(link.url)))
    assert stored[span.start : span.end] == "1&amp;t=secret"


def test_spans_cover_whole_links() -> None:
    stored = "é postgres://u:pw@<http://db.corp.com|db.corp.com>/x &lt;end"
    text = plain(stored)
    at = text.text.index(b"postgres")
    span = text.origin.span_to_original(ByteSpan(at, text.text.index(b" <end")))
    assert stored.encode()[span.start : span.end].decode() == "postgres://u:pw@<http://db.corp.com|db.corp.com>/x"
    inside = text.origin.span_to_original(ByteSpan(text.text.index(b"corp"), text.text.index(b"corp") + 4))
    assert stored.encode()[inside.start : inside.end] == b"<http://db.corp.com|db.corp.com>"
    end = text.origin.span_to_original(ByteSpan(text.text.index(b"<"), len(text.text)))
    assert stored.encode()[end.start : end.end] == b"&lt;end"


PIECES = [
    "<",
    ">",
    "|",
    "&amp;",
    "&lt;",
    "<http://x.com|x.com>",
    "<@U1>",
    "<mailto:a@b.c|x>",
    "<https://y/&amp;>",
    "text ",
    "é",
]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=12).map("".join))
def test_every_byte_has_an_origin(stored: str) -> None:
    field = stored.encode()
    result = plain(stored)
    for text, origin in [(result.text, result.origin), *((link.url, link.origin) for link in result.links)]:
        if origin is None:
            assert text == field
            continue
        last = 0
        for i in range(len(text)):
            span = origin.span_to_original(ByteSpan(i, i + 1))
            assert last <= span.start < span.end <= len(field)
            assert len(span) > 1 or field[span.start] == text[i]
            last = span.start


def test_labels_that_say_the_same() -> None:
    assert says_the_same(b"http://db.corp.com", b"db.corp.com")
    assert says_the_same(b"https://x.com/", b"https://x.com")
    assert says_the_same(b"mailto:a@b.c", b"a@b.c")
    assert not says_the_same(b"https://x.com", b"here")


GLUED = [
    "postgres://u:pw@<http://db.corp.com|db.corp.com>/x",
    "<mailto:bob@corp.com|bob@corp.com>:hunter-77-x",
    "pw is a<http://b.com|b.com>",
    "x<http://b.com|b.com>",
    "<http://b.com|b.com>/path",
    "new\nab<http://b.com|b.com>",
    "<https://b.com>?token=x",
    "<@U1>:abcd",
    "<http://a.com|a.com><http://b.com|b.com>",
    'say "<http://b.com|b.com>"',
    "key/<http://b.com|b.com>",
]
LOOSE = [
    "hello world, a &lt; b",
    "see <http://b.com|b.com> now",
    "see (<http://b.com|b.com>), then",
    "<@U1>, hi there. <@U1>: yes <@U1>!",
    "line\n<http://b.com|b.com>\nline",
    "<!here> look at <#C1|general>.",
]
FORMS = {
    "plain": lambda text: json.dumps({"text": text}, ensure_ascii=False),
    "slashes": lambda text: json.dumps({"text": text}).replace("/", "\\/"),
    "go": lambda text: json.dumps({"text": text}).replace("<", "\\u003c").replace(">", "\\u003e"),
}


@pytest.fixture(scope="module")
def database():
    database = hyperscan.Database()
    database.compile(expressions=[MARKUP_GLUE], ids=[0], flags=[hyperscan.HS_FLAG_DOTALL])
    return database


def matches(database: hyperscan.Database, raw: str) -> bool:
    found: list[int] = []
    database.scan(raw.encode(), match_event_handler=lambda *hit: found.append(hit[0]))
    assert bool(found) == bool(re.search(MARKUP_GLUE, raw.encode(), re.DOTALL))
    return bool(found)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("text", GLUED)
def test_glue_is_seen(database, form: str, text: str) -> None:
    assert matches(database, FORMS[form](text))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("text", LOOSE)
def test_loose_markup_is_not_glue(database, form: str, text: str) -> None:
    assert not matches(database, FORMS[form](text))


@pytest.mark.parametrize("indent", [None, 4])
def test_runs_of_rich_text_without_a_space_between_are_glue(database, indent: int | None) -> None:
    def runs(*texts: str, style: bool = False) -> str:
        items = [{"type": "text", "text": text} | ({"style": {"bold": True}} if style else {}) for text in texts]
        return json.dumps({"elements": items}, indent=indent)

    assert matches(database, runs("AKIA", "ABCD"))
    assert matches(database, runs("AKIA", "ABCD", style=True))
    assert matches(database, json.dumps([{"type": "text", "text": "u:pw@"}, {"type": "link", "url": "http://x"}]))
    assert not matches(database, runs("one ", "two"))
    assert not matches(database, runs("one.\n", " two", style=True))
