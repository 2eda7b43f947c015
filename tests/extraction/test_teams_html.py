"""HTML undone and traced back, and loosened inside JSON without losing what the text says."""

from __future__ import annotations

import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysentry.extraction.formats.html import Plain, html_segments, loosen, undo_html
from keysentry.extraction.unescape import backslash
from keysentry.model.location import ByteSpan, Step


@pytest.mark.parametrize(
    ("stored", "typed"),
    [
        ("no markup at all", "no markup at all"),
        ("<p>one</p>", "one"),
        ("<p>one</p>\n<p>two</p>", "one\ntwo"),
        ("<div><div>one</div><div>two</div></div>", "one\ntwo"),
        ("one<br>two<br/>three", "one\ntwo\nthree"),
        ("pass<b>word</b>: x<i>y</i>z", "password: xyz"),
        ('<span style="color:red">ab</span><span>cd</span>', "abcd"),
        ('<p>hi <at id="0">Bob</at>,&nbsp;see</p>', "hi Bob, see"),
        ("a\N{NO-BREAK SPACE}b", "a b"),
        ("a &amp;&amp; b &lt;c&gt; &quot;d&quot; &#39;e&apos; &#x41;&plus;", "a && b <c> \"d\" 'e' A+"),
        ("&amp;lt; &nosuchname; &#xD800; &#0; AT&T", "&lt; &nosuchname; \ufffd \ufffd AT&T"),
        ("a < b and c > d, x <3", "a < b and c > d, x <3"),
        ("<b>a</b> <i>b</i>", "a b"),
        ("AK<wbr>IA", "AKIA"),
        ("<ul><li>one</li>\n<li>two</li></ul>", "one\ntwo"),
        ('<a title="a > b" href="x">y</a>', "y"),
        ('<p title=">never closed', "never closed"),
        ("x<!-- seen by nobody -->y", "xy"),
        ("<codeblock class='Python'><code>a = 1<br>b = 2</code></codeblock>", "a = 1\nb = 2"),
        ('look<attachment id="1"></attachment>here', "look\nhere"),
        ('<quote author="bob"><legacyquote>[12:00] bob: </legacyquote>pw?</quote>it is', "[12:00] bob: \npw?\nit is"),
        ("see<e_m a='bob' ts='1'></e_m>", "see"),
    ],
)
def test_reads_as_it_is_shown(stored: str, typed: str) -> None:
    assert undo_html(stored.encode()).text.decode() == typed


def test_tables_have_a_row_a_line() -> None:
    stored = (
        "<table><tbody><tr><td><p>User</p></td>\n<td><p>Password</p>\n</td></tr>"
        "<tr><td>bob</td><td>x1</td></tr></tbody></table>"
    )
    assert undo_html(stored.encode()).text == b"User | Password\nbob | x1"


def test_what_is_not_shown_is_given_beside_it() -> None:
    stored = (
        '<a href="https://x.com/?a=1&amp;t=secret">the docs</a> <a href="https://y.com/">https://y.com</a>'
        '<img alt="a diagram" src="https://z.com/p.png" style="width:100px;height:10px" id="x_123456">'
        "<!-- a comment -->"
    )
    links = undo_html(stored.encode()).links
    assert [(link.url, link.label) for link in links] == [
        (b"https://x.com/?a=1&t=secret", b"the docs"),
        (b"a diagram", b""),
        (b"https://z.com/p.png", b""),
        (b" a comment ", b""),
    ]
    span = links[0].origin.span_to_original(ByteSpan(16, len(links[0].url)))
    assert stored[span.start : span.end] == "=1&amp;t=secret"


def test_segments_of_a_field() -> None:
    route = (Step("field", "body.content"),)
    first, second = html_segments(b'see <a href="https://x.com/long">this</a>', route, "note")
    assert (first.text, first.route, first.context) == (b"see this", route, "note")
    assert (second.text, second.route, second.context) == (b"https://x.com/long", route, "this")


def test_spans_of_split_words_reach_over_their_tags() -> None:
    stored = "<p>é AK<b>IA</b>&nbsp;x</p>".encode()
    plain = undo_html(stored)
    assert plain.origin is not None
    at = plain.text.index(b"AKIA")
    span = plain.origin.span_to_original(ByteSpan(at, at + 4))
    assert stored[span.start : span.end] == b"AK<b>IA"


