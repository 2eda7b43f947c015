"""The shape of a rule pack: one TOML file a provider, decoded straight into frozen types.

Unknown fields are errors, so a misspelt setting can never be silently without effect. What the fields mean is told in
docs/rules.md; what a good rule looks like is checked by `keysentry.rules.lint`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from keysentry.model.finding import Lifetime, Severity

Category = Literal["credential", "pii"]


class Requirement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The other half of a composite credential, looked for around the first.

    `pattern` has a group named `secret`; `within` is how many lines before or after it may stand (in chat and sheets:
    the same message, row or object). With `role = "secret"` the companion is what is reported (the key id leads to the
    key); with `role = "id"` it only comes along.
    """

    name: str
    pattern: str
    within: int = 5
    role: Literal["secret", "id"] = "id"
    forge: str = ""


Function = Literal["", "aws-caller-identity"]
"""Requests that no template can write, by the name of what does (`keysentry/response/signed.py`)."""


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An HTTPS request with `{secret}` and the names of companions as placeholders.

    `json`, `form` and `body` are bodies, of which there is one at most; `basic` is a user and a password for basic
    authentication. With `function`, that function makes the request from `url`.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"] = "GET"
    url: str
    headers: dict[str, str] = {}
    json: dict[str, object] | list[object] | None = None
    form: dict[str, str] = {}
    body: str = ""
    basic: tuple[str, str] | None = None
    function: Function = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an answer must look like to mean something: one of these statuses and, where given, this text in the
    body.
    """

    status: list[int]
    body: str = ""


class Verify(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to ask the provider whether a credential lives. Sent only on explicit opt-in.

    `identity` and `scopes` say where a live answer tells whose the credential is and what it can do: a path into JSON
    (`user.login`, `items[0].id`), `header:NAME`, or `xml:ELEMENT`. Scopes are a list, or words between commas or
    spaces.
    """

    request: Request
    live: Answer
    dead: Answer
    identity: str = ""
    scopes: str = ""


class Revoke(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to kill a credential at its provider. Irreversible; sent only after approval."""

    request: Request
    done: Answer


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of credential: how to see it, prove it, ask whether it lives, and kill it.

    `pattern` is a regular expression over bytes with one group named `secret`. With `near`, it is only the value's
    own pattern (without the group), and the rule matches it where one of the `near` words (regular expressions, any
    case) names it: `near_word ... = value`. `anchors` are literals of which every match holds at least one, in any
    case. `confidence` is how likely a match is real before anything else is known.
    """

    id: str
    title: str
    pattern: str
    near: tuple[str, ...] = ()
    anchors: tuple[str, ...] = ()
    check: tuple[str, ...] = ()
    requires: tuple[Requirement, ...] = ()
    alone: float | None = None
    lifetime: Lifetime = Lifetime.UNKNOWN
    severity: Severity = Severity.HIGH
    category: Category = "credential"
    confidence: float = 0.85
    generic: bool = False
    min_entropy: float = 0.0
    allow: tuple[str, ...] = ()
    forge: str = ""
    docs: str = ""
    verify: Verify | None = None
    revoke: Revoke | None = None


class Provider(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who issues the credentials of a file, and where its documentation is."""

    id: str
    name: str
    docs: str = ""


class Pack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of rules: a provider and its kinds of credential."""

    provider: Provider
    rule: tuple[Rule, ...] = ()


class PackSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A named set of rules in `packs.toml`: which files (globs) are in, which rule ids (globs) are out."""

    title: str
    include: tuple[str, ...]
    exclude: tuple[str, ...] = ()


class RuleSet(msgspec.Struct, frozen=True):
    """Rules ready to be compiled, each with its provider, ordered by id."""

    rules: tuple[Rule, ...]
    providers: dict[str, Provider]
    """By rule id."""
