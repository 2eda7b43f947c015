"""Values that only a name beside them gives away: `heroku_api_key = …`, `"token": "…"`, `password is …`."""

from __future__ import annotations

from keysentry.rules.schema import Rule

_NAME_TAIL = r"[\w.\- \t]{0,24}?"
"""What may stand between the word and the end of the name it is in (`heroku` … `_api_key`)."""
_CLOSERS = r"[\"'`\]\)*]{0,3}[ \t]{0,4}"
_OPERATOR = r"(?:=>|->|[:=]{1,3}|\|{1,2}|,|>|\b(?i:is|are|was)\b)"
_OPENERS = r"[\s\"'`(\[{<*]{0,8}"
_END = r"(?![0-9A-Za-z])"


def full_pattern(rule: Rule) -> str:
    """The pattern that finds a rule's credential in text: its own, or with `near` that of a named value."""
    if not rule.near:
        return rule.pattern
    words = "|".join(f"(?:{word})" for word in rule.near)
    return rf"(?i:{words}){_NAME_TAIL}{_CLOSERS}{_OPERATOR}{_OPENERS}(?P<secret>{rule.pattern}){_END}"