PIECES = st.sampled_from(
    (
        *(
            "<",
            ">",
            "&",
            ";",
            '"',
            "'",
            "</",
            "<p>",
            "</p>",
            "<b>",
            "</b>",
            "<br>",
            "<!--",
            "-->",
            "<td>",
            "<tr>",
            "\n",
        ),
        *(
            "&amp;",
            "&lt;",
            "&nbsp;",
            "&#65;",
            "&#x2b;",
            "&plus;",
            '<a href="https://x/?y&amp;z">',
            "</a>",
            "text ",
            "é",
        ),
        *("<at id='1'>", "\N{NO-BREAK SPACE}", '<span style="a">', "</span>", " ", "\\", "/"),
    )
)
TEXTS = st.lists(PIECES | st.text(max_size=4), max_size=14).map("".join)


@given(TEXTS)
def test_every_byte_has_an_origin(stored: str) -> None:
    field = stored.encode()
    plain = undo_html(field)
    for text, origin in [(plain.text, plain.origin), *((link.url, link.origin) for link in plain.links)]:
        if origin is None:
            assert text == field
            continue
        last = 0
        for i in range(len(text)):
            span = origin.span_to_original(ByteSpan(i, i + 1))
            assert last <= span.start < span.end <= len(field)
            assert len(span) > 1 or field[span.start] == text[i]
            last = span.start


WRITERS = {
    "plain": lambda text: json.dumps(text, ensure_ascii=False),
    "ascii": json.dumps,
    "slashes": lambda text: json.dumps(text).replace("/", "\\/"),
    "dotnet": lambda text: (
        json.dumps(text)
        .replace("<", "\\u003C")
        .replace(">", "\\u003E")
        .replace("&", "\\u0026")
        .replace('\\"', "\\u0022")
    ),
}
TAGS = st.sampled_from(
    (
        *("<p>", "</p>", "<b>", "</b>", "<br>", "</td><td>", "<tr><td>", "</p>\n<p>", "&nbsp;", "&#65;", "&#x2b;", " "),
        *('<span style="a:b">', "</span>", "<font color='red'>", "text", "k=v", "é", "&amp;", "<!-- c -->", "\n", ": "),
        *('<a href="https://x/?a&amp;b">', "</a>", "\N{NO-BREAK SPACE}", "&quot;", "&lt;"),
    )
)


def known(text: bytes) -> bytes:
    """Text with the references undone that the prefilter's expressions take for what they stand for."""
    for reference, plain in ((b"&quot;", b'"'), (b"&#39;", b"'"), (b"&lt;", b"<"), (b"&gt;", b">"), (b"&amp;", b"&")):
        text = text.replace(reference, plain)
    return text


@pytest.mark.parametrize("writer", WRITERS)
@given(st.lists(TAGS, max_size=14).map("".join))
def test_loosened_json_says_what_the_text_says(writer: str, stored: str) -> None:
    loose = loosen(WRITERS[writer](stored)[1:-1].encode())
    view = backslash(loose)
    text = undo_html(stored.encode()).text
    assert text in known(view[0] if view else loose)


def test_loosening_keeps_lines() -> None:
    lines = [b"<p>one</p>", b"", b'a <span title=\\"x>y\\">b</span>', b"&nbsp;"]
    assert loosen(b"\n".join(lines)).split(b"\n") == [b"\\none\\n", b"", b"a b", b" "]


@pytest.mark.parametrize(
    "hostile",
    [
        b"<",
        b"<a ",
        b'<a "',
        b"<a '\"",
        b"<!--",
        b"<!-- -",
        b"&#",
        b"&a",
        b"<p><",
        b"</",
        b'<a href="',
        b"<b>" * 2 + b"<",
    ],
)
def test_time_is_linear(hostile: bytes) -> None:
    begun = time.process_time()
    for undo in (undo_html, loosen):
        undo(hostile * 100_000)
    assert time.process_time() - begun < 3


def test_fields_without_markup_stay_as_they_are() -> None:
    assert undo_html(b"plain") == Plain(b"plain", None)
    assert re.fullmatch(rb"plain", undo_html(b"<b>plain</b>").text)
