"""Tables as text: rows, fields and their places, whatever the delimiter and wherever the text is cut."""

from __future__ import annotations

import csv
import io
import random

import pytest

from keysentry.extraction.formats.delimited import Dialect, dialect, original, place, rows, value, windows


def written(rng: random.Random, delimiter: str) -> tuple[list[list[str]], bytes]:
    """A table, and what the standard library writes of it."""
    letters = f'ab é"\n{delimiter}'
    table = [
        ["".join(rng.choice(letters) for _ in range(rng.randint(0, 6))) for _ in range(rng.randint(1, 4))]
        for _ in range(rng.randint(1, 6))
    ]
    out = io.StringIO(newline="")
    quoting = rng.choice((csv.QUOTE_ALL, csv.QUOTE_MINIMAL))
    csv.writer(out, delimiter=delimiter, lineterminator=rng.choice(("\n", "\r\n")), quoting=quoting).writerows(table)
    return table, out.getvalue().encode()


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_fields_are_those_that_were_written(delimiter: str) -> None:
    rng = random.Random(delimiter)
    for _ in range(1500):
        table, text = written(rng, delimiter)
        found = list(rows(text, Dialect(delimiter.encode(), 0)))
        assert [[value(field).decode() for field in row] for row in found] == table
        for row in found:
            for field in row:
                start, end = place(field)
                content = value(field)
                assert text[start:end].replace(b'""', b'"') == content or b'""' not in text
                for at in range(len(content)):
                    assert text[original(field, at) : original(field, at) + 1] == content[at : at + 1]


def test_where_a_table_is_cut_changes_nothing() -> None:
    rng = random.Random(2)
    for _ in range(1500):
        _table, text = written(rng, ",")
        how = Dialect(b",", 0)
        size = rng.randint(1, 9)
        joined, found = b"", []
        for window, part in windows((text[at : at + size] for at in range(0, len(text), size)), how):
            assert (window.offset, window.row, window.lines) == (len(joined), len(found), joined.count(b"\n"))
            joined += window.text
            found += [[value(field) for field in row] for row in part]
        assert joined == text
        assert found == [[value(field) for field in row] for row in rows(text, how)]


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        (b"a,b\n1,2\n", "x.csv", Dialect(b",", 0)),
        (b"a;b\n1,5;2,5\n", "x.csv", Dialect(b";", 0)),
        (b"a|b|c\n1|2|3\n", "x.csv", Dialect(b"|", 0)),
        (b"a\tb\n1\t2\n", "x.csv", Dialect(b"\t", 0)),
        (b"a,b\tc\n", "x.tsv", Dialect(b"\t", 0)),
        (b"\xef\xbb\xbfa;b\n1;2\n", "x.csv", Dialect(b";", 3)),
        (b"sep=|\r\na;b|c\r\n", "x.csv", Dialect(b"|", 7)),
        (b'"a;b;c",d\n"x;y",z\n', "x.csv", Dialect(b",", 0)),
        (b"one\ntwo\n", "x.csv", Dialect(b",", 0)),
        (b"", "x.csv", Dialect(b",", 0)),
    ],
)
def test_the_delimiter_is_told_from_the_first_rows(text: bytes, name: str, expected: Dialect) -> None:
    assert dialect(text, name) == expected


def test_a_quote_that_nothing_closes_is_a_plain_character() -> None:
    text = b'size,note\n5" pipe,"bent\n6,straight\n'
    assert [[value(field) for field in row] for row in rows(text, Dialect(b",", 0))] == [
        [b"size", b"note"],
        [b'5" pipe', b'"bent'],
        [b"6", b"straight"],
    ]
