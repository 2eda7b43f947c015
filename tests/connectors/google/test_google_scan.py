"""From Google to findings: a scanner reads what the source gives, and says where it stands as a person would.

Google is played by a server of our own; every credential is forged here.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from keysentry.model.finding import Finding, Skipped
from keysentry.rules.forge import forge
from keysentry.scan import Scanner
from tests.connectors.google.conftest import ANN, Open
from tests.connectors.google.worlds import SHEET, mail
from tests.servers.google import GoogleServer
from tests.servers.google_sheets import text

pytestmark = pytest.mark.xdist_group("google")


@pytest.fixture
def secret() -> Callable[[], str]:
    """Forges tokens, no two the same."""
    rng = random.Random(20)
    return lambda: forge("ghp_{base62:30}{crc32-base62:6}", rng)


def scan(open_google: Open) -> tuple[list[Finding], list[Skipped]]:
    """Read and scan everything, once."""
    source = open_google(gmail=True, chat=True)
    skipped: list[Skipped] = []
    found: list[Finding] = []
    for unit in source.units():
        assert not isinstance(unit, Skipped)
        records = (delivery.record for delivery in source.records(unit, None) if delivery.record is not None)
        found += (finding for _, finding in Scanner().scan_records(records, skipped))
    return found, skipped


def test_secrets_are_found_where_they_stand(google: GoogleServer, open_google: Open, secret: Callable[[], str]) -> None:
    planted = [secret() for _ in range(7)]
    google.drive.add("notes.txt", f"line\ntoken: {planted[0]}\n".encode(), owner=ANN)
    google.drive.add("Plan", planted[1].encode(), owner=ANN, kind="application/vnd.google-apps.document")
    sheet = google.drive.add("Accounts", kind=SHEET, owner=ANN)
    google.sheets.add(sheet, "Keys", {(0, 0): text("Token"), (6, 1): text(planted[2], note=planted[3])})
    message = mail(f"here: {planted[4]}")
    message.add_attachment(planted[5].encode(), maintype="text", subtype="plain", filename="a.txt")
    google.gmail.receive(ANN, message)
    google.chat.post(google.chat.space("AAA", "Operations", ANN), f"use {planted[6]}")
    found, skipped = scan(open_google)
    places = {one.secret.reveal(): (one.location.part, one.location.container) for one in found}
    drive, box = f"My Drive of {ANN}", f"Mailbox of {ANN}"
    assert set(places) == set(planted)
    assert places[planted[0]] == ("notes.txt", drive)
    assert places[planted[1]] == ("Plan.txt", drive)
    assert places[planted[2]] == ("Accounts.xlsx » Keys!B7", drive)
    assert places[planted[3]][0].startswith("Accounts.xlsx » Keys!B7")
    assert places[planted[4]] == ("text/plain", box)
    assert places[planted[5]] == ("a.txt", box)
    assert places[planted[6]] == ("text", "Operations")
    assert all(one.location.uri.startswith("https://") and one.location.author for one in found)
    assert not skipped


def test_an_id_and_its_secret_in_two_cells_of_a_row_are_one_finding(google: GoogleServer, open_google: Open) -> None:
    rng = random.Random(21)
    id, key = forge("{aws-key-id:AKIA}", rng), forge("{base64:36}7Kqz", rng)
    sheet = google.drive.add("Accounts", kind=SHEET, owner=ANN)
    head = {(0, 0): text("Name"), (0, 1): text("Access key"), (0, 2): text("Secret access key")}
    google.sheets.add(sheet, "Keys", head | {(1, 0): text("build"), (1, 1): text(id), (1, 2): text(key)})
    found, _ = scan(open_google)
    (pair,) = (one for one in found if one.rule == "aws.access-key")
    (companion,) = (secret for _, secret in pair.companions)
    assert {pair.secret.reveal(), companion.reveal()} == {id, key}
    assert pair.location.part in ("Accounts.xlsx » Keys!B2", "Accounts.xlsx » Keys!C2")


def test_a_password_is_known_by_the_heading_of_its_column(google: GoogleServer, open_google: Open) -> None:
    password = forge("{base62:14}", random.Random(22)) + "!9"
    sheet = google.drive.add("Logins", kind=SHEET, owner=ANN)
    google.sheets.add(
        sheet, "Logins", {(0, 0): text("Site"), (0, 1): text("Passwort"), (1, 0): text("db"), (1, 1): text(password)}
    )
    found, _ = scan(open_google)
    assert [(one.secret.reveal(), one.location.part) for one in found] == [(password, "Logins.xlsx » Logins!B2")]
