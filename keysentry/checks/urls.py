"""Passwords in URLs, connection strings and HTTP headers: which of them nobody ever meant as one."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from urllib.parse import unquote_to_bytes

from keysentry.checks.base import Verdict

_WORDS = frozenset(
    b"""
    password passwd passw0rd passphrase pass pwd psw pw p secret token key apikey value string
    user username userid login name me you someone foo bar baz foobar qux
    admin root guest test tests testing example examples sample demo dummy fake default changeme changeit
    postgres postgresql mysql mariadb mongo mongodb redis rabbitmq rabbit amqp oracle mssql sa
    none null nil undefined empty redacted hidden masked removed censored sanitized snip todo tbd fixme
    apitoken accesstoken authtoken usertoken passwort kennwort senha contrasena motdepasse wachtwoord
    secretpassword supersecret mysecret x-access-token oauth2 x-oauth-basic git
    """.split()
) | {"密码".encode(), "口令".encode(), "пароль".encode(), "contraseña".encode(), "パスワード".encode()}
"""What documentation writes in the place of a password, and the defaults of images that are public."""

_VARIABLE = re.compile(
    rb"""
      \$[A-Z_][A-Z0-9_]* | \$[A-Za-z_]+ | \$[({\[] .* | %\(\w+\)[sd] | %{1,2}\w+%{1,2} | %[sdvr] | %\d\$s
    | \#\{ .* | @\{ .* | \{ .* \} | \{\{ .*
    | <.* | \[ .* \] | \( .* \) | __\w+__ | :\w+ | &\w+;.* | \\\( .* | .* (?: \$\{ | \{\{ | \}\} | <% | \$\( ) .*
    | (?i: process\.env | os\.environ | os\.getenv | getenv | env[.\[(]
        | secrets?[.\[(] | var[.\[(] | config[.\[(] | vault: ) .*
    """,
    re.VERBOSE | re.DOTALL,
)
"""A value that something else is put in for before it is used."""

_MASKED = re.compile(
    rb"[*.x\-_#?~\xe2\x80\xa2\xa6]{2,}|(?:\*{3}|\.{3}|\xe2\x80[\xa2\xa6]).*|.*(?:\*{3}|\.{3}|\xe2\x80\xa6|xxxx+)|.{1,8}\*{2,}",
    re.I | re.DOTALL,
)
_CONSTANT = re.compile(rb"[A-Z]{2,20}(?:_[A-Z0-9]{1,20}){1,6}")
"""The name of a variable or of a constant."""
_DESCRIBED = re.compile(
    rb"""(?i)
    (?: (?: your | my | the | some | a | an | this | new | old | user | db | database | redis | mongo | postgres | mysql
        | app | api | access | auth | bearer | bot | test | encoded | example | sample | dummy | fake | invalid | wrong
        | bad | correct | valid | insert | enter | add | put | replace | super ) [-_. ]? ){1,4}
    (?: secret | secure | strong | long | complex | actual | real )? [-_. ]? (?: user | db )? [-_. ]?
    (?: password | passwd | passw0rd | pass | pwd | secret | token | key | here )
    (?: [-_. ]? (?: here | goes | value ) )?
    """,
    re.VERBOSE,
)
"""What a password is called, in the place of one."""

_PUBLIC_PAIRS = frozenset({"e30592c37ff33ddb"})
"""SHA-256 (16 hex digits) of the user and password of RFC 7617's example."""


def url_password(password: bytes) -> Verdict:
    """Kill a password in a URL (RFC 3986, section 3.2.1) or a connection string that stands for another one.

    Placeholders, variables of templates and shells, masks, and the defaults that public images come with; says nothing
    about anything else: a password has no form that could be proved.
    """
    value = unquote_to_bytes(password).strip()
    word = value.lower().strip(b"\"'-_*~")
    if word in _WORDS:
        return Verdict(False, "a placeholder or a public default")
    if _VARIABLE.fullmatch(value):
        return Verdict(False, "a variable, not a value")
    if _MASKED.fullmatch(value) or len(set(value)) < 2:
        return Verdict(False, "masked")
    if _CONSTANT.fullmatch(value):
        return Verdict(False, "the name of a variable")
    if _DESCRIBED.fullmatch(value):
        return Verdict(False, "a description of a password")
    return Verdict(None, "could be a password")


def basic_auth(value: bytes) -> Verdict:
    """Read the credentials of HTTP Basic authentication (RFC 7617): base64 of `user:password`.

    Proves nothing more than that it is such a pair; kills what does not decode to printable text with a colon, a pair
    whose password is a placeholder, and the RFC's own example.
    """
    try:
        pair = base64.b64decode(value + b"=" * (-len(value) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return Verdict(False, "not base64 of text")
    user, colon, password = pair.partition(":")
    if not colon or not pair.isprintable():
        return Verdict(False, "not a user and a password")
    if hashlib.sha256(pair.encode()).hexdigest()[:16] in _PUBLIC_PAIRS:
        return Verdict(False, "a published example")
    if not user and not password:
        return Verdict(False, "an empty pair")
    if password:
        inner = url_password(password.encode())
        if inner.valid is False or password == user:
            return Verdict(False, inner.text if inner.valid is False else "the user's name is the password")
        return Verdict(True, "a user and a password in base64")
    return Verdict(None, "a user without a password: an API key in the place of the user, or nothing")
