"""Files of Drive held and released, and what all of Google's acting side has in common.

Against our own server, which keeps to Google's documents (`tests/servers/google_acting.py`).
"""

from __future__ import annotations

import gzip
import json
import logging
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from keysentry.connectors.google import Options as SourceOptions
from keysentry.connectors.google.acting import SCOPES as WANTED
from keysentry.connectors.google.quarantine import Options, open_quarantine
from keysentry.errors import (
    AccessError,
    ChangedError,
    ClosedError,
    ConfigError,
    GoneError,
    InputError,
    SourceError,
    UnclearError,
)
from keysentry.model.action import Original, Place, Receipt
from keysentry.model.finding import Skipped
from keysentry.model.location import Location, Step
from keysentry.model.sensitive import Sensitive
from keysentry.scan import Scanner
from tests.connectors.google.acting_bench import (
    ANN,
    BOB,
    CAROL,
    EVE,
    PLACEHOLDER,
    SCOPES,
    TOKENS,
    Organisation,
    held,
    hold,
    inspect,
    release,
    secret,
    told,
)
from tests.connectors.google.worlds import SHEET, mail

pytestmark = pytest.mark.xdist_group("google")

ROOT = Path(__file__).resolve().parents[3]
SHARED = "shared:0Projects"
QUARANTINE: dict[str, Any] = {"user": CAROL, "folder": "0Quarantine"}


def leaked(corp: Organisation, token: Sensitive, **more: Any) -> str:
    return corp.file(f"token = {token.reveal()}\n".encode(), **more)


def given(corp: Organisation, id: str) -> list[dict[str, Any]]:
    """The permissions on a file itself, in no order."""
    return sorted(corp.drive.permissions.get(id, []), key=lambda one: str(one["id"]))


