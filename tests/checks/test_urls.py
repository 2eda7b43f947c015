"""Passwords in URLs and headers: placeholders are killed, everything else is left to the score."""

from __future__ import annotations

import base64
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysentry.checks.urls import basic_auth, url_password
from keysentry.rules.forge import forge

PLACEHOLDERS = """
password PASSWORD pass pwd secret changeme postgres root guest user test token foobar xxx **** ***** ........
xxxxxxxx <password> <your-password> [password] {password} {{password}} {{.Values.password}} ${PASSWORD}
${DB_PASSWORD:-x} $PASSWORD $password $(cat) %s %(password)s %PASSWORD% #{password} :password DB_PASSWORD
MY_SECRET_TOKEN your_password yourpassword your-password-here my_password mysecretpassword my-secret-password
db_pass dbpassword examplepassword some_secret_key process.env.PASSWORD os.environ[x] env.PASSWORD
__PASSWORD__ %3Cpassword%3E &lt;password&gt; aaaa secret*** abc... redacted ENTER_PASSWORD_HERE myPassword
the_password abc${X}def -redacted- invalid-password InvalidAuthToken APITOKEN $Passwd 密码 6a2** wrong_password %%PWD%%
"""


@pytest.mark.parametrize(
    "value",
    PLACEHOLDERS.split(),
)
def test_what_stands_for_a_password_is_killed(value: str) -> None:
    assert url_password(value.encode()).valid is False


@pytest.mark.parametrize(
    "value",
    ["correcthorse", "Tr0ub4dor&3", "$ecret99!", "*Star1ng#", "p4ssw0rd-2019", "mypassword123", "100%sure", "a_b_C_9"],
)
def test_anything_else_is_left_to_the_score(value: str) -> None:
    assert url_password(value.encode()).valid is None


def test_random_passwords_are_left_to_the_score() -> None:
    for seed in range(300):
        assert url_password(forge("{password:12-20}", random.Random(seed)).encode()).valid is None


def encoded(pair: str) -> bytes:
    return base64.b64encode(pair.encode())


def test_basic_credentials_are_proved() -> None:
    value = encoded(forge("{alnum:8}:{password:14}", random.Random(1)))
    assert basic_auth(value).valid is True
    assert basic_auth(value.rstrip(b"=")).valid is True


@pytest.mark.parametrize(
    "pair",
    [
        "no colon here",
        "user:password",
        "admin:admin",
        "jo:jo",
        "user:${PASSWORD}",
        ":",
        "Aladdin:open sesame",
        "a\x00b:c12345",
    ],
)
def test_basic_pairs_that_hold_nothing_are_killed(pair: str) -> None:
    assert basic_auth(encoded(pair)).valid is False


def test_basic_without_a_password_is_undecided() -> None:
    assert basic_auth(encoded("k3yInThePlaceOfTheUser:")).valid is None


@pytest.mark.parametrize(
    "value", [b"Authentication", b"====", b"\xff\xfe", b"", base64.b64encode(bytes(range(128, 160)))]
)
def test_basic_that_is_no_base64_of_text_is_killed(value: bytes) -> None:
    assert basic_auth(value).valid is False


@given(st.binary(max_size=200))
def test_they_never_raise(value: bytes) -> None:
    url_password(value)
    basic_auth(value)
    basic_auth(base64.b64encode(value))
