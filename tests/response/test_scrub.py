"""Taking secrets out of what others wrote."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysentry.errors import AccessError, MissingExtraError
from keysentry.model.action import Receipt
from keysentry.model.sensitive import Sensitive
from keysentry.response.scrub import scrub, scrubbed, scrubbed_error
from tests.response.secrets_made import credential

NASTY = 'a "quoted" secret,\nwith two lines & a % sign, é'


@pytest.mark.parametrize(
    "form", [str, json.dumps, repr, quote, quote_plus, lambda one: base64.b64encode(one.encode()).decode()]
)
def test_a_secret_is_found_in_the_forms_that_machines_write(form: object) -> None:
    written = form(NASTY)  # type: ignore[operator]
    told = scrub(f"it said <{written}>, twice: {written}", [Sensitive(NASTY)])
    assert told.startswith("it said <")
    for piece in ("quoted", "two lines", "cXVvdGVk", written):
        assert piece not in told


_LETTERS = st.characters(min_codepoint=33, exclude_characters="0123456789<>", exclude_categories=("Cs",))
_AROUND = st.text(alphabet="0123456789 <>\n", max_size=60)


@given(st.text(alphabet=_LETTERS, min_size=4, max_size=40), _AROUND, _AROUND)
def test_whatever_the_secret_is_it_is_gone(secret: str, before: str, after: str) -> None:
    assert secret not in scrub(f"{before}{secret}{after}{secret}", [Sensitive(secret)], 10_000)


def test_a_text_is_one_short_line() -> None:
    assert scrub("a\n b\x00\x1b[31mc", []) == "a b [31mc"
    assert len(scrub("x" * 1000, [])) == 300
    assert scrub("x", [Sensitive("")]) == "x"


def test_a_line_of_a_key_is_found_as_well() -> None:
    block = "-----BEGIN X-----\n" + "Ab1" * 20 + "\n-----END X-----"
    assert "Ab1Ab1" not in scrub(f"cannot read {'Ab1' * 20}", [Sensitive(block)])


def test_receipts_and_errors_stay_what_they_are() -> None:
    known = credential("acme.key", NASTY, id="the-key-id-1234")
    made = scrubbed(Receipt(outcome="already", note=NASTY, evidence={NASTY: "the-key-id-1234"}, undo=b"x"), known)
    assert (made.outcome, made.undo) == ("already", b"x")
    assert "quoted" not in repr(made)
    assert "the-key-id-1234" not in repr(made)
    error = scrubbed_error(AccessError(f"no: {NASTY}", place=NASTY, advice=NASTY), known)
    assert type(error) is AccessError
    assert "quoted" not in f"{error}{error!r}{error.__dict__}"
    assert type(scrubbed_error(MissingExtraError("x", "y"), known)) is MissingExtraError