class TestPermissions:
    def test_every_kind_comes_back_as_it_was(self, corp: Organisation) -> None:
        token = secret()
        id = leaked(corp, token)
        corp.drive.give(id, "user", BOB, "writer")
        corp.drive.give(id, "user", EVE, "commenter", expirationTime="2026-06-01T00:00:00.000Z")
        corp.drive.give(id, "group", "team@corp.example", "reader")
        corp.drive.give(id, "domain", "corp.example", "reader", allowFileDiscovery=True)
        corp.drive.give(id, "anyone", role="reader")
        before, file = json.dumps(given(corp, id)), dict(corp.drive.files[id])
        place = corp.file_place(id)
        original, receipt = hold(corp, place, token)
        assert corp.drive.readers(id) == {ANN}
        assert receipt.evidence["permissions"] == "5" and "only its owner can read it" in receipt.note
        assert corp.effects == {"files.update": 1, "permissions.delete": 5}
        done = release(corp, place, original, receipt)
        assert json.dumps(given(corp, id)) == before
        assert "not restored" not in done.note and not corp.drive.mails
        now = corp.drive.files[id]
        kept = ("modifiedTime", "parents", "name", "headRevisionId")
        assert {key: now[key] for key in kept} == {key: file[key] for key in kept}
        assert not now["properties"]
        assert token.reveal() not in told(done)

    def test_the_widest_go_first(self, corp: Organisation) -> None:
        token = secret()
        id = leaked(corp, token)
        for kind, whom in (("user", BOB), ("domain", "corp.example"), ("anyone", ""), ("group", "team@corp.example")):
            corp.drive.give(id, kind, whom)
        place = corp.file_place(id)
        with corp.quarantine() as quarantine:
            original = quarantine.inspect(place, [token])
            with corp.server.stop(4, before=True), pytest.raises(SourceError):
                quarantine.hold(place, original, [token], PLACEHOLDER)
        assert corp.drive.readers(id) == {ANN, BOB, "team@corp.example"}

    def test_what_cannot_be_given_again_is_told(self, corp: Organisation) -> None:
        token = secret()
        id = leaked(corp, token)
        corp.drive.give(id, "user", EVE, "reader")
        corp.drive.give(id, "user", "gone@corp.example", "writer", deleted=True)
        corp.drive.give(id, "user", BOB, "writer", pendingOwner=True)
        corp.drive.give(id, "user", CAROL, "reader", expirationTime="2026-03-02T00:00:00.000Z")
        place = corp.file_place(id)
        original, receipt = hold(corp, place, token)
        corp.drive.strangers.add(EVE)
        corp.server.advance(days=3)
        done = release(corp, place, original, receipt)
        assert corp.drive.readers(id) == {ANN, BOB}, "one that has ended is not made an endless one"
        for words in (f"reader for {EVE}", "the account was deleted", "ownership that was offered", f"for {CAROL}"):
            assert words in done.note
        assert not corp.drive.mails

    def test_what_somebody_gave_meanwhile_stays(self, corp: Organisation) -> None:
        token = secret()
        id = leaked(corp, token)
        corp.drive.give(id, "user", BOB, "writer")
        place = corp.file_place(id)
        original, receipt = hold(corp, place, token)
        corp.drive.give(id, "user", BOB, "reader")
        corp.drive.give(id, "user", CAROL, "reader")
        release(corp, place, original, receipt)
        assert {one["emailAddress"]: one["role"] for one in given(corp, id)} == {
            ANN: "owner",
            BOB: "reader",
            CAROL: "reader",
        }

    def test_what_was_shared_since_it_was_looked_at_is_looked_at_again(self, corp: Organisation) -> None:
        token = secret()
        id = leaked(corp, token)
        place = corp.file_place(id)
        with corp.quarantine() as quarantine:
            original = quarantine.inspect(place, [token])
            corp.drive.give(id, "anyone")
            with pytest.raises(ChangedError):
                quarantine.hold(place, original, [token], PLACEHOLDER)
        assert not corp.effects

    def test_what_is_shared_while_it_is_being_held_is_put_back_and_held_anew(self, corp: Organisation) -> None:
        token = secret()
        id = leaked(corp, token)
        corp.drive.give(id, "user", BOB, "writer")
        corp.drive.give(id, "domain", "corp.example")
        place = corp.file_place(id)
        with corp.quarantine() as quarantine:
            original = quarantine.inspect(place, [token])
            with corp.server.stop(3, before=True), pytest.raises(SourceError):
                quarantine.hold(place, original, [token], PLACEHOLDER)
        corp.drive.give(id, "user", CAROL, "commenter")
        assert held(corp, place, original) is None
        assert corp.drive.readers(id) == {ANN, BOB, CAROL, "corp.example"}
        original, receipt = hold(corp, place, token)
        assert corp.drive.readers(id) == {ANN}
        release(corp, place, original, receipt)
        assert corp.drive.readers(id) == {ANN, BOB, CAROL, "corp.example"}

    def test_a_second_hold_of_the_same_file_is_refused(self, corp: Organisation) -> None:
        token = secret()
        place = corp.file_place(leaked(corp, token))
        hold(corp, place, token)
        with pytest.raises(ChangedError, match="held already"):
            inspect(corp, place, token)


