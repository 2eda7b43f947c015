"""Drive: contents, what cannot be read, who can read it, where it lies, and what happens to it.

Google is played by a server of our own, held to Google's discovery documents.
"""

from __future__ import annotations

import os
from itertools import islice
from typing import Any

import pytest

from keysentry.connectors.base import Delivery
from keysentry.errors import AccessError, GoneError, InputError, SourceError
from keysentry.model.finding import Skipped
from keysentry.model.location import Exposure
from keysentry.model.record import Record, Unit
from tests.connectors.google.conftest import ANN, BOB, Open
from tests.connectors.google.worlds import FOLDER, SHEET, Folder, MyDrive, SharedDrive, read, said, unit_of
from tests.servers.google import GoogleServer
from tests.servers.google_paging import Media

pytestmark = pytest.mark.xdist_group("google")
GOOGLE = "application/vnd.google-apps."
MINE = f"my:{ANN}"


def mine(open_google: Open, **options: Any) -> list[Delivery]:
    """All deliveries of Ann's drive."""
    source = open_google(**{"shared_drives": False} | options)
    return read(source, unit_of(source, MINE))


def records(deliveries: list[Delivery]) -> list[Record]:
    """The records among deliveries."""
    return [one.record for one in deliveries if one.record is not None]


def reasons(deliveries: list[Delivery]) -> list[str]:
    """Why something was not read."""
    return [one.reason for delivery in deliveries for one in delivery.skipped]


def content(record: Record) -> bytes:
    """What is in the one content of a record."""
    (part,) = record.parts
    assert part.open is not None
    chunks = list(part.open())
    assert max(map(len, chunks), default=0) <= 1 << 20
    return b"".join(chunks)


def changes(open_google: Open, google: GoogleServer, unit: str, happen: Any, **options: Any) -> list[Delivery]:
    """What is delivered for what happens after a first pass."""
    source = open_google(**options)
    found = unit_of(source, unit)
    first = read(source, found)
    happen()
    return read(source, found, first[-1].cursor)


# -- contents ---------------------------------------------------------------------------------------------------------


def test_a_large_file_comes_in_ranges_and_a_broken_connection_only_costs_its_range(
    google: GoogleServer, open_google: Open
) -> None:
    data = os.urandom(10 << 20)
    google.drive.add("disk.img", data, owner=ANN)
    (record,) = records(mine(open_google))
    google.fail("drive.files.get#body", 2, skip=1)
    before = google.count("drive.files.get")
    assert content(record) == data
    assert google.count("drive.files.get") - before == 3 + 2
    assert record.parts[0].size == 10 << 20


def test_only_what_is_asked_for_of_a_giant_is_read(google: GoogleServer, open_google: Open) -> None:
    google.drive.add("giant.bin", Media(5 << 40, lambda first, last: b"x" * (last - first + 1)), owner=ANN)
    assert reasons(mine(open_google)) == ["it has 5,497,558,138,880 bytes; max_file is 104,857,600"]
    (record,) = records(mine(open_google, max_file=6 << 40))
    assert record.parts[0].open is not None
    before = google.count("drive.files.get")
    assert sum(map(len, islice(record.parts[0].open(), 5))) == 5 << 20
    assert google.count("drive.files.get") - before == 2


def test_an_empty_file_is_a_record_and_costs_no_request(google: GoogleServer, open_google: Open) -> None:
    google.drive.add("empty.txt", b"", owner=ANN)
    (record,) = records(mine(open_google))
    assert record.parts == ()
    assert google.count("drive.files.get") == 1  # of the folder that it lies in


def test_a_server_that_does_not_heed_ranges_is_understood(google: GoogleServer, open_google: Open) -> None:
    google.drive.add("a.bin", Media.of(b"y" * (9 << 20), ranged=False), owner=ANN)
    (record,) = records(mine(open_google))
    assert content(record) == b"y" * (9 << 20)


