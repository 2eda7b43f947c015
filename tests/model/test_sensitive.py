"""A secret never prints by accident, whatever is done with it; its fingerprint needs the key."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import pprint
import traceback

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysentry.model.finding import Finding, Lifetime, Reason, Severity
from keysentry.model.location import ByteSpan, Location
from keysentry.model.sensitive import Sensitive, fingerprint, mask

SECRET = "zq7" + "Xw9Kp2Lr5Tn8Vb3" * 2
HIDDEN = SECRET[6:-4]


def finding() -> Finding:
    return Finding(
        rule="acme.key", title="Acme key", provider="acme", location=Location(path="a.txt"), span=ByteSpan(0, 9),
        secret=Sensitive(SECRET), confidence=0.9, severity=Severity.HIGH, category="credential",
        lifetime=Lifetime.UNKNOWN, fingerprint="f", reasons=(Reason("rule", "it matches", 2.0),),
        companions=(("id", Sensitive(SECRET)),),
    )  # fmt: skip


def raised(value: object) -> str:
    try:
        raise ValueError(value)
    except ValueError:
        return traceback.format_exc()


PRINTINGS = {
    "str": str,
    "repr": repr,
    "format": lambda value: (
        f"{value} {value!s} {value!r} {value:>60} {value:.3}" if isinstance(value, Sensitive) else f"{value}"
    ),
    "percent": lambda value: "%s %r" % (value, value),  # noqa: UP031  that is what is tested
    "a list": lambda value: str([value, (value,), {value: value}]) if isinstance(value, Sensitive) else str([value]),
    "pprint": pprint.pformat,
    "an error": raised,
    "ascii": ascii,
    "JSON by msgspec": lambda value: msgspec.json.encode(value, enc_hook=str).decode(),
    "JSON of the library": lambda value: json.dumps({"s": value}, default=str),
    "msgpack": lambda value: repr(msgspec.msgpack.encode(value, enc_hook=str)),
    "builtins": lambda value: str(msgspec.to_builtins(value, enc_hook=str)),
    "pickle": lambda value: repr(pickle.dumps(value)),
    "pickle and back": lambda value: repr(pickle.loads(pickle.dumps(value))),
}


@pytest.mark.parametrize("name", PRINTINGS)
@pytest.mark.parametrize(
    "value", [Sensitive(SECRET), Sensitive(SECRET.encode()), finding()], ids=["str", "bytes", "finding"]
)
def test_it_never_prints(name, value):
    shown = PRINTINGS[name](value)
    assert HIDDEN not in shown
    assert SECRET[8:14] not in shown
    assert "…" in shown or "\\u2026" in shown or "\\xe2\\x80\\xa6" in shown


def test_json_without_a_hook_is_refused():
    with pytest.raises(TypeError):
        msgspec.json.encode(finding())
    with pytest.raises(TypeError):
        json.dumps(Sensitive(SECRET))


def test_logging(caplog):
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("x").warning("found %s and %r", Sensitive(SECRET), finding())
    assert HIDDEN not in caplog.text
    assert "…" in caplog.text


def test_a_pickle_of_it_is_the_mask():
    assert pickle.loads(pickle.dumps(Sensitive(SECRET))).reveal() == mask(SECRET)


def test_it_holds_nothing_that_can_be_looked_into():
    with pytest.raises(TypeError):
        vars(Sensitive(SECRET))
    with pytest.raises(TypeError):
        bytes(Sensitive(SECRET))
    assert HIDDEN not in repr(copy.deepcopy(Sensitive(SECRET)))


def test_reveal_is_the_way_in():
    assert Sensitive(SECRET).reveal() == SECRET
    assert Sensitive(SECRET).reveal_bytes() == SECRET.encode()
    assert Sensitive(b"\xff\xfeab").reveal_bytes() == b"\xff\xfeab"
    assert Sensitive(b"\xff").reveal() == "\ufffd"
    assert len(Sensitive("grün")) == 5


def test_equality_is_that_of_the_values():
    assert Sensitive(SECRET) == Sensitive(SECRET.encode())
    assert Sensitive(SECRET) != Sensitive(SECRET + "x")
    assert Sensitive(SECRET) != SECRET
    assert len({Sensitive(SECRET), Sensitive(SECRET), Sensitive("other")}) == 2


@given(st.text(max_size=80))
def test_a_mask_shows_little(value):
    shown = mask(value).replace("…", "", 1) if "…" not in value else ""
    assert len(shown) <= 6
    assert len(shown) <= max(1, len(value) // 4)


@pytest.mark.parametrize(("size", "shown"), [(0, 0), (1, 1), (15, 1), (16, 4), (23, 4), (24, 6), (200, 6)])
def test_how_much_a_mask_shows(size, shown):
    assert len(mask("k" * size)) == shown + 1


def test_a_fingerprint_needs_the_key_and_tells_kinds_apart():
    secret = Sensitive(SECRET)
    here = fingerprint(b"one key", "acme", secret)
    assert here == fingerprint(b"one key", "acme", Sensitive(f" {SECRET}\n"))
    assert here != fingerprint(b"another key", "acme", secret)
    assert here != fingerprint(b"one key", "bolt", secret)
    assert here != fingerprint(b"one key", "acme", Sensitive(SECRET + "x"))
    assert SECRET not in here
    assert len(here) == 64


def test_kind_and_value_cannot_be_shifted():
    assert fingerprint(b"k", "ab", Sensitive("c")) != fingerprint(b"k", "a", Sensitive("bc"))