class TestMoving:
    def test_what_is_inherited_takes_a_move_into_the_owners_own_folder(self, corp: Organisation) -> None:
        token, shared = secret(), corp.folder()
        corp.drive.give(shared, "user", BOB, "writer")
        id = leaked(corp, token, parent=shared)
        place = corp.file_place(id)
        original, receipt = hold(corp, place, token)
        assert corp.drive.readers(id) == {ANN} and "moved" in receipt.note
        (folder,) = corp.drive.files[id]["parents"]
        assert corp.drive.files[folder]["parents"] == [f"root-{ANN}"] and receipt.evidence["folder"] == folder
        other = leaked(corp, token, parent=shared)
        hold(corp, corp.file_place(other), token)
        assert corp.drive.files[other]["parents"] == [folder], "it is made once"
        done = release(corp, place, original, receipt)
        assert corp.drive.files[id]["parents"] == [shared] and corp.drive.readers(id) == {ANN, BOB}
        assert "moved back" in done.note

    def test_a_folder_of_ours_that_was_shared_is_not_used(self, corp: Organisation) -> None:
        token, folder = secret(), corp.own_folder()
        corp.drive.give(folder, "user", EVE)
        id = leaked(corp, token)
        hold(corp, corp.file_place(id), token, mode="move")
        assert corp.drive.readers(id) == {ANN} and corp.drive.files[id]["parents"] != [folder]

    def test_a_folder_that_is_gone(self, corp: Organisation) -> None:
        token, shared = secret(), corp.folder()
        corp.drive.give(shared, "user", BOB)
        id = leaked(corp, token, parent=shared)
        corp.drive.give(id, "user", CAROL)
        place = corp.file_place(id)
        original, receipt = hold(corp, place, token)
        corp.drive.remove(shared)
        done = release(corp, place, original, receipt)
        assert corp.drive.files[id]["parents"] == [f"root-{ANN}"] and corp.drive.readers(id) == {ANN, CAROL}
        assert "its folder, which is gone" in done.note

    def test_a_file_that_somebody_puts_elsewhere_while_it_is_being_held(self, corp: Organisation) -> None:
        token, shared, other = secret(), corp.folder(), corp.folder("Other")
        for folder, reader in ((shared, BOB), (other, EVE)):
            corp.drive.give(folder, "user", reader)
        id = leaked(corp, token, parent=shared)
        place = corp.file_place(id)
        with corp.quarantine() as quarantine:
            original = quarantine.inspect(place, [token])
            with corp.server.stop(2, before=True), pytest.raises(SourceError):
                quarantine.hold(place, original, [token], PLACEHOLDER)
        corp.drive.files[id]["parents"] = [other]
        receipt = held(corp, place, original)
        assert receipt is not None and corp.drive.readers(id) == {ANN}
        release(corp, place, original, receipt)
        assert corp.drive.readers(id) == {ANN, BOB}

    def test_a_file_of_a_shared_drive_goes_into_the_quarantine_drive(self, corp: Organisation) -> None:
        corp.shared_drives()
        token = secret()
        id = corp.drive.add("env", f"token = {token.reveal()}".encode(), drive="0Projects")
        corp.drive.give(id, "anyone")
        place = corp.file_place(id, SHARED)
        original, receipt = hold(corp, place, token, **QUARANTINE)
        assert corp.drive.readers(id) == {CAROL} and corp.drive.files[id]["driveId"] == "0Quarantine"
        assert held(corp, place, original, **QUARANTINE) is not None
        done = release(corp, place, original, receipt, **QUARANTINE)
        assert corp.drive.readers(id) == {CAROL, ANN, BOB, "anyone"}
        assert corp.drive.files[id]["parents"] == ["0Projects"] and corp.drive.files[id]["driveId"] == "0Projects"
        assert "not restored" not in done.note

    @pytest.mark.parametrize(
        ("options", "advice"),
        [
            ({"user": CAROL}, "`folder`"),
            ({"user": CAROL, "folder": "0Nowhere"}, "`folder`"),
            ({"user": CAROL, "folder": "inner"}, "another shared drive"),
            ({"user": CAROL, "folder": "open"}, "link or domain"),
            ({"user": ANN, "folder": "0Quarantine"}, "`manager`"),
        ],
    )
    def test_a_shared_drive_that_cannot_be_left_is_not_touched(
        self, corp: Organisation, options: dict[str, Any], advice: str
    ) -> None:
        corp.shared_drives()
        token = secret()
        corp.drive.add("Inner", drive="0Projects", kind="application/vnd.google-apps.folder", id="inner")
        corp.drive.add("Open", drive="0Quarantine", kind="application/vnd.google-apps.folder", id="open")
        corp.drive.give("open", "domain", "corp.example")
        id = corp.drive.add("env", f"token = {token.reveal()}".encode(), drive="0Projects")
        with pytest.raises(AccessError) as caught:
            hold(corp, corp.file_place(id, SHARED), token, **options)
        assert advice in caught.value.advice and not corp.effects

    def test_a_folder_with_limited_access_in_the_same_drive_will_do(self, corp: Organisation) -> None:
        corp.shared_drives()
        token = secret()
        limited = {"inheritedPermissionsDisabled": True}
        corp.drive.add("Q", drive="0Projects", kind="application/vnd.google-apps.folder", id="q", more=limited)
        corp.drive.give("q", "user", CAROL, "organizer")
        id = corp.drive.add("env", f"token = {token.reveal()}".encode(), drive="0Projects")
        original, receipt = hold(corp, place := corp.file_place(id, SHARED), token, user=CAROL, folder="q")
        assert corp.drive.readers(id) == {CAROL}
        release(corp, place, original, receipt, user=CAROL, folder="q")
        assert corp.drive.readers(id) == {CAROL, ANN, BOB}


