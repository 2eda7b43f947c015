"""Credentials: service accounts that act for users, what is missing, and recovery without a restart.

The token endpoint is ours: it checks the signature and the claims of what google-auth sends.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from keysentry.errors import AccessError, ConfigError, SourceError
from keysentry.model.finding import Skipped
from keysentry.model.location import Exposure
from keysentry.model.record import Unit
from keysentry.model.sensitive import Sensitive
from tests.connectors.google.conftest import ANN, BOB, SCOPES, TOKEN, Open
from tests.connectors.google.worlds import mail, read, said, unit_of
from tests.servers.google import GoogleServer

pytestmark = pytest.mark.xdist_group("google")


@pytest.fixture(scope="session")
def key() -> rsa.RSAPrivateKey:
    """The key of the service account, made for this run."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def account(google: GoogleServer, key: rsa.RSAPrivateKey, tmp_path: Path) -> Path:
    """The file of a service account that may act for Ann and Bob."""
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    info = {
        "type": "service_account",
        "client_email": "reader@project.iam.example",
        "client_id": "1234",
        "private_key": pem,
        "private_key_id": "k",
        "token_uri": f"{google.url}/token",
    }
    path = tmp_path / "account.json"
    path.write_text(json.dumps(info))
    google.public_key = key.public_key()
    google.drive.user(BOB, "Bob Bell")
    google.gmail.box(BOB)
    google.delegated = {ANN: frozenset(SCOPES), BOB: frozenset(SCOPES)}
    return path


def test_every_user_is_acted_for_and_a_shared_drive_is_read_once(
    google: GoogleServer, open_google: Open, account: Path
) -> None:
    google.drive.shared("0Both", "Both", ANN, BOB)
    google.drive.shared("0Bob", "Only Bob", BOB)
    hers = google.drive.add("hers.txt", b"1", owner=ANN)
    his = google.drive.add("his.txt", b"2", owner=BOB)
    only = google.drive.add("only.txt", b"3", drive="0Bob")
    google.drive.share(his, type="user", emailAddress=ANN)
    got = google.gmail.receive(BOB, mail("hello", to=BOB))
    source = open_google(credentials=str(account), users=(ANN, "Bob@corp.example"), gmail=True)
    units = [one for one in source.units() if isinstance(one, Unit)]
    assert [one.id for one in units] == [
        f"my:{ANN}",
        "shared:0Both",
        f"my:{BOB}",
        "shared:0Bob",
        f"mail:{ANN}",
        f"mail:{BOB}",
    ]
    found = [id for unit in units for id in said(read(source, unit))]
    assert found == [f"my:{ANN}/{hers}", f"my:{BOB}/{his}", f"shared:0Bob/{only}", f"mail:{BOB}/{got}"]


def test_a_user_who_is_gone_costs_only_themselves(google: GoogleServer, open_google: Open, account: Path) -> None:
    source = open_google(credentials=str(account), users=("eve@corp.example", ANN), shared_drives=False)
    unit, skipped = source.units()
    assert isinstance(unit, Unit) and unit.id == f"my:{ANN}"
    assert isinstance(skipped, Skipped)
    assert skipped.place == "Google Drive of eve@corp.example"
    assert "Invalid email or User ID" in skipped.reason
    google.delegated.clear()
    google.grants.clear()
    with pytest.raises(AccessError, match="Invalid email or User ID"):
        list(source.units())


def test_a_scope_that_is_not_delegated_is_named(google: GoogleServer, open_google: Open, account: Path) -> None:
    google.delegated[ANN] = frozenset(("drive.readonly",))
    source = open_google(credentials=str(account), users=(ANN,), gmail=True, shared_drives=False)
    with pytest.raises(AccessError) as caught:
        list(source.units())
    assert caught.value.place == f"Gmail of {ANN}"
    assert "https://www.googleapis.com/auth/gmail.readonly" in caught.value.advice
    assert "domain-wide delegation" in caught.value.advice
    google.delegated[ANN] = frozenset(SCOPES)
    assert len(list(source.units())) == 2