@pytest.mark.parametrize("size", [6 << 20, 7 << 20])
def test_a_file_that_changes_while_it_is_read_says_so_and_comes_again(
    size: int, google: GoogleServer, open_google: Open
) -> None:
    id = google.drive.add("a.log", b"a" * (6 << 20), owner=ANN)
    source = open_google(shared_drives=False)
    unit = unit_of(source, MINE)
    first = read(source, unit)
    (record,) = records(first)
    assert record.parts[0].open is not None
    chunks = record.parts[0].open()
    next(chunks)
    google.drive.edit(id, b"b" * size)
    with pytest.raises(InputError, match="changed while it was read"):
        list(chunks)
    (again,) = records(read(source, unit, first[-1].cursor))
    assert again.id == record.id
    assert content(again) == b"b" * size


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"status": 403, "reason": "cannotDownloadAbusiveFile"}, "cannotDownloadAbusiveFile"),
        ({"status": 404, "reason": "notFound"}, "notFound"),
        ({"status": 403, "reason": "exportSizeLimitExceeded"}, "exportSizeLimitExceeded"),
    ],
)
def test_a_content_that_cannot_be_had_is_a_matter_of_that_content(
    fault: dict[str, Any], words: str, google: GoogleServer, open_google: Open
) -> None:
    google.drive.add("a.txt", b"words", owner=ANN)
    (record,) = records(mine(open_google))
    google.fail("drive.files.get", **fault)
    with pytest.raises(InputError, match=words):
        content(record)


def test_a_content_that_may_be_had_later_is_a_matter_of_the_source(google: GoogleServer, open_google: Open) -> None:
    google.drive.add("a.txt", b"words", owner=ANN)
    (record,) = records(mine(open_google))
    google.fail("drive.files.get", 99, status=503)
    with pytest.raises(SourceError, match="6 tries"):
        content(record)


def test_documents_of_googles_own_kinds_are_exported(google: GoogleServer, open_google: Open) -> None:
    google.drive.add("Plan", b"\xef\xbb\xbfthe plan", owner=ANN, kind=f"{GOOGLE}document")
    google.drive.add("Talk", b"the talk", owner=ANN, kind=f"{GOOGLE}presentation")
    google.drive.add("Code", b'{"files": []}', owner=ANN, kind=f"{GOOGLE}script")
    google.drive.add("Table", b"PK...", owner=ANN, kind=SHEET)
    google.drive.add("Sub", owner=ANN, kind=FOLDER)
    google.drive.add("Link", owner=ANN, kind=f"{GOOGLE}shortcut")
    google.drive.add("Form", owner=ANN, kind=f"{GOOGLE}form")
    google.drive.add("Drawing", owner=ANN, kind=f"{GOOGLE}drawing")
    deliveries = mine(open_google, sheets=False)
    found = {one.parts[0].name: content(one) for one in records(deliveries)}
    assert found == {
        "Plan.txt": b"\xef\xbb\xbfthe plan",
        "Talk.txt": b"the talk",
        "Code.json": b'{"files": []}',
        "Table.xlsx": b"PK...",
    }
    assert reasons(deliveries) == [
        f"Google does not export what is of the kind {kind} as text" for kind in ("form", "drawing")
    ]


def test_a_document_too_large_for_an_export_is_told(google: GoogleServer, open_google: Open) -> None:
    google.drive.add("Plan", b"x" * (11 << 20), owner=ANN, kind=f"{GOOGLE}document")
    (record,) = records(mine(open_google))
    with pytest.raises(InputError, match="too large to be exported"):
        content(record)


def test_what_may_not_be_downloaded_is_told_with_its_place(google: GoogleServer, open_google: Open) -> None:
    google.drive.add("a.txt", b"words", owner=ANN, more={"capabilities": {"canDownload": False}})
    google.drive.add("b", b"words", owner=ANN, kind=f"{GOOGLE}document", more={"capabilities": {"canDownload": False}})
    deliveries = mine(open_google)
    assert reasons(deliveries) == ["its owner does not let it be downloaded"] * 2
    assert deliveries[0].skipped[0].place == "https://drive.google.com/file/d/file0001/view?usp=drivesdk"


# -- who, where, when -------------------------------------------------------------------------------------------------


def test_a_record_says_who_where_and_when(google: GoogleServer, open_google: Open) -> None:
    outer = google.drive.add("Keys", owner=ANN, kind=FOLDER)
    inner = google.drive.add("Old", owner=ANN, kind=FOLDER, parent=outer)
    id = google.drive.add("a.txt", b"words", owner=ANN, parent=inner, more={"description": "what it is"})
    (record,) = records(mine(open_google))
    assert record.author == "Ann Ames"
    assert record.author_id == ANN
    assert record.time == 1772355603
    assert record.container == f"My Drive of {ANN} / Keys / Old"
    assert record.uri == f"https://drive.google.com/file/d/{id}/view?usp=drivesdk"
    assert [part.segment.text for part in record.parts if part.segment] == [b"what it is"]
    assert google.count("drive.files.get") == 3