class TestWhatIsInIt:
    def test_what_cannot_be_searched_is_held_only_if_nobody_wrote_it(self, corp: Organisation) -> None:
        token = secret()
        content = gzip.compress(f"token = {token.reveal()}".encode())
        id = corp.file(content, "env.gz", kind="application/gzip")
        place = corp.file_place(id, route=(Step("file", "env.gz"), Step("member", "env")))
        original, receipt = hold(corp, place, token)
        release(corp, place, original, receipt)
        corp.server.advance(seconds=5)
        corp.drive.edit(id, content)
        with pytest.raises(ChangedError):
            inspect(corp, place, token)

    def test_more_than_may_be_searched(self, corp: Organisation) -> None:
        token = secret()
        place = corp.file_place(leaked(corp, token))
        hold(corp, place, token, max_search=10)

    def test_a_document_of_google_and_a_description(self, corp: Organisation) -> None:
        token = secret()
        kind = "application/vnd.google-apps.document"
        document = corp.file(f"my token: {token.reveal()}".encode(), "Notes", kind=kind)
        described = corp.file(b"nothing", more={"description": f"token {token.reveal()}"})
        for id in (document, described):
            corp.drive.give(id, "user", BOB)
            original, receipt = hold(corp, place := corp.file_place(id), token)
            assert corp.drive.readers(id) == {ANN}
            release(corp, place, original, receipt)
        corp.drive.edit(document, b"nothing any more")
        with pytest.raises(ChangedError):
            inspect(corp, corp.file_place(document), token)

    def test_a_spreadsheet_as_a_whole(self, corp: Organisation) -> None:
        token = secret()
        id = corp.file(b"", "Accounts", kind=SHEET)
        corp.sheets.add(id, "S", {(0, 0): {"userEnteredValue": {"stringValue": token.reveal()}}})
        corp.drive.give(id, "anyone")
        original, receipt = hold(corp, place := corp.file_place(id), token, sheets="file")
        assert corp.drive.readers(id) == {ANN} and receipt.evidence["way"] == "file"
        assert corp.sheets.shown(id, 0, 0, 0)["formattedValue"] == token.reveal()
        release(corp, place, original, receipt, sheets="file")
        assert corp.drive.readers(id) == {ANN, "anyone"}

    def test_the_trash_and_a_release_of_what_was_deleted(self, corp: Organisation) -> None:
        token = secret()
        id = leaked(corp, token)
        place = corp.file_place(id)
        original, receipt = hold(corp, place, token)
        corp.drive.edit(id, trashed=True)
        with pytest.raises(GoneError):
            release(corp, place, original, receipt)
        assert held(corp, place, original) is None
        with pytest.raises(GoneError):
            inspect(corp, place, token)

    def test_a_name_that_is_the_secret_is_not_told(self, corp: Organisation) -> None:
        token = secret()
        id = leaked(corp, token, name=f"{token.reveal()}.txt")
        original, _ = hold(corp, corp.file_place(id), token)
        assert original.note.startswith("ghp_")

    @pytest.mark.parametrize("unit", ["teams:x", f"my:{ANN}", "space:spaces/AAA"])
    def test_what_names_nothing_of_google(self, corp: Organisation, unit: str) -> None:
        with pytest.raises(InputError, match="does not name"):
            inspect(corp, Place(source="corp", unit=unit, record="somewhere"), secret())