def test_a_file_of_credentials_is_read_again_after_it_was_refused(
    google: GoogleServer, open_google: Open, account: Path
) -> None:
    good = account.read_text()
    source = open_google(credentials=str(account), users=(ANN,))
    unit = unit_of(source, f"my:{ANN}")
    google.drive.add("a.txt", b"1", owner=ANN)
    google.grants.clear()
    google.delegated.pop(ANN)
    with pytest.raises(AccessError) as caught:
        read(source, unit)
    assert str(account) in caught.value.advice
    google.delegated[ANN] = frozenset(SCOPES)
    account.write_text("{")
    with pytest.raises(SourceError, match="holds no credentials"):
        read(source, unit)
    account.write_text(good)
    assert len(said(read(source, unit))) == 1


def test_an_expired_token_is_renewed_on_the_way(google: GoogleServer, open_google: Open, account: Path) -> None:
    for number in range(4):
        google.drive.add(f"{number}.txt", b"1", owner=ANN)
    source = open_google(credentials=str(account), users=(ANN,))
    unit = unit_of(source, f"my:{ANN}")
    given = []
    for delivery in source.records(unit, None):
        given.append(delivery)
        google.grants.clear()
    assert len(said(given)) == 4


def test_an_authorised_user_is_asked_who_they_are(google: GoogleServer, open_google: Open, tmp_path: Path) -> None:
    info = {"type": "authorized_user", "client_id": "c", "client_secret": "local", "refresh_token": "local"}
    path = tmp_path / "user.json"
    path.write_text(json.dumps(info))
    google.drive.add("a.txt", b"1", owner=ANN)
    source = open_google(token=Sensitive(TOKEN))
    (unit,) = source.units()
    assert unit.id == f"my:{ANN}"  # type: ignore[union-attr]
    open_google(credentials=str(path))
    with pytest.raises(ConfigError, match="holds credentials of one user"):
        open_google(credentials=str(path), users=(ANN, BOB))


def test_without_an_address_nobody_is_a_stranger(google: GoogleServer, open_google: Open) -> None:
    google.chat.space("AAA", "Operations", ANN, externalUserAllowed=True)
    source = open_google(drive=False, shared_drives=False, chat=True)
    unit = unit_of(source, "space:spaces/AAA")
    google.chat.post("spaces/AAA", "hello")
    delivery, *_ = read(source, unit)
    assert delivery.record is not None
    assert delivery.record.exposure == Exposure("external", 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"token": None}, "credentials of one kind"),
        ({"token": Sensitive("x"), "credentials": "a.json"}, "credentials of one kind"),
        ({"token": Sensitive("x"), "users": (ANN, BOB)}, "one user only"),
        ({"token": None, "credentials": "/nowhere/a.json"}, "cannot be read"),
        ({"since": "last week"}, "since is no time"),
        ({"drive": False, "shared_drives": False}, "nothing to read"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], words: str, open_google: Open) -> None:
    with pytest.raises(ConfigError, match=words):
        open_google(**options)


@pytest.mark.parametrize("content", ["[]", "{", '{"type": "service_account"}', '{"type": "external_account"}', "7"])
def test_files_that_hold_no_credentials_are_refused(content: str, open_google: Open, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(ConfigError) as caught:
        open_google(credentials=str(path))
    assert str(path) in str(caught.value)


def test_several_threads_read_side_by_side(google: GoogleServer, open_google: Open) -> None:
    for number in range(12):
        google.drive.add(f"{number}.txt", b"1" * 1000, owner=ANN)
    source = open_google(shared_drives=False)
    unit = unit_of(source, f"my:{ANN}")
    found: list[list[str]] = []

    def work() -> None:
        deliveries = read(source, unit)
        assert all(b"".join(part.open()) for one in deliveries if one.record for part in one.record.parts if part.open)
        found.append(said(deliveries))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and len(found[0]) == 12
    assert all(one == found[0] for one in found)
