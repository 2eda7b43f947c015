"""Cells of Google Sheets held and released, against our own server (`tests/servers/google_acting.py`).

What the source says of a spreadsheet is read by the source and scanned, so that addresses are those of findings.
"""

from __future__ import annotations

import base64
import copy
import logging
from typing import Any

import pytest

from keysentry.errors import AccessError, ChangedError, GoneError, InputError, SourceError
from keysentry.model.action import Place
from keysentry.model.location import Route, Step
from keysentry.model.sensitive import Sensitive
from tests.connectors.google.acting_bench import (
    ANN,
    BOB,
    PLACEHOLDER,
    TOKENS,
    Organisation,
    held,
    hold,
    inspect,
    release,
    secret,
    told,
)
from tests.connectors.google.worlds import SHEET

pytestmark = pytest.mark.xdist_group("google")

Cells = dict[tuple[int, int], dict[str, Any]]
SHEET_NAME = "Keys! of 'May'"


def words(value: str, **more: Any) -> dict[str, Any]:
    return {"userEnteredValue": {"stringValue": value}, **more}


def book(corp: Organisation, cells: Cells, **properties: Any) -> str:
    id = corp.file(b"", "Accounts", kind=SHEET)
    corp.sheets.add(id, SHEET_NAME, cells, **properties)
    return id


def place_of(corp: Organisation, id: str, cell: str = "", *more: Step, user: str = ANN) -> Place:
    route: Route = (Step("file", "Accounts.xlsx"),)
    route += (Step("cell", f"{SHEET_NAME}!{cell}"), *more) if cell else ()
    return corp.file_place(id, route=route)


def cells(corp: Organisation, id: str, sheet: int = 0) -> Cells:
    """What stands in a sheet."""
    return copy.deepcopy(corp.sheets.books[id][sheet]["cells"])


def shows(corp: Organisation, id: str, token: Sensitive) -> bool:
    """Whether anybody can read a secret in any cell."""
    found = [
        repr(corp.sheets.shown(id, number, *at))
        for number, sheet in enumerate(corp.sheets.books[id])
        for at in sheet["cells"]
    ]
    return token.reveal() in "\n".join(found)


def kinds(token: str) -> Cells:
    """A secret in every kind of cell, and others."""
    uri = f"https://example.com/?key={token}"
    bold = {"textFormat": {"bold": True}, "numberFormat": {"type": "TEXT"}}
    return {
        (0, 0): words("Service"),
        (1, 0): words(token, userEnteredFormat=bold, note="ask Bob"),
        (2, 0): {"userEnteredValue": {"formulaValue": f'=CONCATENATE("{token[:9]}","{token[9:]}")'}},
        (3, 0): {"userEnteredValue": {"formulaValue": f'=HYPERLINK("{uri}","open")'}},
        (4, 0): words("see here", textFormatRuns=[{"startIndex": 4, "format": {"link": {"uri": uri}}}]),
        (5, 0): words("see there", userEnteredFormat={"textFormat": {"italic": True, "link": {"uri": uri}}}),
        (6, 0): words("only its note", note=f"the key is {token}"),
        (7, 0): {"note": f"and this one has no value: {token}"},
        (8, 0): words(f"{token} @", chipRuns=[{"startIndex": 41, "chip": {"personProperties": {"email": BOB}}}]),
        (9, 0): {"userEnteredValue": {"formulaValue": "=A2"}},
        (10, 0): {"userEnteredValue": {"boolValue": True}},
        (11, 0): {"userEnteredValue": {"numberValue": 4.5}, "note": "a price"},
    }


