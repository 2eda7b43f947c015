"""A rule's request with a credential in it: every place encodes what stands in it, or refuses."""

from __future__ import annotations

import base64
import random
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysentry.errors import InputError, KeysentryError
from keysentry.response.request import host_of, prepare
from keysentry.rules.schema import Request
from tests.response.secrets_made import credential, told_everywhere

NASTY = 'a"b\\c%d&e=f g/h?i#j{k}\n<l>é'
VISIBLE = "x\"y\\z%1&2=3/4?5#6{7}'8"


def made(request: Request, secret: str | bytes = VISIBLE, **companions: str) -> Any:
    return prepare(request, credential("acme.key", secret, **companions))


@given(st.text(min_size=1, max_size=40))
def test_in_an_address_a_secret_stays_one_value(secret: str) -> None:
    request = Request(url="https://api.acme.example/a/{secret}/b?t={secret}&more=1#{secret}")
    parts = urlsplit(made(request, secret).url)
    assert parts.netloc == "api.acme.example"
    assert parts.path.count("/") == 3
    assert parse_qs(parts.query, keep_blank_values=True, strict_parsing=True) == {"t": [secret], "more": ["1"]}


@given(st.text(min_size=1, max_size=40))
def test_in_json_and_forms_a_secret_stays_one_value(secret: str) -> None:
    tree = made(Request(url="https://a.acme.example/", json={"a": ["{secret}", 1, {"b": "x {secret}"}]}), secret)
    assert msgspec.json.decode(tree.body) == {"a": [secret, 1, {"b": f"x {secret}"}]}
    text = Request(
        url="https://a.acme.example/", headers={"Content-Type": "application/json"}, body='{"q": "{secret}"}'
    )
    assert msgspec.json.decode(made(text, secret).body) == {"q": secret}
    form = made(Request(url="https://a.acme.example/", form={"token": "{secret}", "x": "1"}), secret)
    assert parse_qs(form.body.decode(), keep_blank_values=True) == {"token": [secret], "x": ["1"]}
    assert form.headers["Content-Type"] == "application/x-www-form-urlencoded"


def test_in_other_bodies_a_secret_is_written_as_their_type_wants() -> None:
    form = Request(
        url="https://a.acme.example/",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        body="t={secret}&u=1",
    )
    assert parse_qs(made(form, NASTY).body.decode()) == {"t": [NASTY], "u": ["1"]}
    xml = Request(url="https://a.acme.example/", headers={"content-type": "text/xml"}, body="<t>{secret}</t>")
    assert made(xml, "<&>").body == b"<t>&lt;&amp;&gt;</t>"
    plain = Request(url="https://a.acme.example/", body="token {secret}")
    assert made(plain, "abc").body == b"token abc"
    with pytest.raises(InputError):
        made(plain, "a\nb")


@pytest.mark.parametrize("secret", ["a\r\nX-More: 1", "a\nb", "a\x00b", "é", "", " a", "a ", "\x7f"])
def test_a_header_takes_only_what_it_can_hold(secret: str) -> None:
    request = Request(url="https://a.acme.example/", headers={"Authorization": "Bearer {secret}"})
    with pytest.raises(InputError):
        prepare(request, credential("acme.key", secret or b"\n"))
    assert made(request, "a b").headers["Authorization"] == "Bearer a b"


def test_basic_authentication_takes_any_password_and_no_colon_in_the_user() -> None:
    request = Request(url="https://a.acme.example/", basic=("{id}", "{secret}"))
    value = made(request, NASTY, id="ann").headers["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(value).decode() == f"ann:{NASTY}"
    with pytest.raises(InputError):
        made(request, "x", id="a:b")


def test_a_host_is_named_by_the_rule_or_by_nobody() -> None:
    assert host_of(Request(url="https://api.acme.example/{secret}")) == "api.acme.example"
    assert host_of(Request(url="https://{tenant}.acme.example:8443/x")) == "*.acme.example"
    assert host_of(Request(url="https://{tenant}.example/x")) == ""
    assert host_of(Request(url="https://{host}/x")) == ""
    tenant = Request(url="https://{tenant}.acme.example/x")
    assert made(tenant, "x", tenant="ann").url == "https://ann.acme.example/x"
    for bad in ("evil.example/", "a.b", "a@b", "a:1", "a#", "a?", "", "-a", "a" * 64):
        with pytest.raises(InputError):
            made(tenant, "x", tenant=bad)
    host = Request(url="https://{host}/x")
    outgoing = made(host, "x", host="login.acme.example")
    assert (outgoing.url, outgoing.hosts) == ("https://login.acme.example/x", ())
    for bad in ("acme", "a.b/c", "a.b:1", "u@a.b", "a..b"):
        with pytest.raises(InputError):
            made(host, "x", host=bad)


def test_what_is_not_known_ends_the_request_and_other_braces_stay() -> None:
    with pytest.raises(InputError, match="client-id"):
        made(Request(url="https://a.acme.example/?c={client-id}"))
    graph = Request(url="https://a.acme.example/", json={"query": "{ me { id } }", "t": "{secret}"})
    assert msgspec.json.decode(made(graph, "x").body)["query"] == "{ me { id } }"


def test_a_value_is_not_filled_in_again() -> None:
    request = Request(url="https://a.acme.example/", json={"a": "{secret}{id}"})
    assert msgspec.json.decode(made(request, "{id}", id="{secret}").body) == {"a": "{id}{secret}"}


def test_a_secret_that_is_no_text_is_refused_and_no_error_tells_one() -> None:
    request = Request(url="https://a.acme.example/", headers={"X": "{secret}"})
    with pytest.raises(InputError):
        made(request, b"\xff\xfe")
    word = "".join(random.Random(3).choices("abcdefgh", k=24))
    with pytest.raises(KeysentryError) as caught:
        made(request, word + "\n" + word)
    assert word not in told_everywhere(caught.value)


def test_methods_tell_what_may_be_sent_twice() -> None:
    def of(method: Any, **more: Any) -> bool:
        request = Request(method=method, url="https://a.acme.example/")
        return prepare(request, credential("acme.key", "x"), **more).repeatable

    assert [of("GET"), of("DELETE"), of("PUT"), of("POST"), of("PATCH")] == [True, True, True, False, False]
    assert of("POST", repeatable=True) is True
    assert of("DELETE", repeatable=False) is False
