"""What the linter holds a rule to: each check, by a rule that breaks it alone."""

from __future__ import annotations

import msgspec
import pytest

from keysentry.model.finding import Severity
from keysentry.rules.lint import errors_of, lint
from keysentry.rules.schema import Answer, Request, Requirement, Revoke, Rule, Verify

GOOD = Rule(
    id="acme.key",
    title="Acme key",
    pattern=r"\b(?P<secret>acme_[0-9a-f]{32})\b",
    anchors=("acme_",),
    severity=Severity.HIGH,
    forge="acme_{hex:32}",
    docs="https://docs.acme.example",
)
ID = Requirement(name="id", pattern=r"\b(?P<secret>acid[0-9]{9})\b", forge="acid{digit:9}")
OPEN = Request(url="http://api.acme.example/me")
DONE = Answer(status=[200])


def _sent(**request: object) -> dict[str, object]:
    made = Request(**{"url": "https://api.acme.example/me", **request})  # type: ignore[arg-type]
    return {"revoke": Revoke(request=made, done=DONE)}


def _told(**where: str) -> dict[str, object]:
    return {"verify": Verify(request=Request(url="https://api.acme.example/me"), live=DONE, dead=DONE, **where)}


BROKEN = {
    "id without a provider": ({"id": "key"}, "error", "id-form", "id"),
    "id in capitals": ({"id": "Acme.key"}, "error", "id-form", "id"),
    "id with a blank": ({"id": "acme.my key"}, "error", "id-form", "id"),
    "not an expression": ({"pattern": r"(?P<secret>acme_[0-9"}, "error", "pattern-compiles", "pattern"),
    "no group": ({"pattern": r"acme_[0-9]{4}"}, "error", "one-secret-group", "pattern"),
    "two groups": ({"pattern": r"(acme)_(?P<secret>[0-9]{4})"}, "error", "one-secret-group", "pattern"),
    "another name": ({"pattern": r"(?P<key>acme_[0-9]{4})"}, "error", "one-secret-group", "pattern"),
    "a companion without a group": (
        {"requires": (msgspec.structs.replace(ID, pattern="acid[0-9]{9}"),)},
        "error", "one-secret-group", "requires.id",
    ),
    "a companion that is no expression": (
        {"requires": (msgspec.structs.replace(ID, pattern="(?P<secret>a"),)},
        "error", "pattern-compiles", "requires.id",
    ),
    "a check that does not exist": ({"check": ("luhnn",)}, "error", "known-check", "check"),
    "certainty": ({"confidence": 1.0}, "error", "confidence-range", "confidence"),
    "nothing": ({"confidence": 0.0}, "error", "confidence-range", "confidence"),
    "alone without a companion": ({"alone": 0.3}, "error", "alone-needs-requires", "alone"),
    "a plus": ({"pattern": r"\b(?P<secret>acme_[0-9a-f]+)\b"}, "warning", "bounded", "pattern"),
    "a star": ({"pattern": r"\b(?P<secret>acme_[0-9a-f]*)\b"}, "warning", "bounded", "pattern"),
    "no maximum": ({"pattern": r"\b(?P<secret>acme_[0-9a-f]{9,})\b"}, "warning", "bounded", "pattern"),
    "a start of line": ({"pattern": r"^(?P<secret>acme_[0-9a-f]{32})\b"}, "warning", "no-line-anchors", "pattern"),
    "an end of line": ({"pattern": r"\b(?P<secret>acme_[0-9a-f]{32})$"}, "warning", "no-line-anchors", "pattern"),
    "a start of text": ({"pattern": r"\A(?P<secret>acme_[0-9a-f]{32})\b"}, "warning", "no-line-anchors", "pattern"),
    "no anchors": ({"anchors": ()}, "warning", "anchors", "anchors"),
    "a short anchor": ({"anchors": ("ac",)}, "warning", "anchor-length", "anchors"),
    "no template": ({"forge": ""}, "warning", "forge", "forge"),
    "a template that cannot be followed": ({"forge": "acme_{hexx:32}"}, "error", "forge", "forge"),
    "verification in the open": (
        {"verify": Verify(request=OPEN, live=Answer(status=[200]), dead=Answer(status=[401]))},
        "error", "https-only", "verify",
    ),
    "a host of one label": (_sent(url="https://localhost/me"), "error", "named-host", "revoke"),
    "a domain of one label": (_sent(url="https://{secret}.example/me"), "error", "named-host", "revoke"),
    "a user in the address": (_sent(url="https://ann@acme.example/me"), "error", "named-host", "revoke"),
    "a placeholder in the domain": (_sent(url="https://api.{secret}.example/"), "error", "named-host", "revoke"),
    "a placeholder that is never known": (_sent(form={"a": "{client}"}), "error", "known-placeholder", "revoke"),
    "one in JSON": (_sent(json={"a": ["{client}"]}), "error", "known-placeholder", "revoke"),
    "an id that nothing gives": (_sent(basic=("{id}", "{secret}")), "error", "known-placeholder", "revoke"),
    "two bodies": (_sent(form={"a": "b"}, body="c"), "error", "one-body", "revoke"),
    "a header of two lines": (_sent(headers={"A": "b\nC: d"}), "error", "header-form", "revoke"),
    "a header without a name": (_sent(headers={"A b": "c"}), "error", "header-form", "revoke"),
    "an identity that is no place": (_told(identity="user name"), "error", "place-form", "verify.identity"),
    "scopes that are no place": (_told(scopes="header:"), "error", "place-form", "verify.scopes"),
    "revocation in the open": (
        {"revoke": Revoke(request=OPEN, done=Answer(status=[200]))},
        "error", "https-only", "revoke",
    ),
}  # fmt: skip


