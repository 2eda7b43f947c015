"""Credentials for tests of the response, forged when they are needed; and looking for them where they must not be."""

from __future__ import annotations

import base64
import random
from typing import Any
from urllib.parse import quote

from keysentry.errors import KeysentryError
from keysentry.model.action import Credential
from keysentry.model.finding import Lifetime
from keysentry.model.sensitive import Sensitive
from keysentry.rules.forge import forge
from keysentry.rules.load import load_rules

RULES = load_rules()
_TEMPLATES = {rule.id: rule.forge for rule in RULES.rules}


def forged(rule: str, seed: int = 0) -> str:
    """A secret of a rule."""
    return forge(_TEMPLATES[rule], random.Random(f"{rule} {seed}"))


def credential(rule: str, secret: str | bytes = "", seed: int = 0, **companions: str) -> Credential:
    """A credential of a rule, with a forged secret if there is none."""
    value = secret or forged(rule, seed)
    return Credential(
        incident="inc_1",
        fingerprint="f" * 64,
        rule=rule,
        title=rule,
        provider=rule.partition(".")[0],
        category="credential",
        lifetime=Lifetime.UNKNOWN,
        secret=Sensitive(value),
        companions={name: Sensitive(text) for name, text in companions.items()},
    )


def told_everywhere(error: BaseException) -> str:
    """All words that an error and what led to it could bring to a log."""
    words: list[str] = []
    seen: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in seen:
        seen.append(one)
        words += [str(one), repr(one), repr(getattr(one, "__dict__", {}))]
        if isinstance(one, KeysentryError):
            words += [one.reason, one.place, one.advice]
        one = one.__cause__ or one.__context__
    return "\n".join(words)


def holds(text: Any, secret: str) -> bool:
    """Whether a text holds a secret, in any form that a machine writes it in."""
    shown = str(text)
    encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
    return any(form in shown for form in (secret, quote(secret, safe=""), encoded, repr(secret)[1:-1]))