PERMISSIONS: list[tuple[list[dict[str, Any]], Exposure]] = [
    ([], Exposure("private", 1)),
    ([{"type": "user", "emailAddress": BOB}], Exposure("private", 2)),
    ([{"type": "group", "emailAddress": "all@corp.example"}], Exposure("private", None)),
    ([{"type": "domain", "domain": "corp.example"}], Exposure("internal", None)),
    ([{"type": "domain", "domain": "partner.example"}], Exposure("external", None)),
    ([{"type": "user", "emailAddress": "eve@partner.example"}], Exposure("external", 2)),
    ([{"type": "user", "emailAddress": "gone@partner.example", "deleted": True}], Exposure("private", 1)),
    ([{"type": "anyone", "id": "anyoneWithLink"}], Exposure("public", None)),
    ([{"type": "domain", "domain": "corp.example"}, {"type": "anyone", "id": "anyone"}], Exposure("public", None)),
]


@pytest.mark.parametrize(("permissions", "exposure"), PERMISSIONS)
def test_sharing_is_exposure(
    permissions: list[dict[str, Any]], exposure: Exposure, google: GoogleServer, open_google: Open
) -> None:
    id = google.drive.add("a.txt", b"words", owner=ANN)
    for permission in permissions:
        google.drive.share(id, **permission)
    assert records(mine(open_google))[0].exposure == exposure


def test_own_domains_can_be_given(google: GoogleServer, open_google: Open) -> None:
    id = google.drive.add("a.txt", b"words", owner=ANN)
    google.drive.share(id, type="user", emailAddress="x@subsidiary.example")
    (record,) = records(mine(open_google, domains=("corp.example", "Subsidiary.example")))
    assert record.exposure == Exposure("private", 2)


def test_sharing_in_a_shared_drive_is_of_the_drive_or_of_what_was_shared_besides(
    google: GoogleServer, open_google: Open
) -> None:
    SharedDrive(google)
    google.drive.share("0Shared", type="user", emailAddress=BOB)
    place = {"drive": "0Shared"}
    google.drive.add("plain.txt", b"1", **place)
    given = google.drive.add("given.txt", b"2", **place)
    google.drive.share(given, type="user", emailAddress="eve@partner.example")
    folder = google.drive.add("Folder", kind=FOLDER, **place)
    google.drive.share(folder, type="anyone", id="anyoneWithLink")
    below = google.drive.add("Below", kind=FOLDER, parent=folder, **place)
    inside = google.drive.add("inside.txt", b"3", parent=below, **place)
    google.drive.permissions[inside] = google.drive.permissions[folder]
    source = open_google(drive=False)
    found = {one.parts[0].name: one for one in records(read(source, unit_of(source, "shared:0Shared")))}
    assert found["plain.txt"].exposure == Exposure("private", 2)
    assert found["given.txt"].exposure == Exposure("external", 3)
    assert found["inside.txt"].exposure == Exposure("public")
    assert found["inside.txt"].container == "Projects / Folder / Below"
    assert google.count("drive.permissions.list") == 3  # of the drive, and of the two that were shared besides


def test_sharing_anew_brings_a_file_again(google: GoogleServer, open_google: Open) -> None:
    id = google.drive.add("a.txt", b"words", owner=ANN)
    happened = changes(open_google, google, MINE, lambda: google.drive.share(id, type="anyone", id="anyoneWithLink"))
    assert records(happened)[0].exposure == Exposure("public")


# -- what happens to files --------------------------------------------------------------------------------------------


def test_trash_counts_as_deleted_and_what_is_taken_out_comes_again(google: GoogleServer, open_google: Open) -> None:
    id = google.drive.add("a.txt", b"words", owner=ANN)
    trashed = changes(open_google, google, MINE, lambda: google.drive.edit(id, trashed=True, explicitlyTrashed=True))
    assert said(trashed) == [f"-{MINE}/{id}"]
    back = changes(open_google, google, MINE, lambda: google.drive.edit(id, trashed=False))
    assert said(back) == [f"{MINE}/{id}"]


def test_a_renamed_and_a_moved_file_come_again_under_their_id(google: GoogleServer, open_google: Open) -> None:
    folder = google.drive.add("Keys", owner=ANN, kind=FOLDER)
    id = google.drive.add("a.txt", b"words", owner=ANN)
    (renamed,) = records(changes(open_google, google, MINE, lambda: google.drive.edit(id, name="b.txt")))
    assert (renamed.id, renamed.parts[0].name) == (f"{MINE}/{id}", "b.txt")
    (moved,) = records(changes(open_google, google, MINE, lambda: google.drive.edit(id, parents=[folder])))
    assert moved.container.endswith("/ Keys")


