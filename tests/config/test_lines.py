"""Every key of a document is found on its line, whatever stands around it."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysentry.config.lines import key_lines
from keysentry.config.template import toml

DOCUMENT = '''\
# a comment with [brackets] and key = value
title = "first" # trailing
"quoted key" = 'literal # no comment'
dotted.name . inner = 1

[store]   # the store
url = "a]b[c=d"
many = [
  "x", # [ in a comment
  "y]",
]
after = 1

[[source]]
name = "a"
text = """
[not.a.table]
name = "no"
"" \\""" still inside
"""
inline = { name = "b", list = [1,
  2] }
next = \'\'\'
[[source]]
it\'s\'\'\'\'

[source.window]
start = 1
[[source]]
name = "c"
[source.window]
start = 2
[[source.part]]
x = 1
[[source.part]]
x = 2
[a.b."c.d"]
last = 2026-05-01T10:00:00Z'''


def test_every_key_of_a_hard_document_has_its_line() -> None:
    tomllib.loads(DOCUMENT)
    lines = key_lines(DOCUMENT)
    assert lines == {
        ("title",): 2,
        ("quoted key",): 3,
        ("dotted", "name", "inner"): 4,
        ("store",): 6,
        ("store", "url"): 7,
        ("store", "many"): 8,
        ("store", "after"): 12,
        ("source", 0): 14,
        ("source", 0, "name"): 15,
        ("source", 0, "text"): 16,
        ("source", 0, "inline"): 21,
        ("source", 0, "next"): 23,
        ("source", 0, "window"): 27,
        ("source", 0, "window", "start"): 28,
        ("source", 1): 29,
        ("source", 1, "name"): 30,
        ("source", 1, "window"): 31,
        ("source", 1, "window", "start"): 32,
        ("source", 1, "part", 0): 33,
        ("source", 1, "part", 0, "x"): 34,
        ("source", 1, "part", 1): 35,
        ("source", 1, "part", 1, "x"): 36,
        ("a", "b", "c.d"): 37,
        ("a", "b", "c.d", "last"): 38,
    }


KEYS = st.text("abz_-9", min_size=1, max_size=4)
VALUES = st.recursive(
    st.text(max_size=12) | st.integers(-9, 9) | st.booleans(), lambda inner: st.lists(inner, max_size=3), max_leaves=4
)


@given(st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=4), max_size=4))
def test_whatever_is_written_is_found_where_it_stands(tables: dict[str, dict[str, object]]) -> None:
    text = "".join(
        f"[{name}]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in table.items())
        for name, table in tables.items()
    )
    assert tomllib.loads(text) == tables
    written = text.split("\n")
    lines = key_lines(text)
    assert set(lines) == {(name,) for name in tables} | {(name, key) for name in tables for key in tables[name]}
    for path, line in lines.items():
        assert written[line - 1].startswith(f"[{path[0]}]" if len(path) == 1 else f"{path[1]} = ")


@pytest.mark.parametrize("text", ["", "\n\n", "# only words", "[", "a", "= = =", '"', "[[[", "a = [[["])
def test_no_text_makes_it_run_on(text: str) -> None:
    assert isinstance(key_lines(text), dict)
