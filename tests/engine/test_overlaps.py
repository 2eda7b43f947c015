"""One secret is one finding, by the rule that knows most about it; and every place of a secret is one finding."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from keysentry.rules.forge import forge
from keysentry.tuning.specimens import plain, specimens
from tests.engine import compiled

PAIRS = [
    # rule, a text in which a more general rule would match, too
    ("github.pat-classic", 'github_token = "{}"'),
    ("github.pat-classic", "password: {}"),
    ("stripe.secret-key", 'STRIPE_SECRET_KEY="{}"'),
    ("slack.bot-token", "SLACK_TOKEN={}"),
    ("anthropic.api-key", 'anthropic_api_key: "{}"'),
    ("gitlab.runner-token", "export GITLAB_TOKEN='{}'"),
]


def of(found):
    return [(finding.rule, finding.secret.reveal()) for finding in found]


@pytest.mark.parametrize(("rule_id", "form"), PAIRS)
def test_the_most_specific_rule_reports_it(each_scanner, rule_id, form):
    [specimen] = specimens(compiled.rule(rule_id), 1)
    assert of(each_scanner.scan_text(form.format(specimen.text))) == [(rule_id, specimen.secret)]


def test_no_two_findings_overlap(scanner):
    for rule in compiled.rules().rules:
        for specimen in specimens(rule, 1, 3):
            found = sorted((f.span.start, f.span.end) for f in scanner.scan_text(plain(specimen)))
            assert all(end <= start for (_, end), (start, _) in pairwise(found))


def test_every_place_is_a_finding_and_all_have_one_fingerprint(scanner):
    [specimen] = specimens(compiled.rule("github.pat-classic"), 1)
    found = scanner.scan_text(f"{specimen.text}\nagain: {specimen.text} and {specimen.text}")
    assert len(found) == 3
    assert len({finding.fingerprint for finding in found}) == 1


def test_a_password_in_an_address_is_not_two_findings(each_scanner):
    password = forge("{base62:20}", random.Random(6))
    found = each_scanner.scan_text(f'DATABASE_URL="postgres://app:{password}@db.internal:5432/app"')
    assert len(found) == 1
    assert password in found[0].secret.reveal()


def test_encoded_and_plain_are_two_places(scanner):
    import base64

    [specimen] = specimens(compiled.rule("github.pat-classic"), 1)
    encoded = base64.b64encode(f"x: {specimen.text}.".encode()).decode()
    assert [f.secret.reveal() for f in scanner.scan_text(f"{specimen.text} {encoded}")] == [specimen.text] * 2
