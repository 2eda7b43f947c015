"""HTML undone: what a person reads in a message of Teams, Skype or Outlook, from what is stored.

    undo_html(b"<p>pass<b>word</b>:&nbsp;x</p>").text == b"password: x"

Algorithm. One expression finds runs of tags (with the space between them), character references and no-break spaces;
what lies between is copied. A run that holds a cell's tag becomes ` | `, one that holds the tag of a block a line end;
any other leaves no trace but the space inside it, so that a word that was set half in bold is one word again. At the
beginning and the end of the field no line is ended.

Invariants. Every byte of the text maps back to the bytes of the field that it was made from. What the text does not
show (the address behind a link, a picture's description, a comment) is given beside it. `loosen` does to HTML inside of
JSON what `undo_html` does to the decoded field, without a map: what a pattern matches in the text of the latter, it
matches in the former, as it stands or in the escaped forms that the prefilter knows. Both are linear in the size.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from keysentry.extraction.formats.slackmarkup import Link, Plain, RunWriter, says_the_same
from keysentry.model.location import Route
from keysentry.model.record import Segment

__all__ = ["Plain", "html_segments", "loosen", "undo_html"]

_CELLS = frozenset((b"td", b"th"))
_BLOCKS = frozenset(
    (
        *(b"p", b"div", b"br", b"hr", b"li", b"ul", b"ol", b"dl", b"dt", b"dd", b"pre", b"blockquote", b"codeblock"),
        *(b"h1", b"h2", b"h3", b"h4", b"h5", b"h6", b"table", b"thead", b"tbody", b"tfoot", b"tr", b"caption"),
        *(b"section", b"article", b"header", b"footer", b"nav", b"aside", b"main", b"figure", b"figcaption"),
        *(b"body", b"html", b"head", b"title", b"meta", b"link", b"style", b"script", b"form", b"fieldset", b"legend"),
        *(b"address", b"center", b"details", b"summary", b"option", b"select", b"textarea", b"template", b"iframe"),
        # of Teams: https://learn.microsoft.com/en-us/graph/teams-messaging-overview
        *(b"attachment", b"img", b"video", b"audio", b"object", b"systemeventmessage"),
        # of Skype
        *(b"quote", b"legacyquote", b"uriobject", b"partlist", b"part", b"addmember", b"deletemember", b"topicupdate"),
    )
)
"""Elements that stand on lines of their own. All others, also those that nobody knows, are parts of the line."""

_REFERENCE = rb"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});"
_HIDDEN = rb"<!--(?:[^-<]++|-(?!->)|<(?!!--))*+-->|<[!?][^<>]*+>"
_TAG = rb"</?[A-Za-z](?:[^<>\"']++|\"[^\"]*+\"|'[^']*+')*+>|</?[A-Za-z][^<>]*+>"
"""A tag; one whose quotes do not pair up ends with the next `>`."""
_MARK = rb"(?:" + _HIDDEN + rb"|" + _TAG + rb")"
_SPACE = rb"(?:[ \t\r\n]|&nbsp;|\xc2\xa0)*+"
_TOKEN = re.compile(_MARK + rb"(?:" + _SPACE + _MARK + rb")*+|" + _REFERENCE + rb"|\xc2\xa0")
_ONE_MARK = re.compile(_MARK)

# The same inside a string of JSON, where quotes, slashes and line ends are escaped.
_RAW_SPACE = rb"(?:[ ]|\\[nrt]|&nbsp;|\xc2\xa0)*+"
_RAW_HIDDEN = rb"<!--(?:[^-<\"\\]++|\\.|-(?!->)|<(?!!--))*+-->|<[!?](?:[^<>\"\\]++|\\.)*+>"
_RAW_QUOTED = rb"\\\"(?:[^\"\\]++|\\[^\"])*+\\\"|'(?:[^'\"\\]++|\\.)*+'"
_RAW_TAG = (
    rb"<(?:\\*+/)?[A-Za-z](?:[^<>\"'\\]++|" + _RAW_QUOTED + rb"|\\[^\"])*+>"
    rb"|<(?:\\*+/)?[A-Za-z](?:[^<>\"\\]++|\\.)*+>"
)
_RAW_MARK = rb"(?:" + _RAW_HIDDEN + rb"|" + _RAW_TAG + rb")"
_RAW_RUN = re.compile(_RAW_MARK + rb"(?:" + _RAW_SPACE + _RAW_MARK + rb")*+", re.DOTALL)
_ONE_RAW_MARK = re.compile(_RAW_MARK, re.DOTALL)
_RAW_REFERENCE = re.compile(_REFERENCE)
_RAW_ESCAPES: tuple[tuple[tuple[bytes, ...], re.Pattern[bytes], bytes], ...] = (
    ((b"u003c", b"u003C"), re.compile(rb"\\+u003[cC]"), b"<"),
    ((b"u003e", b"u003E"), re.compile(rb"\\+u003[eE]"), b">"),
    ((b"u0026",), re.compile(rb"\\+u0026"), b"&"),
    ((b"u0022",), re.compile(rb"\\+u0022"), b'\\\\"'),
    ((b"u002f", b"u002F"), re.compile(rb"\\+u002[fF]"), b"/"),
    ((b"u00a0", b"u00A0"), re.compile(rb"\\+u00[aA]0"), b" "),
)
"""What JSON may write as an escape, and what tags and references are made of."""
_KNOWN_ESCAPED = frozenset((b"&amp;", b"&lt;", b"&gt;", b"&quot;", b"&#39;", b"&#x27;"))
"""References that the expressions of the prefilter take for what they stand for."""

_NAME = re.compile(rb"<(?:\\*/)?([A-Za-z][A-Za-z0-9]*)")
_ATTRIBUTE = re.compile(rb"([A-Za-z_:@][\w:.@-]*+)\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s\"'<>]++))")
_NO_WORDS = frozenset(
    (
        *(b"style", b"class", b"id", b"itemtype", b"itemscope", b"itemprop", b"itemid", b"target", b"rel", b"dir"),
        *(
            b"lang",
            b"width",
            b"height",
            b"border",
            b"align",
            b"valign",
            b"color",
            b"bgcolor",
            b"face",
            b"size",
            b"role",
        ),
        *(b"type", b"colspan", b"rowspan", b"scope", b"cellspacing", b"cellpadding", b"tabindex", b"timestamp"),
        *(b"conversation", b"messageid", b"cuid", b"guid", b"ts", b"ts_ms", b"a", b"t", b"utf8"),
    )
)
"""Attributes that say how something looks or what it belongs to."""
_LEAST = 6
"""How long the value of an attribute must be to say something."""
_END_OF_LINK = re.compile(rb"(?i)</a\s*+>")
_ENTITIES = {b"&amp;": b"&", b"&lt;": b"<", b"&gt;": b">", b"&quot;": b'"', b"&apos;": b"'", b"&nbsp;": b" "}
_UNKNOWN = "\N{REPLACEMENT CHARACTER}".encode()


def undo_html(field: bytes) -> Plain:
    """The text of HTML (in UTF-8, JSON already decoded), its map back, and the addresses and words that it hides."""
    if b"<" not in field and b"&" not in field and b"\xc2\xa0" not in field:
        return Plain(field, None)
    writer = RunWriter()
    links: list[Link] = []
    done = 0
    for match in _TOKEN.finditer(field):
        start, end = match.span()
        writer.copy(field[done:start], done)
        done = end
        token = match[0]
        if token.startswith(b"<"):
            joint = _joint(token)
            if joint != b"\n" or 0 < start < end < len(field):
                writer.replace(joint, start, end - start)
            links += _hidden(field, start, end)
        else:
            writer.replace(_character(token), start, end - start)
    if not done:
        return Plain(field, None)
    writer.copy(field[done:], done)
    return Plain(writer.text, writer.map, tuple(links))


def html_segments(field: bytes, route: Route = (), context: str = "") -> list[Segment]:
    """The segments of a field of HTML: its text, and then each address or description that the text does not show."""
    plain = undo_html(field)
    found = [Segment(plain.text, route, context, plain.origin)]
    found += (
        Segment(link.url, route, link.label.decode("utf-8", "replace"), link.origin) for link in plain.links if link.url
    )
    return found


@lru_cache(1024)
def _joint(run: bytes) -> bytes:
    """What a run of tags reads like."""
    names = {name.lower() for name in _NAME.findall(run)}
    if names & _CELLS and b"tr" not in names:
        return b" | "
    if names & _BLOCKS:
        return b"\n"
    return _plain_space(_ONE_MARK.sub(b"", run)) if b">" in run[:-1] else b""


@lru_cache(1024)
def _character(reference: bytes) -> bytes:
    """The character that a reference stands for, in UTF-8; the reference itself if there is none with its name.

    A no-break space becomes a plain one, so that what separates words for a reader does so for a pattern.
    """
    known = _ENTITIES.get(reference)
    if known is not None:
        return known
    if reference == b"\xc2\xa0":
        return b" "
    if reference[1:2] == b"#":
        digits = reference[2:-1]
        code = int(digits[1:], 16) if digits[:1] in b"xX" else int(digits)
        if code == 0xA0:
            return b" "
        return _UNKNOWN if not 0 < code <= 0x10FFFF or 0xD800 <= code <= 0xDFFF else chr(code).encode()
    from html.entities import html5  # here: two thousand names that few texts need

    return html5.get(reference[1:].decode("ascii"), reference.decode("ascii")).encode()


def _hidden(field: bytes, start: int, end: int) -> Iterator[Link]:
    """What the tags of a run say without showing it: addresses, descriptions, comments."""
    for mark in _ONE_MARK.finditer(field, start, end):
        if field.startswith(b"<!--", mark.start()):
            words = field[mark.start() + 4 : mark.end() - 3]
            if len(words.strip()) >= _LEAST:
                yield _link(words, mark.start() + 4, b"")
            continue
        if b"=" not in mark[0]:
            continue
        for found in _ATTRIBUTE.finditer(field, mark.start(), mark.end()):
            group = found.lastindex or 2
            name, value = found[1].lower(), found[group]
            if len(value) < _LEAST or value.startswith(b"data:image/") or (name in _NO_WORDS and b"<" not in value):
                continue
            link = _link(value, found.start(group), b"")
            if name == b"href":
                label = _label(field, mark.end())
                if says_the_same(link.url, label):
                    continue
                link = Link(link.url, link.origin, label)
            yield link


def _link(value: bytes, at: int, label: bytes) -> Link:
    """A value of the field that begins at `at`, its usual references undone (others the prefilter would not see)."""
    writer = RunWriter()
    done = 0
    for reference in _RAW_REFERENCE.finditer(value):
        if reference[0] not in _KNOWN_ESCAPED:
            continue
        writer.copy(value[done : reference.start()], at + done)
        writer.replace(_character(reference[0]), at + reference.start(), len(reference[0]))
        done = reference.end()
    writer.copy(value[done:], at + done)
    return Link(writer.text, writer.map, label)


def _label(field: bytes, start: int) -> bytes:
    """The words of a link whose opening tag ends at `start`."""
    end = _END_OF_LINK.search(field, start, start + 4096)
    words = field[start : end.start()] if end else b""
    return _TOKEN.sub(lambda token: b"" if token[0][:1] == b"<" else _character(token[0]), words).strip()


# -- inside JSON ------------------------------------------------------------------------------------------------------


def loosen(raw: bytes) -> bytes:
    """HTML as it lies in strings of JSON, undone as far as a prefilter needs it (see the module). Keeps line ends."""
    if b"u00" in raw:
        for written, pattern, plain in _RAW_ESCAPES:
            if any(escape in raw for escape in written):
                raw = pattern.sub(plain, raw)
    if b"<" in raw:
        raw = _RAW_RUN.sub(_raw_joint, raw)
    if b"&" in raw:
        raw = _RAW_REFERENCE.sub(_raw_character, raw)
    return raw.replace(b"\xc2\xa0", b" ") if b"\xc2\xa0" in raw else raw


def _raw_joint(run: re.Match[bytes]) -> bytes:
    return _raw_joint_of(run[0])


@lru_cache(1024)
def _raw_joint_of(run: bytes) -> bytes:
    joint = _joint(run)
    if joint == b"\n":
        return rb"\n"
    return joint if b"|" in joint or b">" not in run[:-1] else _plain_space(_ONE_RAW_MARK.sub(b"", run))


def _plain_space(space: bytes) -> bytes:
    return space.replace(b"&nbsp;", b" ").replace(b"\xc2\xa0", b" ")


def _raw_character(reference: re.Match[bytes]) -> bytes:
    token = reference[0]
    if token in _KNOWN_ESCAPED:
        return token
    plain = _character(token)
    return b"\\" + plain if plain in (b'"', b"\\") else rb"\n" if plain == b"\n" else plain