class TestWhoActs:
    @pytest.fixture
    def account(self, corp: Organisation, tmp_path: Path) -> str:
        """A service account that may act for Ann and Bob."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        info = {
            "type": "service_account",
            "client_email": "actor@project.iam.example",
            "client_id": "1234",
            "private_key": key.private_bytes(*form).decode(),
            "private_key_id": "k",
            "token_uri": f"{corp.server.url}/token",
        }
        path = tmp_path / "account.json"
        path.write_text(json.dumps(info))
        corp.server.public_key = key.public_key()
        corp.server.delegated = {ANN: frozenset(SCOPES), BOB: frozenset(SCOPES)}
        return str(path)

    def test_the_owner_is_acted_for(self, corp: Organisation, account: str) -> None:
        """Found as Ann's, because it was shared with her; it is Bob's."""
        token = secret()
        id = corp.drive.add("notes.txt", f"token = {token.reveal()}".encode(), owner=BOB)
        corp.drive.give(id, "user", ANN, "writer")
        place = Place(source="corp", unit=f"my:{ANN}", record=f"my:{ANN}/{id}")
        original, receipt = hold(corp, place, token, credentials=account, users=(ANN, BOB))
        assert corp.drive.readers(id) == {BOB}
        release(corp, place, original, receipt, credentials=account, users=(ANN, BOB))
        assert corp.drive.readers(id) == {ANN, BOB}

    def test_an_owner_who_is_not_ours(self, corp: Organisation) -> None:
        token = secret()
        id = corp.drive.add("notes.txt", f"token = {token.reveal()}".encode(), owner=BOB)
        corp.drive.give(id, "user", ANN, "writer")
        place = Place(source="corp", unit=f"my:{ANN}", record=f"my:{ANN}/{id}")
        with pytest.raises(AccessError, match=f"add {BOB} to `users`"):
            inspect(corp, place, token)

    def test_a_scope_that_was_not_delegated_is_named(self, corp: Organisation, account: str) -> None:
        corp.server.delegated = {ANN: frozenset(("gmail.modify",))}
        place = corp.file_place(leaked(corp, secret()))
        with pytest.raises(AccessError) as caught:
            inspect(corp, place, secret(), credentials=account, users=(ANN,))
        assert "grant https://www.googleapis.com/auth/drive to" in caught.value.advice

    def test_a_token_without_the_scope_or_that_expired(self, corp: Organisation) -> None:
        place = corp.file_place(leaked(corp, secret()))
        corp.server.grant("local-token-reader", ANN, "chat.messages")
        with pytest.raises(AccessError) as caught:
            inspect(corp, place, secret(), token=Sensitive("local-token-reader"))
        assert "https://www.googleapis.com/auth/drive" in caught.value.advice
        corp.server.grants["local-token-reader"].alive = False
        with pytest.raises(AccessError, match="expired"):
            inspect(corp, place, secret(), token=Sensitive("local-token-reader"))

    def test_reading_scopes_are_not_enough_and_nothing_is_touched(self, corp: Organisation) -> None:
        token = secret()
        place = corp.file_place(leaked(corp, token))
        with pytest.raises(AccessError) as caught:
            hold(corp, place, token, token=Sensitive(f"{TOKENS[ANN]}-reading"))
        assert "https://www.googleapis.com/auth/drive " in caught.value.advice and not corp.effects


class TestStory:
    """From what the scanner finds to what is held: places are those of findings."""

    def test_what_is_found_is_held_and_put_back(self, corp: Organisation) -> None:
        tokens = [secret(number) for number in range(6)]
        words = [one.reveal() for one in tokens]
        corp.drive.give(leaked(corp, tokens[0]), "anyone")
        sheet = corp.file(b"", "Accounts", kind=SHEET)
        cells = {
            (0, 0): {"userEnteredValue": {"stringValue": "Token"}},
            (6, 1): {"userEnteredValue": {"stringValue": words[1]}, "note": f"or {words[2]}"},
            (7, 1): {"userEnteredValue": {"formulaValue": f'=CONCATENATE("{words[3]}")'}},
        }
        corp.sheets.add(sheet, "Keys!", cells, hidden=True)
        corp.gmail.receive(ANN, mail(f"here: {words[4]}"))
        corp.chat.says(corp.chat.space("AAA", "Operations", ANN), ANN, f"use {words[5]}")
        found = self.scan(corp)
        assert set(found) == set(words)
        records: dict[str, list[str]] = {}
        for value, (record, _) in found.items():
            records.setdefault(record, []).append(value)
        assert len(records) == 4
        holds = []
        for record, values in records.items():
            location = found[values[0]][1]
            place = Place(
                source="corp",
                platform="google",
                unit=record.rpartition("/")[0] if "/messages/" not in record else "space:spaces/AAA",
                record=record,
                uri=location.uri,
                route=location.route,
                time=location.time,
                author=location.author,
                author_id=location.author_id,
            )
            holds.append((place, *hold(corp, place, *map(Sensitive, values), mail="trash")))
        assert set(self.scan(corp)) == {words[0]}, "the owner's own file is still hers"
        for place, original, receipt in holds:
            release(corp, place, original, receipt, mail="trash")
        assert set(self.scan(corp)) == set(words)

    @staticmethod
    def scan(corp: Organisation) -> dict[str, tuple[str, Location]]:
        """Secrets with their records and places."""
        source = corp.source()
        found = {}
        for unit in source.units():
            assert not isinstance(unit, Skipped)
            records = (one.record for one in source.records(unit, None) if one.record is not None)
            for record, finding in Scanner().scan_records(records, []):
                assert record is not None
                found[finding.secret.reveal()] = (getattr(record, "id", str(record)), finding.location)
        source.close()
        return found


CHANGING = ("drive.files.update", "drive.permissions.delete", "drive.permissions.create")


def cycle(corp: Organisation, place: Place, token: Sensitive) -> tuple[Original, Receipt]:
    original, receipt = hold(corp, place, token)
    release(corp, place, original, receipt)
    return original, receipt


class TestWhenGoogleDoesNotAnswer:
    @pytest.mark.parametrize("method", CHANGING)
    @pytest.mark.parametrize(
        ("fault", "waits"),
        [
            ({"status": 429, "headers": {"Retry-After": "7"}}, [7.0]),
            ({"status": 403, "reason": "rateLimitExceeded", "headers": {"Retry-After": "9"}}, [9.0]),
            ({"status": 403, "reason": "sharingRateLimitExceeded", "headers": {"Retry-After": "3"}}, [3.0]),
        ],
    )
    def test_limits_are_waited_for(
        self, corp: Organisation, method: str, fault: dict[str, Any], waits: list[float]
    ) -> None:
        token = secret()
        id = leaked(corp, token)
        corp.drive.give(id, "user", BOB)
        place = corp.file_place(id)
        corp.server.fail(method, **fault)
        cycle(corp, place, token)
        assert corp.waits == waits and corp.drive.readers(id) == {ANN, BOB}
        assert corp.effects == {"files.update": 2, "permissions.delete": 1, "permissions.create": 1}

    @pytest.mark.parametrize("method", CHANGING)
    @pytest.mark.parametrize("silent", [False, True], ids=["reset", "closed"])
    def test_an_answer_that_is_lost_is_looked_for(self, corp: Organisation, method: str, silent: bool) -> None:
        token = secret()
        id = leaked(corp, token)
        corp.drive.give(id, "user", BOB)
        place = corp.file_place(id)
        corp.server.silent = silent
        corp.server.fail(f"{method}#lost")
        cycle(corp, place, token)
        assert corp.drive.readers(id) == {ANN, BOB}
        assert corp.effects == {"files.update": 2, "permissions.delete": 1, "permissions.create": 1}

    @pytest.mark.parametrize("method", CHANGING)
    def test_a_fault_that_passes(self, corp: Organisation, method: str) -> None:
        token = secret()
        id = leaked(corp, token)
        corp.drive.give(id, "user", BOB)
        place = corp.file_place(id)
        corp.server.fail(method, times=2, status=503)
        cycle(corp, place, token)
        assert corp.effects == {"files.update": 2, "permissions.delete": 1, "permissions.create": 1}

    def test_one_that_does_not_pass_is_unclear(self, corp: Organisation) -> None:
        token = secret()
        place = corp.file_place(leaked(corp, token))
        corp.server.fail("drive.files.update", times=50, status=500)
        with pytest.raises(UnclearError):
            hold(corp, place, token)

    def test_a_closed_quarantine_waits_no_longer(self, corp: Organisation) -> None:
        token = secret()
        place = corp.file_place(leaked(corp, token))
        arrived = threading.Event()
        corp.server.gate, corp.server.arrived = threading.Event(), arrived.set
        quarantine = corp.open()
        caught: list[Exception] = []

        def run() -> None:
            try:
                quarantine.inspect(place, [token])
            except Exception as error:
                caught.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        assert arrived.wait(10)
        quarantine.close()
        thread.join(10)
        corp.server.gate.set()
        assert [type(one) for one in caught] == [ClosedError]

    def test_no_secret_is_logged(self, corp: Organisation, caplog: pytest.LogCaptureFixture) -> None:
        token = secret()
        place = corp.file_place(leaked(corp, token))
        with caplog.at_level(logging.DEBUG):
            cycle(corp, place, token)
        assert token.reveal() not in caplog.text
        assert not any(one in caplog.text for one in TOKENS.values())


class TestOptions:
    @pytest.mark.parametrize(
        ("told", "words"),
        [
            ({}, "credentials of one kind"),
            ({"token": Sensitive("local-token"), "credentials": "a.json"}, "credentials of one kind"),
            ({"token": Sensitive("local-token"), "per_minute": -1.0}, "below 0"),
            ({"token": Sensitive("local-token"), "label": " "}, "needs a name"),
            ({"token": Sensitive("local-token"), "users": (ANN, BOB)}, "one user only"),
            ({"credentials": "/nowhere/account.json"}, "cannot be read"),
        ],
    )
    def test_what_does_not_fit_together(self, told: dict[str, Any], words: str) -> None:
        with pytest.raises(ConfigError, match=words):
            open_quarantine(Options(source="corp", **told), SourceOptions(name="corp"))

    def test_users_of_the_source_are_ours(self, corp: Organisation) -> None:
        source = SourceOptions(name="corp", users=(ANN,), base_url=corp.server.url)
        quarantine = open_quarantine(Options(source="corp", token=Sensitive(TOKENS[ANN]), per_minute=0.0), source)
        token = secret()
        place = corp.file_place(leaked(corp, token))
        original = quarantine.inspect(place, [token])
        assert quarantine.hold(place, original, [token], PLACEHOLDER).outcome == "done"
        quarantine.close()

    def test_an_import_is_cheap(self) -> None:
        program = (
            "import sys, keysentry.connectors.google.quarantine; "
            "print([one for one in sys.modules if one.startswith(('googleapiclient', 'httplib2', 'google.'))])"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
        assert done.stdout.strip() == "[]"

    def test_every_setting_and_scope_is_documented(self) -> None:
        page = (ROOT / "docs" / "google.md").read_text().partition("## Acting")[2]
        for name in Options.__struct_fields__:
            assert f"| `{name}` |" in page and f"`{name}`:" in (Options.__doc__ or "") + "`source`:"
        for scope in {one for scopes in WANTED.values() for one in scopes}:
            assert f"`{scope}`" in page