def test_every_kind_of_cell_is_held_and_comes_back_as_it_was_entered(corp: Organisation) -> None:
    token = secret()
    id = book(corp, kinds(token.reveal()), hidden=True)
    before = cells(corp, id)
    place = place_of(corp, id, "A2")
    original, receipt = hold(corp, place, token)
    assert not shows(corp, id, token)
    now = cells(corp, id)
    assert {at for at in now if now[at] != before[at]} == {(row, 0) for row in range(1, 10)}
    assert now[1, 0]["userEnteredValue"] == {"stringValue": PLACEHOLDER}
    assert now[1, 0]["userEnteredFormat"] == before[1, 0]["userEnteredFormat"], "formats stay"
    assert now[1, 0]["note"].startswith("ask Bob\nkeysentry holds this cell (")
    assert now[5, 0]["userEnteredFormat"] == {"textFormat": {"italic": True}}
    assert now[6, 0]["userEnteredValue"] == {"stringValue": "only its note"} and PLACEHOLDER in now[6, 0]["note"]
    assert "userEnteredValue" not in now[7, 0]
    assert corp.effects == {"spreadsheets.batchUpdate": 1}
    assert receipt.evidence["cells"] == "9" and "version history" in receipt.note
    assert original.note.startswith(f"{SHEET_NAME}!A2, ") and "of Accounts" in original.note
    done = release(corp, place, original, receipt)
    assert cells(corp, id) == before and corp.effects == {"spreadsheets.batchUpdate": 2}
    assert token.reveal() not in told(done)


def test_numbers_are_held_and_come_back_as_numbers(corp: Organisation) -> None:
    card = Sensitive("4111111111111111")
    number = {"userEnteredValue": {"numberValue": 4111111111111111}, "formattedValue": "4.11E+15"}
    id = book(corp, {(0, 0): number})
    place = place_of(corp, id, "A1")
    original, receipt = hold(corp, place, card)
    assert cells(corp, id)[0, 0]["userEnteredValue"] == {"stringValue": PLACEHOLDER}
    release(corp, place, original, receipt)
    assert cells(corp, id)[0, 0]["userEnteredValue"] == number["userEnteredValue"]


def test_many_cells_over_several_sheets_in_one_call(corp: Organisation) -> None:
    token, other = secret(1), secret(2)
    id = book(corp, {(row, row % 3): words(f"{row} {token.reveal()}") for row in range(90)})
    corp.sheets.add(id, "Other", {(0, 0): words(other.reveal()), (1, 0): words("nothing")})
    before = [cells(corp, id), cells(corp, id, 1)]
    place = place_of(corp, id, "A1")
    original, receipt = hold(corp, place, token, other)
    assert not shows(corp, id, token) and not shows(corp, id, other)
    assert receipt.evidence["cells"] == "91" and corp.effects == {"spreadsheets.batchUpdate": 1}
    release(corp, place, original, receipt)
    assert [cells(corp, id), cells(corp, id, 1)] == before


def test_cells_that_went_elsewhere_are_known_and_come_back_there(corp: Organisation) -> None:
    token = secret()
    id = book(corp, {(4, 1): words(token.reveal(), note="mine"), (5, 1): words(f"again {token.reveal()}")})
    place = place_of(corp, id, "B5")
    original, receipt = hold(corp, place, token)
    corp.sheets.insert_row(id, 0, 2)
    corp.sheets.books[id][0]["properties"]["title"] = "Renamed"
    again = held(corp, place, original)
    assert again is not None and again.evidence["cells"] == "2"
    release(corp, place, original, receipt)
    assert cells(corp, id) == {(5, 1): words(token.reveal(), note="mine"), (6, 1): words(f"again {token.reveal()}")}
    assert corp.effects == {"spreadsheets.batchUpdate": 2}


def test_a_cell_that_went_elsewhere_before_it_was_held_is_looked_for_again(corp: Organisation) -> None:
    token = secret()
    id = book(corp, {(4, 1): words(token.reveal())})
    place = place_of(corp, id, "B5")
    with corp.quarantine() as quarantine:
        original = quarantine.inspect(place, [token])
        corp.sheets.insert_row(id, 0, 2)
        with pytest.raises(ChangedError):
            quarantine.hold(place, original, [token], PLACEHOLDER)
    original, receipt = hold(corp, place, token)
    assert not shows(corp, id, token)
    release(corp, place, original, receipt)
    assert cells(corp, id) == {(5, 1): words(token.reveal())}


