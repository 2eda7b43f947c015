"""Messages, files and mails of Microsoft 365 held and released, against our own server, which keeps to the Graph
reference (`tests/servers/graph_acting.py`); the usual ways of all of them behind Prism, which holds requests and
answers to Microsoft's own description.
"""

from __future__ import annotations

import logging
import random
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from keysentry.connectors.microsoft import Options as SourceOptions
from keysentry.connectors.microsoft.holding import MicrosoftQuarantine
from keysentry.connectors.microsoft.quarantine import Options, open_quarantine
from keysentry.connectors.slack import Options as SlackOptions
from keysentry.errors import (
    AccessError,
    ChangedError,
    ClosedError,
    ConfigError,
    GoneError,
    InputError,
    KeysentryError,
    SourceError,
    UnclearError,
)
from keysentry.model.action import Original, Place, Receipt
from keysentry.model.sensitive import Sensitive
from keysentry.rules.forge import forge
from tests.connectors.microsoft.acting_bench import Corp
from tests.servers.graph_acting import ACTING, ACTING_PERMISSIONS, ActingServer, acting_graph, describe
from tests.servers.graph_acting_files import grant, link
from tests.servers.graph_acting_teams import blocked
from tests.servers.graph_state import Entry
from tests.servers.prism import prism, violations

pytestmark = pytest.mark.xdist_group("graph acting")

PLACEHOLDER = "Removed by keysentry: this held a credential <&>. Ask security@example.com."


@pytest.fixture(scope="module")
def server() -> Iterator[ActingServer]:
    with acting_graph() as running:
        yield running


@pytest.fixture
def corp(server: ActingServer) -> Corp:
    return Corp(server)


