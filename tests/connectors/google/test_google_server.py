"""The judge of the fake: what Google's discovery documents do not allow is refused, and no answer can be invented."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.connectors.google.conftest import ANN, TOKEN
from tests.servers.google import GoogleServer
from tests.servers.google_discovery import _validator, find, fits, masked, parse_mask

pytestmark = pytest.mark.xdist_group("google")

ANSWERS: list[tuple[Any, bool]] = [
    ({}, True),
    ({"kind": "drive#fileList", "files": []}, True),
    ({"files": [{"id": "1", "size": "12", "trashed": False, "modifiedTime": "2026-03-01T09:00:00.000Z"}]}, True),
    ({"files": [{"id": "1", "appProperties": {"any": "thing"}}]}, True),
    ({"files": [{"id": 1}]}, False),
    ({"files": [{"id": None}]}, False),
    ({"files": {"id": "1"}}, False),
    ({"files": [{"size": 12}]}, False),
    ({"files": [{"size": "twelve"}]}, False),
    ({"files": [{"trashed": "false"}]}, False),
    ({"files": [{"modifiedTime": "yesterday"}]}, False),
    ({"files": [{"owner": []}]}, False),
    ({"file": []}, False),
    ({"incompleteSearch": 1}, False),
    ([], False),
]


@pytest.mark.parametrize(("answer", "right"), ANSWERS)
def test_both_judges_agree(answer: Any, right: bool) -> None:
    validator = _validator("drive:v3", "FileList")
    assert fits(answer, validator.schema, validator.schema["$defs"]) is right
    assert validator.is_valid(answer) is right


def test_masks_leave_what_was_asked_for() -> None:
    answer = {"a": 1, "b": [{"c": {"d": 1, "e": 2}, "f": 3}], "g": 4}
    assert masked(answer, parse_mask("a,b(c/d)")) == {"a": 1, "b": [{"c": {"d": 1}}]}
    assert masked(answer, parse_mask("b.c,g")) == {"b": [{"c": {"d": 1, "e": 2}}], "g": 4}
    assert masked(answer, parse_mask("*")) == answer


def test_paths_lead_to_methods() -> None:
    for http, path, method, given in (
        ("GET", "/drive/v3/files/x", "drive.files.get", {"fileId": "x"}),
        ("GET", "/drive/v3/changes/startPageToken", "drive.changes.getStartPageToken", {}),
        ("GET", "/v1/spaces/A/messages", "chat.spaces.messages.list", {"parent": "spaces/A"}),
        (
            "GET",
            "/v1/media/spaces/A/attachments/x=",
            "chat.media.download",
            {"resourceName": "spaces/A/attachments/x="},
        ),
        ("GET", "/gmail/v1/users/me/history", "gmail.users.history.list", {"userId": "me"}),
        ("GET", "/v4/spreadsheets/x", "sheets.spreadsheets.get", {"spreadsheetId": "x"}),
    ):
        found = find(http, path)
        assert found is not None, path
        assert (found[0].id, found[1]) == (method, given)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/drive/v3/files?fields=files(id)", 200),
        ("/drive/v3/files?fields=files(idd)", 400),
        ("/drive/v3/files?pagesize=3", 400),
        ("/drive/v3/files?pageSize=3000", 400),
        ("/drive/v3/files?orderBy=colour", 400),
        ("/drive/v3/files?q=name%20is%20nice", 400),
        ("/drive/v3/files?pageToken=made-up", 400),
        ("/drive/v3/files?corpora=drive", 400),
        ("/drive/v3/changes", 400),
        ("/drive/v3/changes?pageToken=99", 400),
        ("/drive/v3/about", 400),
        ("/drive/v3/nothing", 404),
        ("/v4/spreadsheets/nothing", 404),
        ("/v1/spaces/nothing", 404),
        ("/gmail/v1/users/me/history?startHistoryId=3", 404),
    ],
)
def test_what_google_would_refuse_is_refused(path: str, status: int, google: GoogleServer) -> None:
    google.gmail.box(ANN).oldest = 10
    request = urllib.request.Request(google.url + path, headers={"Authorization": f"Bearer {TOKEN}"})
    try:
        with urllib.request.urlopen(request) as answer:
            found = answer.status
    except urllib.error.HTTPError as error:
        found = error.code
        error.close()
    assert found == status
    google.wrong.clear()