def test_what_leaves_a_folder_is_gone_from_it_and_what_enters_is_new(google: GoogleServer, open_google: Open) -> None:
    Folder(google)
    inside = google.drive.add("in.txt", b"1", owner=ANN, parent="inner")
    outside = google.drive.add("out.txt", b"2", owner=ANN)

    def happen() -> None:
        google.drive.edit(inside, parents=[f"root-{ANN}"])
        google.drive.edit(outside, parents=["innermost"])

    happened = changes(open_google, google, "folder:top", happen, folders=("top",))
    assert said(happened) == [f"-folder:top/{inside}", f"folder:top/{outside}"]
    assert records(happened)[1].container == "Top / Inner / Innermost"


def test_a_file_that_moves_to_a_shared_drive_is_gone_from_the_first(google: GoogleServer, open_google: Open) -> None:
    SharedDrive(google)
    id = google.drive.add("a.txt", b"words", owner=ANN)

    def happen() -> None:
        google.drive.edit(id, b"words")  # in the user's feed
        google.drive.files[id]["driveId"] = "0Shared"

    assert said(changes(open_google, google, MINE, happen)) == [f"-{MINE}/{id}"]


def test_a_folder_in_a_shared_drive_and_a_shared_drive_by_its_id(google: GoogleServer, open_google: Open) -> None:
    SharedDrive(google)
    folder = google.drive.add("Folder", kind=FOLDER, drive="0Shared")
    inside = google.drive.add("in.txt", b"1", drive="0Shared", parent=folder)
    outside = google.drive.add("out.txt", b"2", drive="0Shared")
    source = open_google(folders=(folder, "0Shared", "nowhere"))
    first, second, gone = source.units()
    assert isinstance(first, Unit) and isinstance(second, Unit)
    assert (first.title, second.title) == ("Folder", "Projects")
    assert said(read(source, first)) == [f"{first.id}/{inside}"]
    assert said(read(source, second)) == [f"{second.id}/{inside}", f"{second.id}/{outside}"]
    assert isinstance(gone, Skipped) and gone.place == "folder:nowhere"


def test_a_drive_that_is_gone_says_so(google: GoogleServer, open_google: Open) -> None:
    SharedDrive(google)
    source = open_google(drive=False)
    unit = unit_of(source, "shared:0Shared")
    del google.drive.drives["0Shared"]
    with pytest.raises(GoneError):
        read(source, unit)


def test_files_of_others_are_read_only_if_asked_for(google: GoogleServer, open_google: Open) -> None:
    google.drive.user(BOB, "Bob")
    google.drive.add("mine.txt", b"1", owner=ANN)
    given = google.drive.add("his.txt", b"2", owner=BOB)
    google.drive.share(given, type="user", emailAddress=ANN)
    assert len(records(mine(open_google))) == 1
    both = records(mine(open_google, shared_with_me=True))
    assert [one.author_id for one in both] == [ANN, BOB]
    assert both[1].exposure == Exposure("unknown", 2)  # who may not share is not told with whom it is
    quiet = changes(open_google, google, MINE, lambda: google.drive.edit(given, b"3"))
    assert said(quiet) == []
    loud = changes(open_google, google, MINE, lambda: google.drive.edit(given, b"4"), shared_with_me=True)
    assert said(loud) == [f"{MINE}/{given}"]


def test_what_is_older_than_since_is_left_out(google: GoogleServer, open_google: Open) -> None:
    google.drive.add("old.txt", b"1", owner=ANN)
    google.advance(days=3)
    google.drive.add("new.txt", b"2", owner=ANN)
    assert [one.parts[0].name for one in records(mine(open_google, since="2026-03-02"))] == ["new.txt"]


# -- places that are lost ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ordered", [True, False])
def test_listing_goes_on_where_the_tokens_of_its_pages_have_expired(
    ordered: bool, google: GoogleServer, open_google: Open
) -> None:
    world = MyDrive(google)
    ids = [world.add(f"words {number}") for number in range(8)]
    google.drive.ordered = ordered
    if not ordered:
        google.drive.files[ids[1].rpartition("/")[2]]["createdTime"] = "2026-03-01T23:00:00.000Z"
    source = open_google(**world.options)
    unit = unit_of(source, world.unit)
    whole = read(source, unit)
    for number in range(3, 7):
        google.drive.pager.expire()
        rest = said(read(source, unit, whole[number].cursor))
        if ordered:
            assert rest == said(whole[number + 1 :])
        else:
            assert rest == said(whole)  # in no order there is no telling what was given


