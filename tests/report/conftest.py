"""A fixed set of findings. Their secrets are forged from a seed, so that no file of the project holds one."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from keysentry.model.finding import Finding, Lifetime, Reason, Severity, Skipped
from keysentry.model.location import ByteSpan, Location, Step
from keysentry.model.sensitive import Sensitive, fingerprint
from keysentry.model.summary import Summary
from keysentry.report import FORMATS
from keysentry.rules.forge import forge
from keysentry.rules.schema import Provider, Rule, RuleSet

KEY = b"the key of the tests, not of anybody"
GOLDEN = Path(__file__).parent.parent / "golden"


def _finding(rule: str, title: str, template: str, seed: int, location: Location, **fields: object) -> Finding:
    secret = Sensitive(forge(template, random.Random(seed)))
    base: dict[str, object] = {
        "rule": rule,
        "title": title,
        "provider": rule.partition(".")[0],
        "location": location,
        "span": ByteSpan(0, len(secret)),
        "secret": secret,
        "confidence": 0.97,
        "severity": Severity.CRITICAL,
        "category": "credential",
        "lifetime": Lifetime.LONG_LIVED,
        "fingerprint": fingerprint(KEY, rule.partition(".")[0], secret),
    }
    return Finding(**(base | fields))  # type: ignore[arg-type]


GITHUB = ("github.pat-classic", "GitHub personal access token (classic)", "ghp_{base62:30}{crc32-base62:6}")


@pytest.fixture
def findings() -> list[Finding]:
    """One file twice, a message in an archive, a cell, a key of several lines, a chat channel, a bare line."""
    settings = "services/billing/settings production.py"
    pem_size = len(forge("{pem:RSA PRIVATE KEY}", random.Random(5)))
    return [
        _finding(
            *GITHUB, 1, Location(path=settings, line=12, column=9, span=ByteSpan(310, 350)),
            confidence=0.9964,
            reasons=(Reason("check", "the checksum holds", 4.0), Reason("entropy", "4.6 bits a character", 0.8)),
        ),
        _finding(
            "stripe.secret-key", "Stripe secret key", "sk_test_{base62:24}", 2,
            Location(path=settings, line=140, column=1, route=(Step("field", "payments.key"),)),
            confidence=0.81, severity=Severity.HIGH,
        ),
        _finding(
            "slack.bot-token", "Slack bot token", "xoxb-{digit:12}-{digit:13}-{base62:24}", 3,
            Location(
                path="exports/2024/slack/acme-workspace-with-a-very-long-name/full-history-of-all-public-channels.zip",
                uri="https://acme.example/archives/C012/p1714000000",
                route=(Step("member", "ops/2024-05-01.json"), Step("message", "message 17"), Step("block", "text")),
                line=210, column=18, container="#ops", author="Zoë", time="2024-05-01T10:22:33Z",
            ),
            severity=Severity.HIGH, lifetime=Lifetime.UNKNOWN,
        ),
        _finding(
            "aws.access-key", "AWS secret access key", "{base64:40}", 4,
            Location(path="finance.xlsx", route=(Step("sheet", "Keys"), Step("cell", "B7"))),
            confidence=0.66, severity=Severity.MEDIUM,
            companions=(("id", Sensitive(forge("AKIA{base32:16}", random.Random(40)))),),
        ),
        _finding(
            "pem.rsa", "RSA private key", "{pem:RSA PRIVATE KEY}", 5,
            Location(path="deploy/id_rsa", line=1, column=1, span=ByteSpan(0, pem_size)),
            confidence=0.99, severity=Severity.CRITICAL,
        ),
        _finding(
            "generic.password", "Password in a message", "{password:14}", 6,
            Location(container="Vorstand » 秘密", author="=HYPERLINK()", time="2024-06-01T00:00:00Z"),
            confidence=0.52, severity=Severity.LOW,
        ),
        _finding(*GITHUB, 1, Location(path="notes.txt", line=3), confidence=1.0),
    ]  # fmt: skip


@pytest.fixture
def summary() -> Summary:
    """A scan in which not everything could be read."""
    return Summary(
        files=1204, bytes=35_200_000, seconds=0.21, rules=130, engine="vectorscan", allowed=1, baselined=2,
        skipped=[
            Skipped("secret/vault.kdbx", "permission denied"),
            Skipped("big » inner.zip", "more than 4 archives deep", partial=True),
            Skipped("locked.pdf", "permission denied"),
        ],
    )  # fmt: skip


@pytest.fixture
def rules() -> RuleSet:
    """The rule of the GitHub findings, as its file tells it."""
    rule = Rule(
        id=GITHUB[0], title=GITHUB[1], pattern=r"\b(?P<secret>ghp_[0-9A-Za-z]{36})\b",
        severity=Severity.CRITICAL, docs="https://docs.github.com/rest", forge=GITHUB[2],
    )  # fmt: skip
    return RuleSet((rule,), {rule.id: Provider(id="github", name="GitHub")})


@pytest.fixture
def render(findings: list[Finding], summary: Summary) -> Callable[..., str]:
    """Write the findings in a format, as a scan does."""

    def write(format_name: str, given: list[Finding] | None = None, **options: object) -> str:
        out = io.StringIO()
        source = iter(findings if given is None else given)
        FORMATS[format_name].writer()(source, summary, out, **options)  # type: ignore[arg-type]
        return out.getvalue()

    return write


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Hold a text to a file of tests/golden. To renew one, delete it and run the tests twice."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / f"{name}.txt"
        if not path.exists():
            path.write_text(text, encoding="utf-8")
            pytest.fail(f"{path.name} was not there and is written now: read it, and run again")
        assert text == path.read_text(encoding="utf-8")

    return check
