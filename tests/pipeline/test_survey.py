"""Sources read once: the findings of all units, and an account of what was not read."""

from __future__ import annotations

import random

import pytest

from keysentry import Scanner
from keysentry.errors import AccessError, SourceError
from keysentry.model.finding import Skipped
from keysentry.model.record import Record
from keysentry.rules.forge import forge
from keysentry.scan import Progress
from keysentry.survey import Survey
from tests.service.scripted import Scripted, ScriptedOptions, message


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    return Scanner(key=b"k" * 32)


def token(seed: int) -> str:
    return forge("ghp_{base62:30}{crc32-base62:6}", random.Random(seed))


def survey(platform: Scripted, scanner: Scanner, **options: object) -> Survey:
    return Survey(scanner, platform.open(), ScriptedOptions(name="chat", **options))  # type: ignore[arg-type]


def test_all_units_once_without_what_is_deleted_or_live(scanner: Scanner) -> None:
    platform = Scripted(live=frozenset({"events"}))
    platform.add("general", message("1", token(1)), Record(id="2", deleted=True), message("3", token(3)))
    platform.add("random", message("4", token(4)), Skipped("5", "no text"))
    platform.add("events", message("6", token(6)))
    scan = survey(platform, scanner)
    assert [finding.secret.reveal() for finding in scan] == [token(1), token(3), token(4)]
    assert (scan.summary.records, scan.summary.files, scan.summary.complete) == (3, 0, False)
    assert [one.place for one in scan.summary.skipped] == ["5"]
    assert scan.summary.bytes == 3 * 40 and scan.summary.seconds > 0


def test_a_unit_that_fails_is_told_and_the_others_are_read(scanner: Scanner) -> None:
    platform = Scripted()
    platform.add("a", message("1", token(1)), message("2", token(2)))
    platform.add("b", message("3", token(3)))

    def fault(unit: str, number: int) -> None:
        if (unit, number) == ("a", 1):
            raise SourceError("500", place="chat")

    platform.fault = fault
    scan = survey(platform, scanner)
    assert [finding.secret.reveal() for finding in scan] == [token(1), token(3)]
    assert [(one.place, one.partial) for one in scan.summary.skipped] == [("#a", True)]


def test_a_wrong_token_is_raised_before_anything_is_reported(scanner: Scanner) -> None:
    platform = Scripted()

    def refuse() -> None:
        raise AccessError("invalid_auth", advice="check SLACK_BOT_TOKEN")

    platform.listing_fault = refuse
    with pytest.raises(AccessError):
        survey(platform, scanner).begin()


def test_progress_names_the_unit(scanner: Scanner) -> None:
    platform = Scripted()
    platform.add("general", message("1", token(1)))
    told: list[tuple[str, int, int]] = []

    def note(progress: Progress) -> None:
        told.append((progress.current, progress.records, progress.findings))

    scan = Survey(scanner, platform.open(), ScriptedOptions(name="chat"), progress=note)
    list(scan)
    assert told == [("#general", 1, 1)]
