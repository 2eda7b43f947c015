"""What people are told: golden texts in every language, and what holds for all of them."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keysentry.connectors.base import Notice
from keysentry.model.location import Exposure
from keysentry.model.sensitive import mask
from keysentry.response.notify.messages import author_notice, channel_notice, escalation_notice, placeholder
from tests.response.notify.facts import (
    ACTION,
    LANGUAGES,
    TIME,
    assessment,
    case,
    forged,
    incident,
    late_action,
    voice,
)

GOLDEN = Path(__file__).parents[2] / "golden"
VAULT = "vault:secret/keysentry/inc_0001#value"


def golden(name: str, text: str) -> None:
    """To renew a file, delete it and run the test twice."""
    path = GOLDEN / name
    if not path.exists():
        path.write_text(text, encoding="utf-8")
        pytest.fail(f"{path.name} was not there and is written now: read it, and run again")
    assert text == path.read_text(encoding="utf-8")


def page(notice: Notice) -> str:
    return f"{notice.subject}\n\n{notice.text}\n"


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_told_in_every_language(language: str) -> None:
    """One secret that was held, kept and is not revoked; a bulk leak; a missed deadline; a placeholder."""
    one = [case(done=("hold", "vault"), reference=VAULT)]
    bulk = [case(number, exposure=Exposure("public", None)) for number in range(1, 14)]
    known = assessment(audience="internal", reach=120, liveness="live", owner="deploy-bot")
    late = [case(done=("hold",), incident_changes={"assessment": known, "regressions": 1})]
    pages = (
        page(author_notice(ACTION, one, voice(language), time=TIME)),
        page(author_notice(ACTION, bulk, voice(language), time=TIME)),
        page(channel_notice(ACTION, late, voice(language), time=TIME)),
        page(escalation_notice(ACTION, late, late_action(), voice(language), time=TIME)),
        placeholder(["inc_0001"], voice(language), reference=VAULT) + "\n",
        placeholder(["inc_0001", "inc_0002"], voice(language, contact="")) + "\n",
    )
    golden(f"notices-{language}.txt", ("-" * 60 + "\n").join(pages))


# -- what the author reads --------------------------------------------------------------------------------------------


def author(*cases: object, **changes: object) -> str:
    return author_notice(ACTION, cases, voice(**changes), time=TIME).text  # type: ignore[arg-type]


def test_the_author_is_told_what_was_done_and_what_is_left() -> None:
    nothing = author(case())
    assert "Nothing yet" in nothing and "Please delete it" in nothing and "have the old one revoked" in nothing
    held = author(case(done=("hold",)))
    assert "out of view" in held and "Please delete" not in held and "Nothing yet" not in held
    revoked = author(case(done=("hold", "revoke")))
    assert "it opens nothing any more" in revoked and "make a new one" in revoked
    rotated = author(case(done=("hold", "revoke", "rotate", "vault"), reference=VAULT))
    assert f"Take the new one from the vault: {VAULT}" in rotated and "make a new one" not in rotated


def test_what_was_done_for_some_is_not_told_of_all() -> None:
    text = author(case(1, done=("hold", "revoke")), case(2, done=("hold",)))
    assert "out of view" in text and "opens nothing" not in text


@pytest.mark.parametrize(
    ("audience", "words"),
    [("public", "Anyone can read"), ("external", "outside our organisation"), ("internal", "Everyone in our")],
)
def test_who_could_read_it_decides_why_it_matters(audience: str, words: str) -> None:
    text = author(case(exposure=Exposure(audience, 5)))  # type: ignore[arg-type]
    assert words in text
    known = assessment(audience="private")
    assert words not in author(case(incident_changes={"assessment": known}, exposure=Exposure(audience, 5)))  # type: ignore[arg-type]


def test_personal_data_is_not_to_be_revoked() -> None:
    text = author(case(incident_changes={"category": "pii", "title": "IBAN"}))
    assert "belong to a person" in text and "revoked" not in text


def test_no_word_of_blame_and_somebody_to_ask() -> None:
    text = author(case())
    assert "nobody blames you" in text and "#security-help" in text
    assert "Your security team" in author(case(), contact="")
    assert "guide" not in author(case(), guide="")


# -- a bulk leak ------------------------------------------------------------------------------------------------------


def test_a_bulk_leak_is_one_notice_with_the_first_masks_and_a_count() -> None:
    cases = [case(number) for number in range(1, 251)]
    notice = author_notice(ACTION, cases, voice(), time=TIME)
    assert notice.subject.startswith("250 secrets in #ops")
    assert notice.text.count("\n- ghp_") == 10 and "… and 240 more" in notice.text
    facts = notice.facts
    assert facts["count"] == 250 and facts["left_out"] == 150 and len(facts["incidents"]) == 100  # type: ignore[arg-type]
    assert len(notice.links) == 11 and len(msgspec.json.encode(notice)) < 100_000


def test_several_places_are_told_with_each_secret() -> None:
    cases = [case(number, container=f"#room-{number}") for number in range(1, 6)]
    notice = author_notice(ACTION, cases, voice(), time=TIME)
    assert notice.subject.startswith("5 secrets in #room-1, #room-2, #room-3, …")
    assert "(GitHub personal access token (classic)), in #room-5" in notice.text


def test_a_thing_without_a_place_is_told_all_the_same() -> None:
    case_ = msgspec.structs.replace(case(), occurrence=None)
    notice = author_notice(ACTION, [case_], voice(), time=TIME)
    assert "a place that is not known" in notice.text and "Hello," in notice.text and not notice.facts["left_out"]


# -- what holds for all -----------------------------------------------------------------------------------------------

HOSTILE = st.text(st.characters(exclude_categories=()), max_size=300)


@given(
    title=HOSTILE, author=HOSTILE, container=HOSTILE, uri=HOSTILE, contact=HOSTILE, language=st.sampled_from(LANGUAGES)
)
@settings(max_examples=150, deadline=None)
def test_whatever_names_hold_a_notice_is_clean_and_the_same_each_time(
    title: str, author: str, container: str, uri: str, contact: str, language: str
) -> None:
    cases = [case(incident_changes={"title": title}, author=author, container=container, uri=uri)]
    speaker = voice(language, contact=contact)
    for make in (author_notice, channel_notice):
        notice = make(ACTION, cases, speaker, time=TIME)
        assert notice == make(ACTION, cases, speaker, time=TIME)
        assert notice.subject and "\n" not in notice.subject
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", notice.subject + notice.text)
        assert len(notice.text) < 6000 and "\n\n\n" not in notice.text
        msgspec.json.encode(notice)
        assert all(address.startswith(("http://", "https://")) for _, address in notice.links)
    assert "\n" not in placeholder(["inc_0001"], speaker, reference=container)


def test_only_masks_are_told() -> None:
    secret = forged(1)
    for make in (author_notice, channel_notice):
        written = msgspec.json.encode(make(ACTION, [case()], voice(), time=TIME)).decode()
        assert mask(secret) in written
        assert secret not in written and secret[6:20] not in written


def test_facts_are_what_machines_need() -> None:
    facts = channel_notice(ACTION, [case(done=("hold",))], voice(), time=TIME).facts["incidents"]
    assert isinstance(facts, list)
    assert facts[0] | {"place": None} == {
        "id": "inc_0001",
        "rule": "github.pat-classic",
        "title": "GitHub personal access token (classic)",
        "provider": "github",
        "category": "credential",
        "severity": "critical",
        "confidence": 0.988,
        "lifetime": "long-lived",
        "secret": incident().secret,
        "state": "contained",
        "places": 1,
        "regressions": 0,
        "first_seen": TIME - 60,
        "last_seen": TIME - 30,
        "audience": "internal",
        "reach": 120,
        "liveness": "unknown",
        "owner": "",
        "done": ["hold"],
        "reference": "",
        "place": None,
    }


def test_an_escalation_says_which_step_and_how_to_go_on() -> None:
    waiting = escalation_notice(ACTION, [case()], late_action(), voice(), time=TIME)
    assert waiting.urgent and waiting.kind == "escalation"
    assert "revoke it" in waiting.subject and "keysentry incidents approve inc_0001" in waiting.text
    assert "2027-01-15 08:00 UTC" in waiting.text
    assert waiting.facts["action"]["state"] == "waiting"  # type: ignore[index]
    failed = escalation_notice(ACTION, [case()], late_action(state="needs-a-person"), voice(), time=TIME)
    assert "incidents approve" not in failed.text and "did not succeed" in failed.text


def test_the_placeholder_is_one_short_line_and_the_same_for_the_same() -> None:
    for language in LANGUAGES:
        line = placeholder(["inc_0001"], voice(language), reference=VAULT)
        assert "inc_0001" in line and VAULT in line and "#security-help" in line and "\n" not in line
        assert len(line) < 300
        assert line == placeholder(["inc_0001"], voice(language), reference=VAULT)
    many = placeholder([f"inc_{number}" for number in range(50)], voice())
    assert many.startswith("50 secrets") and "(+47)" in many and len(many) < 300
    assert placeholder(["inc_0001"], voice(), language="de").startswith("Hier stand")
