"""An organisation in which something is held and released: who is in it, and what its source says of its things."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from keysentry.connectors.google import Options as SourceOptions
from keysentry.connectors.google.acting import Actor
from keysentry.connectors.google.holding import GoogleQuarantine
from keysentry.connectors.google.quarantine import Options
from keysentry.connectors.google.source import GoogleSource
from keysentry.model.action import Original, Place, Receipt
from keysentry.model.location import Route, Step
from keysentry.model.record import Record, Unit
from keysentry.model.sensitive import Sensitive
from keysentry.rules.forge import forge
from keysentry.scan.records import timestamp
from tests.servers.google_acting import ActingGoogle
from tests.servers.google_acting_drive import FOLDER

ANN, BOB, CAROL, EVE = "ann@corp.example", "bob@corp.example", "carol@corp.example", "eve@else.example"
TOKENS = {ANN: "local-token-ann", BOB: "local-token-bob", CAROL: "local-token-carol"}
SCOPES = ("drive", "gmail.modify", "chat.messages", "chat.memberships.readonly")
READING = ("drive.readonly", "gmail.readonly", "chat.spaces.readonly", "chat.messages.readonly")
UNLIMITED: dict[str, Any] = {f"{api}_per_second": 0.0 for api in ("drive", "sheets", "gmail", "chat")}
ALL: dict[str, Any] = {"drive": True, "shared_drives": True, "gmail": True, "chat": True}


class Organisation:
    """Ann and Bob, and Carol who manages things. The quarantine acts with Ann's token unless it is told otherwise."""

    def __init__(self, server: ActingGoogle) -> None:
        self.server = server
        self.drive, self.sheets, self.gmail, self.chat = server.drive, server.sheets, server.gmail, server.chat
        self.waits: list[float] = []
        for address, token in TOKENS.items():
            self.drive.user(address, address.partition("@")[0].title())
            self.gmail.box(address)
            server.grant(token, address, *SCOPES)
            server.grant(f"{token}-reading", address, *READING)

    # -- what is there ----------------------------------------------------------------------------------------------

    def file(self, content: bytes, name: str = "notes.txt", **told: Any) -> str:
        """A file of Ann's."""
        return self.drive.add(name, content, **{"owner": ANN, **told})

    def folder(self, name: str = "Shared", **told: Any) -> str:
        return self.drive.add(name, **{"owner": ANN, "kind": FOLDER, **told})

    def own_folder(self) -> str:
        """The quarantine folder of Ann's, as an earlier hold has made it."""
        return self.folder("Quarantine (keysentry)", more={"properties": {"keysentry": "quarantine"}})

    def shared_drives(self) -> None:
        """A shared drive of all three, which Carol manages, and one of Carol's for quarantine."""
        self.drive.shared("0Projects", "Projects", CAROL)
        self.drive.member("0Projects", ANN, "writer")
        self.drive.member("0Projects", BOB, "reader")
        self.drive.shared("0Quarantine", "Quarantine", CAROL)

    # -- what its source says ---------------------------------------------------------------------------------------

    def source(self, user: str = ANN) -> GoogleSource:
        token = Sensitive(f"{TOKENS[user]}-reading")
        return GoogleSource(SourceOptions(name="corp", token=token, base_url=self.server.url, **ALL, **UNLIMITED))

    def record(self, unit: str, id: str, user: str = ANN) -> Record:
        """The record that the source makes of a thing."""
        source = self.source(user)
        try:
            found = next(one for one in source.units() if isinstance(one, Unit) and one.id == unit)
            given = [one.record for one in source.records(found, None) if one.record is not None]
        finally:
            source.close()
        return next(one for one in given if one.id == id)

    def place(self, unit: str, id: str, route: Route = (), user: str = ANN) -> Place:
        """Where something is, as its source says."""
        record = self.record(unit, id, user)
        return Place(
            source="corp",
            platform="google",
            unit=record.unit,
            record=record.id,
            uri=record.uri,
            route=route,
            container=record.container,
            author=record.author,
            author_id=record.author_id,
            time=timestamp(record.time),
        )

    def file_place(self, id: str, unit: str = f"my:{ANN}", user: str = ANN, route: Route | None = None) -> Place:
        return self.place(unit, f"{unit}/{id}", (Step("file", "notes.txt"),) if route is None else route, user)

    # -- what keysentry does ----------------------------------------------------------------------------------------

    def open(self, user: str = ANN, **options: Any) -> GoogleQuarantine:
        told: dict[str, Any] = {"source": "corp", "per_minute": 0.0, "base_url": self.server.url, **options}
        if "credentials" not in told:
            told.setdefault("token", Sensitive(TOKENS[user]))
        if "token" in told:
            told.setdefault("users", (user,))
        chosen = Options(**told)
        return GoogleQuarantine(Actor(chosen, SourceOptions(name="corp"), wait=self._wait), chosen)

    def _wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return False

    @contextmanager
    def quarantine(self, user: str = ANN, **options: Any) -> Iterator[GoogleQuarantine]:
        found = self.open(user, **options)
        try:
            yield found
        finally:
            found.close()

    @property
    def effects(self) -> dict[str, int]:
        """How often something was really changed, by method."""
        return dict(self.server.effects)


PLACEHOLDER = "Removed by keysentry: this held a credential <&>. Ask security@example.com."


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


def hold(corp: Organisation, place: Place, *secrets: Sensitive, **options: Any) -> tuple[Original, Receipt]:
    with corp.quarantine(**options) as quarantine:
        original = quarantine.inspect(place, secrets)
        receipt = quarantine.hold(place, original, secrets, PLACEHOLDER)
    assert not any(one.reveal() in told(original, receipt) for one in secrets)
    return original, receipt


def inspect(corp: Organisation, place: Place, *secrets: Sensitive, **options: Any) -> Original:
    with corp.quarantine(**options) as quarantine:
        return quarantine.inspect(place, secrets)


def release(corp: Organisation, place: Place, original: Original, receipt: Receipt, **options: Any) -> Receipt:
    with corp.quarantine(**options) as quarantine:
        done = quarantine.release(place, original, receipt)
        assert quarantine.released(place, original, receipt) is not None
        return done


def held(corp: Organisation, place: Place, original: Original, **options: Any) -> Receipt | None:
    with corp.quarantine(**options) as quarantine:
        return quarantine.held(place, original, PLACEHOLDER)
