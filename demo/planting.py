"""Forges credentials into texts and remembers where each one went, without remembering the credential."""

from __future__ import annotations

import hashlib
import random
import re
import uuid
from collections.abc import Callable

import msgspec
import regex

from keysentry.rules.forge import forge
from keysentry.rules.load import load_rules
from keysentry.rules.schema import Rule

_MARK = re.compile(r"\{\{([a-z0-9.-]+)(?:/([A-Za-z0-9_-]+))?\}\}")


class Planted(msgspec.Struct, omit_defaults=True):
    """One credential that a scan should find: its rule, where it is, and its SHA-256; never the credential itself.

    `line` counts in the text that the credential stands in. In chat, `channel`, `author` and `ts` name the message;
    `path` is the file on disk and `member` the way through archives inside it.
    """

    rule: str
    sha256: str
    line: int
    path: str = ""
    member: str = ""
    channel: str = ""
    author: str = ""
    ts: str = ""


class Planter:
    """Replaces `{{rule.id}}`, `{{rule.id/companion}}` and the harmless `{{uuid}}`, `{{commit}}`, ... in texts."""

    def __init__(self, rng: random.Random) -> None:
        self.planted: list[Planted] = []
        self._rng = rng
        self._rules = {rule.id: rule for rule in load_rules().rules}
        self._harmless: dict[str, Callable[[], str]] = {
            "uuid": lambda: str(uuid.UUID(int=rng.getrandbits(128), version=4)),
            "commit": lambda: f"{rng.getrandbits(160):040x}",
            "sha256": lambda: f"{rng.getrandbits(256):064x}",
            "md5": lambda: f"{rng.getrandbits(128):032x}",
            "placeholder": lambda: "ghp_" + "x" * 36,
            "color": lambda: f"#{rng.getrandbits(24):06x}",
        }

    def plant(self, text: str, **place: str) -> str:
        """Fill the marks of `text`; `place` is where the text goes, for the list of what was planted."""
        done = ""
        at = 0
        for mark in _MARK.finditer(text):
            done += text[at : mark.start()]
            done += self._value(mark[1], mark[2], done.count("\n") + 1, place)
            at = mark.end()
        return done + text[at:]

    def _value(self, name: str, companion: str | None, line: int, place: dict[str, str]) -> str:
        if name in self._harmless:
            return self._harmless[name]()
        if name not in self._rules:
            raise SystemExit(f"the demo plants {name}, and there is no such rule: name one of `keysentry rules list`")
        rule = self._rules[name]
        leads = next((other for other in rule.requires if other.role == "secret"), None)
        if companion is None:
            template, reported = rule.forge, leads is None
        else:
            other = next(other for other in rule.requires if other.name == companion)
            template, reported = other.forge, other is leads
        secret = forge(template, self._rng)
        if reported:
            value = secret if companion else _secret_in(rule, secret)
            self.planted.append(Planted(rule.id, hashlib.sha256(value.encode()).hexdigest(), line, **place))
        return secret


def _secret_in(rule: Rule, forged: str) -> str:
    """The part of a forged text that the rule calls the secret: the password of a forged URL, most often all of it."""
    found = None if rule.near else regex.search(rule.pattern, forged)
    return str(found["secret"]) if found else forged