def test_what_somebody_wrote_since_is_not_overwritten(corp: Organisation) -> None:
    token = secret()
    id = book(corp, {(0, 0): words(token.reveal()), (1, 0): words(token.reveal())})
    place = place_of(corp, id, "A1")
    original, receipt = hold(corp, place, token)
    note = cells(corp, id)[0, 0]["note"]
    corp.sheets.enter(id, 0, 0, 0, words("in the vault now", note=note))
    done = release(corp, place, original, receipt)
    assert cells(corp, id)[0, 0] == words("in the vault now", note=note)
    assert cells(corp, id)[1, 0] == words(token.reveal())
    assert "1 that somebody wrote since is left" in done.note
    original, receipt = hold(corp, place, token)
    corp.sheets.enter(id, 0, 1, 0, words("this too"))
    with pytest.raises(ChangedError):
        release(corp, place, original, receipt)


def test_a_cell_that_somebody_put_back_is_replaced_again(corp: Organisation) -> None:
    token = secret()
    id = book(corp, {(0, 0): words(token.reveal()), (1, 0): words(f"{token.reveal()} too")})
    place = place_of(corp, id, "A1")
    original, _ = hold(corp, place, token)
    corp.sheets.enter(id, 0, 0, 0, words(token.reveal()))
    assert held(corp, place, original) is not None
    assert not shows(corp, id, token)


def test_the_rest_of_an_array_formula_follows(corp: Organisation) -> None:
    token = secret()
    id = book(corp, {(0, 0): words(token.reveal()), (0, 3): {"spill": (0, 0)}})
    place = place_of(corp, id, "D1")
    original, receipt = hold(corp, place, token)
    assert receipt.evidence["cells"] == "1" and not shows(corp, id, token)
    release(corp, place, original, receipt)


def test_cells_that_only_show_what_comes_from_elsewhere(corp: Organisation) -> None:
    token = secret()
    shown = {"effectiveValue": {"stringValue": token.reveal()}, "formattedValue": token.reveal()}
    id = book(corp, {(0, 0): dict(shown)})
    with pytest.raises(InputError) as caught:
        inspect(corp, place_of(corp, id, "A1"), token)
    assert "`sheets` to file" in caught.value.advice and token.reveal() not in told(caught.value)
    both = book(corp, {(0, 0): dict(shown), (1, 0): words(token.reveal())})
    with pytest.raises(SourceError, match="still show") as failed:
        hold(corp, place_of(corp, both, "A1"), token)
    assert "`sheets` to file" in failed.value.advice


def test_a_cell_in_which_it_is_encoded(corp: Organisation) -> None:
    token = secret()
    packed = base64.b64encode(token.reveal_bytes()).decode()
    id = book(corp, {(0, 0): words("nothing"), (3, 2): words(packed), (4, 2): words("x", note=packed)})
    place = place_of(corp, id, "C4", Step("encoded", "base64"))
    original, receipt = hold(corp, place, token)
    assert cells(corp, id)[3, 2]["userEnteredValue"] == {"stringValue": PLACEHOLDER}
    release(corp, place, original, receipt)
    noted = place_of(corp, id, "C5", Step("comment", "note"), Step("encoded", "base64"))
    original, receipt = hold(corp, noted, token)
    assert (
        packed not in cells(corp, id)[4, 2]["note"] and cells(corp, id)[4, 2]["userEnteredValue"]["stringValue"] == "x"
    )
    release(corp, noted, original, receipt)
    corp.server.advance(seconds=5)
    corp.sheets.enter(id, 0, 0, 0, words("edited elsewhere"))
    with pytest.raises(ChangedError):
        inspect(corp, noted, token)


def test_a_secret_in_the_description_is_a_matter_of_the_whole_file(corp: Organisation) -> None:
    token = secret()
    id = book(corp, {(0, 0): words("nothing")})
    corp.drive.edit(id, description=f"login with {token.reveal()}")
    corp.drive.give(id, "user", BOB)
    _, receipt = hold(corp, place_of(corp, id), token)
    assert receipt.evidence["way"] == "file" and corp.drive.readers(id) == {ANN}


def test_an_uploaded_workbook_is_a_file(corp: Organisation) -> None:
    token = secret()
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    id = corp.file(b"PK\x03\x04 not to be read here", "Accounts.xlsx", kind=kind)
    corp.drive.give(id, "anyone")
    _, receipt = hold(corp, place_of(corp, id, "A1"), token)
    assert receipt.evidence["way"] == "file" and corp.drive.readers(id) == {ANN}