def test_a_feed_that_has_forgotten_the_place_is_begun_anew(google: GoogleServer, open_google: Open) -> None:
    world = MyDrive(google)
    ids = [world.add(f"words {number}") for number in range(4)]
    source = open_google(**world.options)
    unit = unit_of(source, world.unit)
    cursor = read(source, unit)[-1].cursor
    google.advance(days=400)
    ids.append(world.add("more"))
    google.drive.forgotten = 6
    again = read(source, unit, cursor)
    assert said(again) == ids
    assert read(source, unit, again[-1].cursor) == []


# -- odd answers ------------------------------------------------------------------------------------------------------


def test_null_and_unknown_fields_cost_at_most_their_file(google: GoogleServer, open_google: Open) -> None:
    world = MyDrive(google)
    for number in range(3):
        world.add(f"words {number}")

    def twist(answer: Any) -> Any:
        first, second, third = answer["files"]
        nothing = dict.fromkeys(first)
        answer["files"] = [
            nothing | {"id": first["id"], "name": None, "permissions": [None, 7], "owners": "?"},
            None,
            {"name": "without an id"},
            second | {"unheardOf": {"a": [1]}, "size": "many", "modifiedTime": "yesterday", "parents": [3]},
            third | {"lastModifyingUser": None, "capabilities": None},
        ]
        return answer

    google.twists["drive.files.list"] = twist
    deliveries = mine(open_google)
    first, second, third = records(deliveries)
    assert content(first) == b"words 0"
    assert (first.author, first.time, first.uri) == ("", None, "")
    assert (content(second), content(third)) == (b"words 1", b"words 2")
    assert second.time is None
    assert third.author == "Ann Ames"
    assert reasons(deliveries) == ["a file without an id"]


def test_a_search_that_was_not_complete_is_told(google: GoogleServer, open_google: Open) -> None:
    MyDrive(google).add("words")
    google.twists["drive.files.list"] = lambda answer: answer | {"incompleteSearch": True}
    deliveries = mine(open_google)
    assert len(records(deliveries)) == 1
    assert [one.partial for delivery in deliveries for one in delivery.skipped] == [True]


def test_a_change_without_its_file_is_told(google: GoogleServer, open_google: Open) -> None:
    world = MyDrive(google)
    id = world.add("words")

    def twist(answer: Any) -> Any:
        answer["changes"] = [{"changeType": "file", "fileId": "x", "file": None}, {"unknown": 1}, *answer["changes"]]
        return answer

    google.twists["drive.changes.list"] = twist
    happened = changes(open_google, google, MINE, lambda: world.edit(id, "other"))
    assert said(happened) == [id]
    assert reasons(happened) == ["a change that says nothing of its file"] * 2


def test_what_is_no_object_is_an_error_of_the_source(google: GoogleServer, open_google: Open) -> None:
    MyDrive(google).add("words")
    google.twists["drive.files.list"] = lambda answer: ["nothing", "of the kind"]
    with pytest.raises(SourceError, match="answers with no object"):
        mine(open_google)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"status": 403, "reason": "accessNotConfigured"}, "enable the Google Drive API"),
        ({"status": 403, "reason": "", "detail": "SERVICE_DISABLED"}, "enable the Google Drive API"),
        ({"status": 403, "reason": "domainPolicy"}, "an administrator of the domain must allow this app"),
    ],
)
def test_what_a_person_must_do_is_said(
    fault: dict[str, Any], words: str, google: GoogleServer, open_google: Open
) -> None:
    google.fail("drive.files.list", **fault)
    with pytest.raises(AccessError, match=words):
        mine(open_google)


def test_nothing_that_is_refused_goes_to_the_log(
    google: GoogleServer, open_google: Open, caplog: pytest.LogCaptureFixture
) -> None:
    google.drive.add("a.txt", b"words", owner=ANN)
    google.fail("drive.files.list", 2, status=403, reason="userRateLimitExceeded")
    assert records(mine(open_google))
    assert not caplog.records


def test_a_used_up_day_is_not_tried_again(google: GoogleServer, open_google: Open, waits: list[float]) -> None:
    google.fail("drive.files.list", status=403, reason="dailyLimitExceeded")
    with pytest.raises(SourceError, match="quota of the day"):
        mine(open_google)
    assert not waits