@pytest.fixture(scope="module")
def _prism(server: ActingServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("prism")
    with prism(folder, server.url, describe) as address:
        yield address, folder


@pytest.fixture
def validated(_prism: tuple[str, Path], server: ActingServer) -> Iterator[Corp]:
    """A tenant whose calls go through Prism; none of them may be against the description."""
    address, folder = _prism
    before = len(violations(folder))
    yield Corp(server, address)
    assert violations(folder)[before:] == []


def secret(seed: int = 1) -> Sensitive:
    return Sensitive(forge("ghp_{base62:30}{crc32-base62:6}", random.Random(seed)))


def told(*said: object) -> str:
    """All that was said where people and logs see it."""
    words = []
    for one in said:
        if isinstance(one, Receipt):
            words.append(repr((one.note, one.evidence, one.outcome)))
        elif isinstance(one, Original):
            words.append(repr((one.note, one.version)))
        else:
            words.append(f"{one!r} {one}")
    return "\n".join(words)


def inspect(corp: Corp, place: Place, *secrets: Sensitive, **options: Any) -> Original:
    with corp.quarantine(**options) as quarantine:
        return quarantine.inspect(place, secrets)


def hold(corp: Corp, place: Place, *secrets: Sensitive, **options: Any) -> tuple[Original, Receipt]:
    with corp.quarantine(**options) as quarantine:
        original = quarantine.inspect(place, secrets)
        receipt = quarantine.hold(place, original, secrets, PLACEHOLDER)
    assert not any(one.reveal() in told(original, receipt) for one in secrets)
    return original, receipt


def hold_again(corp: Corp, place: Place, original: Original, **options: Any) -> Receipt:
    with corp.quarantine(**options) as quarantine:
        return quarantine.hold(place, original, (), PLACEHOLDER)


def was_held(corp: Corp, place: Place, original: Original, **options: Any) -> Receipt | None:
    with corp.quarantine(**options) as quarantine:
        return quarantine.held(place, original, PLACEHOLDER)


def release(corp: Corp, place: Place, original: Original, receipt: Receipt, **options: Any) -> Receipt:
    with corp.quarantine(**options) as quarantine:
        done = quarantine.release(place, original, receipt)
        assert quarantine.released(place, original, receipt) is not None
        return done


def fails(kind: type[KeysentryError], act: Callable[[], object], *secrets: Sensitive) -> KeysentryError:
    with pytest.raises(kind) as caught:
        act()
    assert type(caught.value) is kind or kind is SourceError
    assert not any(one.reveal() in told(caught.value) for one in secrets)
    return caught.value


class TestMessages:
    @pytest.mark.parametrize("where", ["channel", "reply", "chat"])
    def test_a_message_is_blocked_as_documented_and_let_through(self, validated: Corp, where: str) -> None:
        corp, token = validated, secret()
        space = corp.chat if where == "chat" else corp.channel
        first = corp.tenant.post(space, "so?", corp.bob)
        reply = {"reply_to": first} if where == "reply" else {}
        id_ = corp.tenant.post(space, f"<p>use {token.reveal()}</p>", corp.ann, **reply)
        before = dict(corp.message(id_, space))
        place = corp.place(id_)
        original, receipt = hold(corp, place, token, compliance_url="https://contoso.com/rules")
        violation = corp.message(id_, space)["policyViolation"]
        assert violation["dlpAction"] == "blockAccess" and violation["verdictDetails"] == "none"
        assert violation["userAction"] == "none"
        tip = violation["policyTip"]
        assert tip["generalText"].startswith(f"{PLACEHOLDER} [ref. ")
        assert tip["complianceUrl"] == "https://contoso.com/rules" and tip["matchedConditionDescriptions"] == [
            "a secret"
        ]
        (path,) = corp.server.paths("PATCH")
        assert path.endswith(f"/messages/{place.record.partition('/messages/')[2]}?model=A")
        assert corp.effects == {"block": 1} and receipt.evidence["dlpAction"] == "blockAccess"
        done = release(corp, place, original, receipt)
        now = corp.message(id_, space)
        assert not blocked(now) and now["policyViolation"]["dlpAction"] == "none"
        assert {key: now[key] for key in ("body", "lastEditedDateTime")} == {
            key: before[key] for key in ("body", "lastEditedDateTime")
        }
        assert corp.effects == {"block": 1, "clear": 1} and token.reveal() not in told(done)
        assert corp.record(id_).parts, "its source reads it again"

    def test_what_another_app_said_comes_back(self, corp: Corp) -> None:
        token = secret()
        theirs = {"dlpAction": "notifySender", "policyTip": {"generalText": "mind the numbers"}}
        id_ = corp.tenant.post(corp.channel, token.reveal(), corp.ann, policyViolation=theirs)
        place = corp.place(id_)
        original, receipt = hold(corp, place, token)
        assert blocked(corp.message(id_))
        release(corp, place, original, receipt)
        assert corp.message(id_)["policyViolation"] == theirs

    def test_what_another_app_blocks_stays_blocked(self, corp: Corp) -> None:
        token = secret()
        theirs = {"dlpAction": "BlockAccess", "policyTip": {"generalText": "not here"}}
        id_ = corp.tenant.post(corp.channel, token.reveal(), corp.ann, policyViolation=theirs)
        place = corp.place(id_)
        original, receipt = hold(corp, place, token)
        assert receipt.outcome == "already" and corp.effects == {}
        done = release(corp, place, original, receipt)
        assert done.outcome == "already" and "another" in done.note
        assert corp.message(id_)["policyViolation"] == theirs and corp.effects == {}

    def test_a_block_that_the_author_lifted_is_none(self, corp: Corp) -> None:
        token = secret()
        id_ = corp.tenant.post(corp.channel, token.reveal(), corp.ann)
        place = corp.place(id_)
        original, _ = hold(corp, place, token, author_may="justify")
        violation = corp.message(id_)["policyViolation"]
        assert violation["verdictDetails"] == "allowOverrideWithJustification"
        violation["userAction"] = "override"
        assert was_held(corp, place, original) is None
        hold(corp, place, token)
        assert blocked(corp.message(id_))

    def test_an_edit_in_the_moment_of_the_block_is_seen(self, corp: Corp) -> None:
        token = secret()
        id_ = corp.tenant.post(corp.channel, token.reveal(), corp.ann)
        place = corp.place(id_)
        original = inspect(corp, place, token)
        corp.server.meanwhile = [("^PATCH", lambda: corp.tenant.edit(corp.channel, id_, "never mind"))]
        fails(ChangedError, lambda: hold_again(corp, place, original), token)
        assert not blocked(corp.message(id_)) and corp.message(id_)["body"]["content"] == "never mind"
        fails(ChangedError, lambda: inspect(corp, place, token), token)

    def test_a_reaction_is_no_edit(self, corp: Corp) -> None:
        token = secret()
        id_ = corp.tenant.post(corp.channel, token.reveal(), corp.ann)
        place = corp.place(id_)
        original = inspect(corp, place, token)
        corp.message(id_).update(
            reactions=[{"reactionType": "like"}], etag="9", lastModifiedDateTime=corp.tenant.tick()
        )
        assert hold_again(corp, place, original).outcome == "done"

    def test_a_secret_that_cannot_be_seen_is_held_if_nobody_has_edited(self, corp: Corp) -> None:
        token = secret()
        id_ = corp.tenant.post(corp.channel, b64encode(token.reveal_bytes()).decode(), corp.ann)
        hold(corp, corp.place(id_), token)
        assert blocked(corp.message(id_))

    @pytest.mark.parametrize("content", ["gh<b>p_</b>{}", "<p>gh</p><p>p_{}</p>", "gh\u200bp_{}"])
    def test_a_secret_in_pieces_is_seen(self, corp: Corp, content: str) -> None:
        token = secret()
        id_ = corp.tenant.post(corp.channel, "x", corp.ann)
        corp.tenant.edit(corp.channel, id_, content.format(token.reveal()[4:]))
        hold(corp, corp.place(id_), token)
        assert blocked(corp.message(id_))

    def test_a_message_that_is_held_is_not_inspected_again(self, corp: Corp) -> None:
        token = secret()
        id_ = corp.tenant.post(corp.channel, token.reveal(), corp.ann)
        place = corp.place(id_)
        hold(corp, place, token)
        error = fails(ChangedError, lambda: inspect(corp, place, token))
        assert "held already" in error.reason

    def test_a_message_that_was_deleted_while_it_was_held_is_gone(self, corp: Corp) -> None:
        token = secret()
        id_ = corp.tenant.post(corp.channel, token.reveal(), corp.ann)
        place = corp.place(id_)
        original, receipt = hold(corp, place, token)
        corp.tenant.remove(corp.channel, id_)
        fails(GoneError, lambda: release(corp, place, original, receipt), token)

    def test_models_and_licences(self, corp: Corp) -> None:
        token = secret()
        id_ = corp.tenant.post(corp.chat, token.reveal(), corp.ann)
        place = corp.place(id_)
        corp.server.dlp_licensed = False
        error = fails(AccessError, lambda: _whatever(lambda: hold(corp, place, token)), token)
        assert "licence" in error.advice
        hold(corp, place, token, teams_model="evaluation")
        assert corp.server.paths("PATCH")[-1].endswith(id_)


def _whatever(act: Callable[[], object]) -> object:
    """An act whose refusal may be of a finer kind than `AccessError`."""
    try:
        return act()
    except AccessError as error:
        raise AccessError(error.reason, place=error.place, advice=error.advice) from None


class TestFiles:
    def test_a_file_is_copied_into_the_quarantine_and_comes_back(self, validated: Corp) -> None:
        corp, token = validated, secret()
        id_ = corp.shares(f"key={token.reveal()}".encode(), "notes.txt")
        place = corp.place(id_)
        original, receipt = hold(corp, place, token)
        assert corp.entry(id_).gone and receipt.evidence["way"] == "copied" and "recycle bin" in receipt.note
        assert corp.server.copies == [{"name": "notes.txt", "versions": True}]
        kept = corp.entry(receipt.evidence["item"], corp.vault)
        assert kept.content == f"key={token.reveal()}".encode() and corp.said(kept.body["id"], corp.vault) == []
        assert corp.effects == {"folder": 2, "copy": 1, "delete": 1}
        done = release(corp, place, original, receipt)
        back = corp.server.named(corp.drive, "root-item", "notes.txt")
        assert back is not None and back.content == f"key={token.reveal()}".encode()
        assert corp.said(back.body["id"]) == [("Bob", "write"), ("organization", "read")]
        assert done.evidence["record"] == f"drives/{corp.drive.id}/items/{back.body['id']}"
        assert done.evidence["rights_lost"] == "0" and "new addresses" in done.note
        assert corp.server.copies[-1]["versions"] is True
        assert [one.body["name"] for one in corp.vault.entries.values() if not one.gone] == [
            "root",
            "keysentry quarantine",
        ]
        assert token.reveal() not in told(done)

    def test_a_file_is_moved_within_its_drive_and_keeps_its_id(self, validated: Corp) -> None:
        corp, token = validated, secret()
        folder = corp.folder("Projects")
        id_ = corp.shares(token.reveal_bytes(), "notes.txt")
        corp.entry(id_).body["parentReference"]["id"] = folder
        corp.entry(folder).permissions = [grant(corp.server, corp.tenant.users[corp.bob], "read")]
        place = corp.place(id_)
        original, receipt = hold(corp, place, token, quarantine_drive="own")
        assert corp.said(id_) == [] and corp.entry(id_).body["parentReference"]["id"] != folder
        assert receipt.evidence["way"] == "moved" and receipt.evidence["rights"] == "2"
        assert corp.effects == {"folder": 2, "move": 1, "right taken": 2}
        done = release(corp, place, original, receipt, quarantine_drive="own")
        assert corp.said(id_) == [("Bob", "read"), ("Bob", "write"), ("organization", "read")]
        assert corp.entry(id_).body["parentReference"]["id"] == folder and not corp.entry(id_).gone
        assert done.evidence["record"] == place.record
        assert corp.effects == {"folder": 2, "move": 2, "right taken": 2, "invite": 1, "link": 1, "delete": 1}

    @pytest.mark.parametrize("drive", ["own", "vault"])
    def test_what_cannot_be_given_again_is_told(self, corp: Corp, drive: str) -> None:
        token, server, users = secret(), corp.server, corp.tenant.users
        options = {"quarantine_drive": "own" if drive == "own" else corp.vault.id}
        id_ = corp.shares(token.reveal_bytes())
        people = {"grantedToIdentitiesV2": [{"user": {"id": corp.eve, "email": users[corp.eve]["mail"]}}]}
        chosen = link(server, "users", "edit") | people
        site = {"siteGroup": {"id": "5", "displayName": "Project Visitors", "loginName": "Project Visitors"}}
        stranger = {"siteUser": {"email": "carol@fabrikam.com", "loginName": "i:0#.f|membership|carol_fabrikam.com"}}
        corp.entry(id_).permissions += [
            link(server, "anonymous", "view", hasPassword=True),
            link(server, "anonymous", "edit"),
            chosen,
            {"id": "site", "roles": ["read"], "grantedToV2": site},
            {"id": "stranger", "roles": ["read"], "grantedToV2": stranger},
        ]
        place = corp.place(id_)
        original, receipt = hold(corp, place, token, **options)
        assert receipt.evidence["rights"] == "7"
        done = release(corp, place, original, receipt, **options)
        back = done.evidence["record"].rpartition("/")[2]
        assert corp.said(back) == [
            ("Bob", "write"),
            ("Eve", "write"),
            ("anonymous", "write"),
            ("organization", "read"),
        ]
        assert done.evidence["rights_lost"] == "3"
        for words in ("password", "Project Visitors", "carol@fabrikam.com"):
            assert words in done.note
        with corp.quarantine(**options) as quarantine:
            again = quarantine.released(place, original, receipt)
        assert again is not None and again.evidence["rights_lost"] == "3"

    def test_links_that_the_organisation_forbids_are_told(self, corp: Corp) -> None:
        token = secret()
        id_ = corp.shares(token.reveal_bytes())
        place = corp.place(id_)
        original, receipt = hold(corp, place, token)
        corp.server.no_links = True
        done = release(corp, place, original, receipt)
        assert done.evidence["rights_lost"] == "1" and "a link to view (organization)" in done.note

    @pytest.mark.parametrize("call", ["^PATCH .*/items/01FILE", "^DELETE .*/items/01FILE"])
    def test_a_change_in_the_last_moment_is_noticed(self, corp: Corp, call: str) -> None:
        token = secret()
        options = {"quarantine_drive": "own" if "PATCH" in call else corp.vault.id}
        id_ = corp.shares(token.reveal_bytes())
        place = corp.place(id_)
        original = inspect(corp, place, token, **options)
        corp.server.meanwhile = [(call, lambda: corp.tenant.write(corp.drive, id_, b"use the vault"))]
        fails(ChangedError, lambda: hold_again(corp, place, original, **options), token)
        assert corp.entry(id_).content == b"use the vault" and not corp.entry(id_).gone
        assert corp.said(id_) == [("Bob", "write"), ("organization", "read")]
        left = [one.body["name"] for one in corp.vault.entries.values() if not one.gone]
        assert not [name for name in left if name.startswith("notes")]

    def test_a_right_that_was_given_meanwhile_is_not_lost(self, corp: Corp) -> None:
        token = secret()
        id_ = corp.shares(token.reveal_bytes())
        place = corp.place(id_)
        original = inspect(corp, place, token)
        corp.entry(id_).permissions.append(link(corp.server, "anonymous"))
        fails(ChangedError, lambda: hold_again(corp, place, original), token)
        original, receipt = hold(corp, place, token)
        back = release(corp, place, original, receipt).evidence["record"].rpartition("/")[2]
        assert ("anonymous", "read") in corp.said(back)

    def test_a_quarantine_that_others_read_is_none(self, corp: Corp) -> None:
        token = secret()
        id_ = corp.shares(token.reveal_bytes())
        place = corp.place(id_)
        folder = corp.folder("keysentry quarantine", corp.vault)
        corp.entry(folder, corp.vault).permissions = [link(corp.server, "organization")]
        error = fails(AccessError, lambda: hold(corp, place, token), token)
        assert "whoever has a link" in error.reason and "Manage access" in error.advice
        everyone = {"siteGroup": {"loginName": "c:0-.f|rolemanager|spo-grid-all-users/2432b57b"}}
        corp.entry(folder, corp.vault).permissions = [{"id": "e", "roles": ["read"], "grantedToV2": everyone}]
        fails(AccessError, lambda: hold(corp, place, token), token)
        assert not corp.entry(id_).gone and corp.effects == {}

    def test_a_folder_that_the_readers_of_the_file_read_is_no_quarantine(self, corp: Corp) -> None:
        """As in a library of a site: its members have their rights from the library itself."""
        token = secret()
        members = {"siteGroup": {"id": "5", "displayName": "Members", "loginName": "Members"}}
        corp.entry("root-item").permissions.append({"id": "m", "roles": ["write"], "grantedToV2": members})
        id_ = corp.tenant.file(corp.drive, "notes.txt", token.reveal_bytes(), corp.ann)
        place = corp.place(id_)
        error = fails(AccessError, lambda: hold(corp, place, token, quarantine_drive="own"), token)
        assert "those who read the file" in error.reason
        original, receipt = hold(corp, place, token)
        assert receipt.evidence["rights"] == "0", "what comes from the library comes back by itself"
        release(corp, place, original, receipt)

    def test_where_files_go_must_be_said(self, corp: Corp) -> None:
        token = secret()
        place = corp.place(corp.shares(token.reveal_bytes()))
        error = fails(InputError, lambda: hold(corp, place, token, quarantine_drive=""), token)
        assert "quarantine_drive" in error.advice
        error = fails(GoneError, lambda: hold(corp, place, token, quarantine_drive="b!nowhere"), token)
        assert "quarantine_drive" in error.advice

    def test_a_stub_stands_in_its_place(self, validated: Corp) -> None:
        corp, token = validated, secret()
        place = corp.place(corp.shares(token.reveal_bytes(), "keys.env"))
        original, receipt = hold(corp, place, token, stub=True)
        stub = corp.server.named(corp.drive, "root-item", "keys.env (held).txt")
        assert stub is not None and stub.content.decode().startswith(PLACEHOLDER)
        assert receipt.evidence["stub"] == stub.body["id"]
        release(corp, place, original, receipt, stub=True)
        assert stub.gone

    def test_a_stub_that_somebody_wrote_into_stays(self, corp: Corp) -> None:
        token = secret()
        place = corp.place(corp.shares(token.reveal_bytes(), "keys.env"))
        original, receipt = hold(corp, place, token, stub=True)
        corp.tenant.write(corp.drive, receipt.evidence["stub"], b"who took my file?")
        release(corp, place, original, receipt, stub=True)
        assert not corp.entry(receipt.evidence["stub"]).gone

    def test_the_name_of_a_stub_may_be_taken(self, corp: Corp) -> None:
        token = secret()
        place = corp.place(corp.shares(token.reveal_bytes(), "keys.env"))
        theirs = corp.tenant.file(corp.drive, "keys.env (held).txt", b"mine", corp.bob)
        original, receipt = hold(corp, place, token, stub=True)
        assert "stub" not in receipt.evidence and "stands in its place" not in receipt.note
        release(corp, place, original, receipt, stub=True)
        assert corp.entry(theirs).content == b"mine"

    @pytest.mark.parametrize("drive", ["own", "vault"])
    def test_a_name_that_was_taken_meanwhile_is_not(self, corp: Corp, drive: str) -> None:
        token = secret()
        options = {"quarantine_drive": "own" if drive == "own" else corp.vault.id}
        place = corp.place(corp.shares(token.reveal_bytes(), "keys.env"))
        original, receipt = hold(corp, place, token, **options)
        theirs = corp.tenant.file(corp.drive, "keys.env", b"new", corp.bob)
        done = release(corp, place, original, receipt, **options)
        back = corp.entry(done.evidence["record"].rpartition("/")[2])
        assert back.content == token.reveal_bytes() and back.body["name"].startswith("keys (released ")
        assert corp.entry(theirs).content == b"new" and "another name" in done.note

    @pytest.mark.parametrize("drive", ["own", "vault"])
    def test_a_file_or_folder_that_is_gone_is_told(self, corp: Corp, drive: str) -> None:
        token = secret()
        options = {"quarantine_drive": "own" if drive == "own" else corp.vault.id}
        folder = corp.folder("Projects")
        id_ = corp.shares(token.reveal_bytes())
        corp.entry(id_).body["parentReference"]["id"] = folder
        place = corp.place(id_)
        original, receipt = hold(corp, place, token, **options)
        corp.entry(folder).gone = True
        error = fails(GoneError, lambda: release(corp, place, original, receipt, **options), token)
        assert "folder" in error.reason and "by hand" in error.advice
        corp.entry(folder).gone = False
        where = corp.drive if drive == "own" else corp.vault
        corp.tenant.discard(where, receipt.evidence["item"])
        fails(GoneError, lambda: release(corp, place, original, receipt, **options), token)

    def test_an_office_file_is_rewritten_by_the_copy(self, corp: Corp) -> None:
        token = secret()
        id_ = corp.shares(b"PK\x03\x04 packed", "plan.docx")
        place = corp.place(id_)
        original, receipt = hold(corp, place, token)
        assert corp.entry(id_).gone
        done = release(corp, place, original, receipt)
        back = corp.entry(done.evidence["record"].rpartition("/")[2])
        assert back.content.startswith(b"PK\x03\x04 packed") and back.body["name"] == "plan.docx"

    def test_a_packed_file_that_was_written_since_is_looked_at_anew(self, corp: Corp) -> None:
        token = secret()
        id_ = corp.shares(b"PK\x03\x04 packed", "plan.zip")
        place = corp.place(id_)
        corp.tenant.write(corp.drive, id_, b"PK\x03\x04 otherwise")
        fails(ChangedError, lambda: inspect(corp, place, token), token)

    def test_a_copy_that_takes_long_is_taken_up_later(self, corp: Corp) -> None:
        token = secret()
        id_ = corp.shares(token.reveal_bytes())
        place = corp.place(id_)
        corp.server.copy_after = 60
        original = inspect(corp, place, token)
        fails(SourceError, lambda: hold_again(corp, place, original), token)
        assert not corp.entry(id_).gone
        while corp.server.waiting:
            corp.server.later()
        assert was_held(corp, place, original) is None
        assert hold_again(corp, place, original).outcome == "done"
        assert corp.entry(id_).gone and corp.effects["copy"] == 1

    def test_a_copy_that_fails_leaves_the_file(self, corp: Corp) -> None:
        token = secret()
        id_ = corp.shares(token.reveal_bytes())
        place = corp.place(id_)
        corp.server.copy_fails = True
        error = fails(SourceError, lambda: hold(corp, place, token), token)
        assert "could not copy" in error.reason and not corp.entry(id_).gone

    def test_a_right_that_cannot_be_taken_away_is_told(self, corp: Corp) -> None:
        token = secret()
        id_ = corp.shares(token.reveal_bytes())
        place = corp.place(id_)
        corp.server.fixed_rights = {corp.entry(id_).permissions[1]["id"]}
        error = fails(AccessError, lambda: hold(corp, place, token, quarantine_drive="own"), token)
        assert "Files.ReadWrite.All" in error.advice
        corp.server.fixed_rights = set()
        original = inspect_sealed(corp, place, id_)
        assert original is None, "it is in the quarantine already"

    def test_what_is_no_file_is_not_held(self, corp: Corp) -> None:
        folder = corp.folder("Projects")
        place = Place(source="acme", unit=f"drives/{corp.drive.id}", record=f"drives/{corp.drive.id}/items/{folder}")
        fails(InputError, lambda: inspect(corp, place, secret()))

    def test_a_secret_in_the_name_of_a_file_is_told_nowhere(self, corp: Corp, caplog: pytest.LogCaptureFixture) -> None:
        token = secret()
        place = corp.place(corp.shares(b"x", f"{token.reveal()}.txt"))
        said = []
        with caplog.at_level(logging.DEBUG):
            original, receipt = hold(corp, place, token)
            said += [original, receipt, release(corp, place, original, receipt)]
            corp.server.fault("^GET .*:/", status=403, code="accessDenied", times=1)
            new = corp.place(corp.shares(b"x", f"{token.reveal()}.txt.txt"))
            with pytest.raises(KeysentryError) as caught:
                hold(corp, new, token)
            corp.server.fault(f"^GET .*:/{token.reveal()}", status=403, code="accessDenied", times=1)
            with pytest.raises(KeysentryError) as again:
                hold(corp, new, token)
        said += [caught.value, again.value]
        assert token.reveal() not in told(*said) and token.reveal() not in caplog.text
        assert ACTING not in caplog.text


def inspect_sealed(corp: Corp, place: Place, id_: str) -> Original | None:
    """What is to be inspected of a file; None if it is held already."""
    try:
        return inspect(corp, place, secret(), quarantine_drive="own")
    except ChangedError as error:
        assert "held already" in error.reason and corp.entry(id_).content
        return None


class TestMails:
    def test_a_mail_is_hidden_and_comes_back(self, validated: Corp) -> None:
        corp, token = validated, secret()
        id_ = corp.mails(f"<p>{token.reveal()}</p>")
        mail = corp.inbox.entries[id_]
        place = corp.place(id_)
        original, receipt = hold(corp, place, token)
        folder = corp.tenant.mailboxes[corp.ann].spaces[mail.body["parentFolderId"]]
        assert folder.body["displayName"] == "keysentry quarantine" and folder.body["isHidden"] is True
        assert corp.effects == {"mail folder": 1, "mail moved": 1}
        done = release(corp, place, original, receipt)
        assert mail.body["parentFolderId"] == corp.inbox.id and "new mail" in done.note
        assert corp.effects == {"mail folder": 1, "mail moved": 2}
        hold(corp, corp.place(mail.body["id"]), token)
        assert corp.effects == {"mail folder": 1, "mail moved": 3}

    def test_reading_and_flagging_a_mail_is_no_change(self, corp: Corp) -> None:
        token = secret()
        id_ = corp.mails(token.reveal())
        place = corp.place(id_)
        original = inspect(corp, place, token)
        corp.tenant.change_mail(corp.inbox, id_, isRead=True)
        assert hold_again(corp, place, original).outcome == "done"

    def test_a_secret_in_what_is_attached(self, corp: Corp) -> None:
        token = secret()
        id_ = corp.mails("see attached")
        corp.tenant.attach(corp.inbox, id_, "keys.env", token.reveal_bytes())
        assert hold(corp, corp.place(id_), token)[1].outcome == "done"
        other = corp.mails("see attached")
        corp.tenant.attach(corp.inbox, other, "keys.env", b"nothing")
        fails(ChangedError, lambda: inspect(corp, corp.place(other), token), token)

    def test_a_folder_that_is_gone_is_the_inbox(self, corp: Corp) -> None:
        token = secret()
        projects = corp.tenant.folder(corp.ann, "Projects")
        id_ = corp.tenant.mail(projects, "x", token.reveal(), "bob@contoso.com", "ann@contoso.com")
        mail = projects.entries[id_]
        place = corp.place(id_)
        original, receipt = hold(corp, place, token)
        projects.gone = True
        done = release(corp, place, original, receipt)
        assert mail.body["parentFolderId"] == corp.inbox.id and "folder is gone" in done.note

    def test_a_mail_that_was_deleted_in_the_quarantine_is_gone(self, corp: Corp) -> None:
        token = secret()
        id_ = corp.mails(token.reveal())
        mail = corp.inbox.entries[id_]
        place = corp.place(id_)
        original, receipt = hold(corp, place, token)
        mail.gone = True
        fails(GoneError, lambda: release(corp, place, original, receipt), token)


KINDS: dict[str, tuple[dict[str, Any], Callable[[Corp, Sensitive], str]]] = {
    "copied, of Office": ({}, lambda corp, token: corp.shares(b"PK\x03\x04", "plan.docx")),
    "copied, name taken": ({"stub": True}, lambda corp, token: corp.shares(token.reveal_bytes(), "keys.env")),
    "moved, stub": (
        {"quarantine_drive": "own", "stub": True},
        lambda corp, token: corp.shares(token.reveal_bytes()),
    ),
    "mail": ({}, lambda corp, token: corp.mails(token.reveal())),
}


@pytest.mark.parametrize("before", [True, False], ids=["not sent", "answer lost"])
@pytest.mark.parametrize("kind", KINDS)
def test_stopped_at_every_call_the_first_time(server: ActingServer, kind: str, before: bool) -> None:
    """With nothing prepared: also where the folders of the quarantine are made. Nothing is done twice."""
    options, make = KINDS[kind]
    token = secret()
    needed: dict[str, int] = {}
    for number in range(40):
        corp = Corp(server)
        place = corp.place(make(corp, token))
        original = inspect(corp, place, token, **options)
        stopped = _stopped(corp, number, before, lambda: hold_again(corp, place, original, **options))  # noqa: B023
        receipt = was_held(corp, place, original, **options)
        if receipt is None:
            original, receipt = hold(corp, place, token, **options)
        if "taken" in kind:
            corp.tenant.file(corp.drive, "keys.env", b"theirs", corp.bob)
        back = lambda: release(corp, place, original, receipt, **options)  # noqa: B023, E731
        stopped |= _stopped(corp, number, before, back)
        done = back()
        assert done.outcome == "done" and done.evidence.get("rights_lost", "0") == "0"
        needed = needed or corp.effects
        assert corp.effects == needed, f"stopped at call {number}"
        if number and not stopped:
            break
    assert number > 1


def _stopped(corp: Corp, number: int, before: bool, act: Callable[[], object]) -> bool:
    """Whether an act was stopped at a call; 0 and less: it is not carried out at all."""
    if number <= 0:
        return False
    with corp.server.stop(number, before=before):
        try:
            act()
        except KeysentryError:
            return True
    return False


class TestRefusals:
    def test_limits_are_obeyed(self, corp: Corp) -> None:
        token = secret()
        place = corp.place(corp.tenant.post(corp.channel, token.reveal(), corp.ann))
        corp.server.fault("^PATCH", status=429, code="TooManyRequests", Retry_After="7")
        corp.server.fault("^PATCH", status=429, code="TooManyRequests")
        hold(corp, place, token)
        assert 7.0 in corp.waits.seconds and corp.effects == {"block": 1}

    @pytest.mark.parametrize("status", [500, 502, 503, 504])
    @pytest.mark.parametrize("kind", ["status", "reset"])
    def test_an_answer_that_tells_nothing_is_looked_into(self, corp: Corp, kind: str, status: int) -> None:
        token = secret()
        place = corp.place(corp.tenant.post(corp.channel, token.reveal(), corp.ann))
        corp.server.fault("^PATCH", kind, after=1, status=status)
        hold(corp, place, token)
        assert corp.effects == {"block": 1}

    def test_one_that_never_tells_is_unclear(self, corp: Corp) -> None:
        token = secret()
        place = corp.place(corp.tenant.post(corp.channel, token.reveal(), corp.ann))
        corp.server.fault("^PATCH", status=500, times=9)
        fails(UnclearError, lambda: hold(corp, place, token), token)
        assert corp.effects == {}

    @pytest.mark.parametrize(
        ("missing", "kind"),
        [
            ("ChannelMessage.UpdatePolicyViolation.All", "channel"),
            ("ChannelMessage.Read.All", "channel"),
            ("Chat.UpdatePolicyViolation.All", "chat"),
            ("Chat.Read.All", "chat"),
            ("Files.ReadWrite.All", "file"),
            ("Mail.ReadWrite", "mail"),
        ],
    )
    def test_a_missing_permission_is_named(self, corp: Corp, missing: str, kind: str) -> None:
        token = secret()
        made = {
            "channel": lambda: corp.tenant.post(corp.channel, token.reveal(), corp.ann),
            "chat": lambda: corp.tenant.post(corp.chat, token.reveal(), corp.ann),
            "file": lambda: corp.shares(token.reveal_bytes()),
            "mail": lambda: corp.mails(token.reveal()),
        }
        place = corp.place(made[kind]())
        corp.server.permissions[ACTING] = ACTING_PERMISSIONS - {missing}
        with pytest.raises(AccessError) as caught:
            hold(corp, place, token)
        assert missing in caught.value.advice and "admin consent" in caught.value.advice
        assert corp.effects == {} and token.reveal() not in told(caught.value)

    def test_a_message_of_another_tenant(self, corp: Corp) -> None:
        token = secret()
        id_ = corp.tenant.post(corp.channel, token.reveal(), corp.eve)
        place = corp.place(id_)
        corp.server.foreign = {id_}
        error = fails(AccessError, lambda: hold(corp, place, token), token)
        assert "another tenant" in error.reason and "only be blocked there" in error.advice

    def test_a_token_that_is_not_accepted(self, corp: Corp) -> None:
        token = secret()
        place = corp.place(corp.tenant.post(corp.channel, token.reveal(), corp.ann))
        other = "a-local-token-of-yesterday"
        error = fails(AccessError, lambda: hold(corp, place, token, token=Sensitive(other)), token)
        assert "token" in error.reason and other not in told(error)

    def test_closing_ends_what_waits(self, corp: Corp) -> None:
        place = corp.place(corp.tenant.post(corp.channel, "x", corp.ann))
        quarantine = corp.open()
        quarantine.close()
        fails(ClosedError, lambda: quarantine.inspect(place, [secret()]))

    @pytest.mark.parametrize(
        "record", ["users/u/chats/messages/1", "teams/t/channels/messages/1", "drives/d", "nonsense"]
    )
    def test_what_does_not_say_where_it_stands(self, corp: Corp, record: str) -> None:
        place = Place(source="acme", unit="x", record=record)
        fails(InputError, lambda: inspect(corp, place, secret()))
        exported = Place(source="acme", unit="x", record=record, path="export/messages.json")
        assert "export" in fails(InputError, lambda: inspect(corp, exported, secret())).reason

    def test_what_was_sealed_by_another_is_refused(self, corp: Corp) -> None:
        place = corp.place(corp.tenant.post(corp.channel, "x", corp.ann))
        fails(InputError, lambda: hold_again(corp, place, Original(content=b"x", version="", note="")))

    def test_an_answer_that_is_no_object(self, corp: Corp) -> None:
        place = corp.place(corp.tenant.post(corp.channel, "x", corp.ann))
        corp.server.fault("^GET", "garbage")
        assert "object" in fails(SourceError, lambda: inspect(corp, place, secret())).reason


class TestOptions:
    SOURCE = SourceOptions(
        name="acme", tenant_id="t", client_id="reader", teams=True, base_url="http://127.0.0.1:9/v1.0"
    )

    def test_it_opens_without_asking_anything(self) -> None:
        options = Options(source="acme", client_id="actor", client_secret=Sensitive("a-local-secret"))
        quarantine = open_quarantine(options, self.SOURCE)
        assert isinstance(quarantine, MicrosoftQuarantine)
        quarantine.close()

    @pytest.mark.parametrize(
        ("told_", "word"),
        [
            ({}, "sign in"),
            ({"client_id": "actor"}, "sign in"),
            ({"token": Sensitive("t"), "per_minute": -1.0}, "per_minute"),
            ({"token": Sensitive("t"), "max_search": -1}, "max_search"),
            ({"token": Sensitive("t"), "quarantine_folder": "a/b"}, "quarantine_folder"),
            ({"token": Sensitive("t"), "quarantine_folder": " "}, "quarantine_folder"),
            ({"token": Sensitive("t"), "mail_folder": ""}, "mail_folder"),
            ({"token": Sensitive("t"), "base_url": "http://graph.example.com"}, "https"),
        ],
    )
    def test_what_does_not_fit_together_is_told(self, told_: dict[str, Any], word: str) -> None:
        with pytest.raises(ConfigError) as caught:
            open_quarantine(Options(source="acme", **told_), self.SOURCE)
        assert word in str(caught.value)

    def test_options_of_others_are_refused(self) -> None:
        with pytest.raises(TypeError):
            open_quarantine(Options(source="acme"), SlackOptions(name="acme"))

    def test_the_module_is_cheap(self) -> None:
        code = (
            "import sys; import keysentry.connectors.microsoft.quarantine, keysentry.connectors.microsoft.notify; "
            "print([name for name in ('httpx', 'kiota_http', 'azure', 'msgraph') if name in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"


def test_an_entry_of_the_server_is_what_the_reference_shows(corp: Corp) -> None:
    """The server of our own must not be kinder than the platform where the quarantine relies on it."""
    id_ = corp.shares(b"x")
    with corp.quarantine() as quarantine:
        actor = quarantine._actor
        path = f"/drives/{corp.drive.id}/items/{id_}"
        with pytest.raises(ChangedError):
            actor.once("DELETE", path, headers={"If-Match": '"{other},1"'})
        with pytest.raises(InputError):
            actor.once("PATCH", path, {"parentReference": {"driveId": corp.vault.id, "id": "root-item"}})
        message = corp.tenant.post(corp.channel, "x", corp.ann)
        body = {"body": {"content": "other"}}
        with pytest.raises(InputError):
            actor.once("PATCH", f"/teams/team-1/channels/{corp.channel.id}/messages/{message}", body)
    assert isinstance(corp.entry(id_), Entry) and corp.effects == {}