def test_chips_that_can_only_be_read_become_text(corp: Organisation) -> None:
    token = secret()
    id = book(
        corp, {(0, 0): words(f"{token.reveal()} @", chipRuns=[{"startIndex": 41, "chip": {"richLinkProperties": {}}}])}
    )
    place = place_of(corp, id, "A1")
    original, receipt = hold(corp, place, token)
    corp.sheets.read_only_chips = True
    done = release(corp, place, original, receipt)
    assert cells(corp, id)[0, 0] == words(f"{token.reveal()} @") and "chips" in done.note


class TestRefusals:
    def test_a_protected_range(self, corp: Organisation) -> None:
        token = secret()
        id = book(corp, {(0, 0): words(token.reveal())})
        corp.sheets.protected.add((id, 0, 0))
        with pytest.raises(AccessError, match="protected range") as caught:
            hold(corp, place_of(corp, id, "A1"), token)
        assert "`sheets` to file" in caught.value.advice and not corp.effects

    def test_one_who_may_only_read(self, corp: Organisation) -> None:
        token = secret()
        id = book(corp, {(0, 0): words(token.reveal())})
        corp.drive.give(id, "user", BOB, "reader")
        place = place_of(corp, id, "A1")
        mine = Place(source="corp", unit=f"my:{BOB}", record=f"my:{BOB}/{id}", route=place.route)
        with pytest.raises(AccessError, match=f"belongs to {ANN}"):
            inspect(corp, mine, token, user=BOB)

    def test_what_google_says_again_is_not_told(self, corp: Organisation) -> None:
        """A refusal of Sheets quotes what it was sent."""
        token = secret()
        id = book(corp, {(0, 0): words(token.reveal())})
        place = place_of(corp, id, "A1")
        original, receipt = hold(corp, place, token)
        corp.server.fail("sheets.spreadsheets.batchUpdate", times=2, status=400, reason=f"Invalid {token.reveal()}")
        with pytest.raises(InputError) as caught:
            release(corp, place, original, receipt)
        assert token.reveal() not in told(caught.value)

    def test_a_spreadsheet_or_a_sheet_that_is_gone(self, corp: Organisation) -> None:
        token = secret()
        id = book(corp, {(0, 0): words("nothing")})
        corp.sheets.add(id, "Second", {(0, 0): words(token.reveal())})
        place = place_of(corp, id, "A1")
        original, receipt = hold(corp, place, token)
        second = corp.sheets.books[id].pop()
        assert held(corp, place, original) is None
        with pytest.raises(ChangedError):
            release(corp, place, original, receipt)
        corp.sheets.books[id].append(second)
        corp.drive.remove(id)
        with pytest.raises(GoneError):
            release(corp, place, original, receipt)

    @pytest.mark.parametrize("silent", [False, True])
    def test_an_answer_that_is_lost_is_looked_for(self, corp: Organisation, silent: bool) -> None:
        token = secret()
        id = book(corp, {(0, 0): words(token.reveal())})
        before = cells(corp, id)
        place = place_of(corp, id, "A1")
        corp.server.silent = silent
        for _ in range(2):
            corp.server.fail("sheets.spreadsheets.batchUpdate#lost")
        original, receipt = hold(corp, place, token)
        release(corp, place, original, receipt)
        assert cells(corp, id) == before and corp.effects == {"spreadsheets.batchUpdate": 2}

    def test_limits_are_waited_for_and_nothing_is_logged(
        self, corp: Organisation, caplog: pytest.LogCaptureFixture
    ) -> None:
        token = secret()
        id = book(corp, {(0, 0): words(token.reveal())})
        place = place_of(corp, id, "A1")
        corp.server.fail("sheets.spreadsheets.batchUpdate", status=429, headers={"Retry-After": "11"})
        with caplog.at_level(logging.DEBUG):
            original, receipt = hold(corp, place, token)
            release(corp, place, original, receipt)
        assert corp.waits == [11.0] and corp.effects == {"spreadsheets.batchUpdate": 2}
        assert token.reveal() not in caplog.text and TOKENS[ANN] not in caplog.text