def test_a_good_rule_has_no_issues():
    assert lint(GOOD) == []
    assert lint(msgspec.structs.replace(GOOD, requires=(ID,), alone=0.3)) == []


@pytest.mark.parametrize("name", BROKEN)
def test_each_check(name):
    changes, level, check, field = BROKEN[name]
    rule = msgspec.structs.replace(GOOD, **changes)
    [issue] = lint(rule)
    assert (issue.level, issue.name, issue.field) == (level, check, field)
    assert issue.text
    assert bool(errors_of(rule, "a.toml")) == (level == "error")


def test_several_at_once_are_all_told():
    rule = msgspec.structs.replace(GOOD, id="KEY", check=("x", "y"), confidence=2.0, anchors=())
    assert [issue.name for issue in lint(rule)] == [
        "id-form",
        "known-check",
        "known-check",
        "confidence-range",
        "anchors",
    ]
    assert [error.field for error in errors_of(rule, "a.toml")] == ["id", "check", "check", "confidence"]
    assert all(error.place.startswith("a.toml: KEY: ") for error in errors_of(rule, "a.toml"))


@pytest.mark.parametrize(
    "pattern",
    [
        r"\b(?P<secret>acme_[+*0-9]{4}\+\*)\b",
        r"\b(?P<secret>acme_[^$]{4}\$\^)\b",
        r"\b(?P<secret>acme_[\]*+$^]{4})\b",
        r"\b(?P<secret>acme_\\{2}[0-9]{4})\b",
    ],
)
def test_signs_that_stand_for_themselves(pattern):
    assert lint(msgspec.structs.replace(GOOD, pattern=pattern)) == []


def test_a_rule_by_name_needs_no_anchors():
    assert lint(msgspec.structs.replace(GOOD, pattern="[0-9a-f]{32}", near=("acme",), anchors=())) == []
    [issue] = lint(msgspec.structs.replace(GOOD, pattern="[0-9a-f]{32}", near=("acme(",), anchors=()))
    assert issue.name == "pattern-compiles"
