"""The story of an incident, killed at every point: run as a process of its own, because it forks.

    python -m tests.crash.story URL FOLDER FIRST STEP [cut]

One story: two messages with three secrets are scanned and stored, held, assessed, revoked, kept in a vault, told of,
closed, and at last released. Its points: before each statement that writes to the store and before each commit, and
before and after each call to the outside. Story n is killed (SIGKILL) at its point FIRST + n * STEP, begun again in
another process, and brought to its end, until a story has no such point any more. With `cut` the connections to the
database are ended at the point instead, and the process lives on.

The outside is a folder: an effect is a file that must not be there before, and a line of a log, so that what was done
twice shows. Prints one JSON object: how many points were killed at, and what was wrong.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec.structs import replace
from sqlalchemy import Engine, event

from keysentry.connectors.base import Notice, Recipient
from keysentry.errors import ChangedError, GoneError, KeysentryError, StoreError
from keysentry.model.action import Credential, Original, Place, Receipt
from keysentry.model.sensitive import Sensitive
from keysentry.response.act import Worker
from keysentry.response.base import Verdict
from keysentry.response.handlers import release_of
from keysentry.response.hands import Hands
from keysentry.response.notify.messages import Voice
from keysentry.response.notify.texts import Texts
from keysentry.response.options import ResponseOptions
from keysentry.response.plan import Policy
from keysentry.response.policy import Contain
from keysentry.response.words import Words
from keysentry.store import open_store
from keysentry.store.base import IncidentQuery, Store
from tests.response.stage import FULL, sealer
from tests.store.making import KEY, batch, forged, found, sighting

MESSAGES = {"A": (1,), "B": (2, 3)}
"""What is posted: by the letter of a message the numbers of its secrets."""


class Points:
    """Counts the points of a process, and does something at one of them."""

    def __init__(self, wanted: int, act: Callable[[], None]) -> None:
        self.wanted = wanted
        self.count = 0
        self._act = act

    def __call__(self) -> None:
        self.count += 1
        if self.count == self.wanted:
            self._act()


class Outside:
    """A platform, people, a provider and a vault, as a folder."""

    def __init__(self, folder: Path, point: Callable[[], None]) -> None:
        self.folder = folder
        self.point = point
        folder.mkdir(parents=True, exist_ok=True)

    def read(self, name: str) -> bytes:
        self.point()
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            raise GoneError("it is not there", place=name) from None

    def there(self, name: str) -> bool:
        self.point()
        return (self.folder / name).exists()

    def write(self, name: str, content: bytes) -> None:
        """Replace a file at once, as a platform does; each time is noted."""
        self.point()
        draft = self.folder / f".{name}"
        draft.write_bytes(content)
        draft.replace(self.folder / name)
        self.note(f"write {name}")
        self.point()

    def once(self, name: str, content: bytes) -> None:
        """An effect that must be had once."""
        self.point()
        try:
            with (self.folder / name).open("xb") as file:
                file.write(content)
        except FileExistsError:
            self.note(f"TWICE {name}")
        self.note(f"once {name}")
        self.point()

    def note(self, line: str) -> None:
        with (self.folder / "log").open("a") as log:
            log.write(line + "\n")

    # Quarantine

    def inspect(self, place: Place, secrets: Sequence[Sensitive]) -> Original:
        content = self.read(place.record)
        if not any(secret.reveal_bytes() in content for secret in secrets):
            raise ChangedError("it is not in there", place=place.record)
        return Original(content=content, version=str(len(content)), note=f"message {place.record}")

    def hold(self, place: Place, original: Original, secrets: Sequence[Sensitive], placeholder: str) -> Receipt:
        if self.read(place.record) != original.content:
            raise ChangedError("edited", place=place.record)
        self.write(place.record, placeholder.encode())
        return Receipt(outcome="done", note="replaced", undo=b"undo")

    def held(self, place: Place, original: Original, placeholder: str) -> Receipt | None:
        done = self.read(place.record) == placeholder.encode()
        return Receipt(outcome="done", note="replaced", undo=b"undo") if done else None

    def release(self, place: Place, original: Original, receipt: Receipt) -> Receipt:
        assert receipt.undo == b"undo"
        self.write(place.record, original.content)
        return Receipt(outcome="done", note="put back")

    def released(self, place: Place, original: Original, receipt: Receipt) -> Receipt | None:
        done = self.read(place.record) == original.content
        return Receipt(outcome="done", note="put back") if done else None

    # Notifier

    def tell(self, notice: Notice, recipient: Recipient) -> Receipt:
        self.once(f"told-{notice.id}", notice.text.encode())
        return Receipt(outcome="done", note="told")

    def told(self, notice: Notice, recipient: Recipient) -> Receipt | None:
        return Receipt(outcome="done", note="told") if self.there(f"told-{notice.id}") else None

    # Revoker and verifier

    name = "provider"
    handles = ("*",)

    def revoke(self, credential: Credential, key: str) -> Receipt:
        self.once(f"revoked-{credential.fingerprint}", b"")
        return Receipt(outcome="done", note="revoked")

    def revoked(self, credential: Credential, key: str) -> Receipt | None:
        there = self.there(f"revoked-{credential.fingerprint}")
        return Receipt(outcome="already", note="revoked") if there else None

    def verify(self, credential: Credential) -> Verdict | None:
        return Verdict(liveness="dead" if self.there(f"revoked-{credential.fingerprint}") else "live")

    def close(self) -> None:
        pass


class Safe:
    """The vault, in the same folder."""

    def __init__(self, outside: Outside) -> None:
        self.outside = outside

    name = "team"

    def reference(self, path: str) -> str:
        return f"safe:{path}"

    def put(self, path: str, secret: Sensitive, facts: dict[str, str]) -> Receipt:
        self.outside.once(f"kept-{path}", secret.reveal_bytes())
        return Receipt(outcome="done", note="kept")

    def kept(self, path: str, secret: Sensitive) -> Receipt | None:
        return Receipt(outcome="already", note="kept") if self.outside.there(f"kept-{path}") else None

    def close(self) -> None:
        pass


class Life:
    """One process of one story."""

    def __init__(self, url: str, folder: Path, story: int, life: int, points: Points) -> None:
        self.points = points
        self.source = f"chat-{story}"
        self.seeds = {f"{letter}{story}": [1000 * story + one for one in some] for letter, some in MESSAGES.items()}
        self.outside = Outside(folder / str(story), points)
        self.now = 1_800_000_000.0 + 10_000.0 * (10 * story + life)
        self.store = self._open(url)
        book = replace(FULL, contain=Contain(hold=True), escalate=())  # lives are hours apart: no deadlines
        self.policy = Policy([book], {self.source: "chat"})
        hands = Hands(
            words=Words(Voice(texts=Texts())),
            quarantines={self.source: lambda: self.outside},
            notifiers={"here": lambda: self.outside, "security": lambda: self.outside},
            authors={self.source: "here"},
            revokers=[self.outside],
            vaults={"team": lambda: Safe(self.outside)},
            verifier=self.outside,
        )
        options = ResponseOptions(attempts=50, lease=60.0)
        self.worker = Worker(self.store, hands, self.policy, options, name=f"life{life}", clock=lambda: self.now)

    def _open(self, url: str) -> Store:
        for _ in range(100):
            try:
                return open_store(url, key=KEY, sealer=sealer())
            except StoreError:
                time.sleep(0.05)
        return open_store(url, key=KEY, sealer=sealer())

    def patiently(self, step: Callable[[], object]) -> None:
        """Do a step, again where the database went away under it."""
        for _ in range(200):
            try:
                step()
            except StoreError:
                time.sleep(0.02)
            else:
                return
        step()

    def run(self) -> None:
        self.worker.begin()
        self.patiently(self.post)
        self.patiently(self.until_all_is_done)
        self.patiently(self.release)
        self.patiently(self.until_all_is_done)

    def post(self) -> None:
        if self.store.cursor(self.source, "C1") is not None:
            return
        for record, seeds in self.seeds.items():
            text = " and ".join(forged(seed) for seed in seeds)
            (self.outside.folder / record).write_text(text)
        sightings = [
            sighting(record, f"pass-{record}", *(found(seed, start=50 * at) for at, seed in enumerate(seeds)))
            for record, seeds in self.seeds.items()
        ]
        self.store.commit(batch(*sightings, time=self.now, source=self.source, cursor="read"), self.policy)

    def until_all_is_done(self) -> None:
        for _ in range(40):
            self.worker.sweep()
            self.worker.drain()
            self.now += 5.0
            if all(action.state == "done" for action in self.store.actions()):
                return

    def release(self) -> None:
        for held in list(self.store.holdings()):
            if held.source == self.source and held.state == "held":
                action = release_of(held, actor="ada", reason="the story goes so", time=self.now)
                self.store.file([action], actor="ada", reason="the story goes so", time=self.now)

    def faults(self) -> list[str]:
        """What is not as it is when nobody is killed."""
        folder = self.outside.folder
        log = (folder / "log").read_text().splitlines()
        wrong = [line for line in log if line.startswith("TWICE")]
        for record, seeds in self.seeds.items():
            text = " and ".join(forged(seed) for seed in seeds)
            if (folder / record).read_text() != text:
                wrong.append(f"{record} is not what it was")
            if log.count(f"write {record}") != 2:
                wrong.append(f"{record} was written {log.count(f'write {record}')} times")
        kinds = {name: len(list(folder.glob(f"{name}-*"))) for name in ("told", "revoked", "kept")}
        if kinds != {"told": 2, "revoked": 3, "kept": 3}:
            wrong.append(f"effects {kinds}")
        mine = list(self.store.incidents(IncidentQuery(source=self.source)))
        states = [one.state for one in mine]
        if states != ["closed"] * 3:
            wrong.append(f"incidents are {states}")
        if any(one.regressions for one in mine):
            wrong.append("an incident came back")
        wrong += [f"{one.kind} is {one.state}: {one.note}" for one in self.store.actions() if one.state != "done"]
        return wrong


def listen(points: Points) -> None:
    """Every write to a store, in any engine of this process, is a point."""

    @event.listens_for(Engine, "before_cursor_execute")
    def _before(connection: object, cursor: object, statement: str, *_more: object) -> None:
        if statement.lstrip()[:6].upper() in ("INSERT", "UPDATE", "DELETE"):
            points()

    @event.listens_for(Engine, "commit")
    def _commit(connection: object) -> None:
        points()


def life(url: str, folder: Path, story: int, number: int, wanted: int, act: Callable[[], None]) -> int:
    """Fork, live, and say how it ended: the signal, or the code."""
    pid = os.fork()
    if pid == 0:
        code = 5
        try:
            points = Points(wanted, act)
            listen(points)
            one = Life(url, folder, story, number, points)
            one.run()
            faults = one.faults()
            (folder / f"{story}.{number}.json").write_text(json.dumps({"points": points.count, "faults": faults}))
            one.store.close()
            code = 0
        except (KeysentryError, AssertionError, OSError) as error:
            (folder / f"{story}.{number}.json").write_text(
                json.dumps({"points": 0, "faults": [f"{type(error).__name__}: {error}"]})
            )
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def kill() -> None:
    """The end."""
    os.kill(os.getpid(), signal.SIGKILL)


def cut(url: str) -> Callable[[], None]:
    """Ends every connection to the database, as its restart does."""

    def act() -> None:
        import psycopg

        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )

    return act


def main(url: str, folder: Path, first: int, step: int, cutting: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    wrong: list[str] = []
    points = 0
    for story in range(1, 2000):
        wanted = first + (story - 1) * step
        code = life(url, folder, story, 0, wanted, cut(url) if cutting else kill)
        number = 0
        if code == -signal.SIGKILL:
            number = 1
            code = life(url, folder, story, 1, 0, kill)
        elif not cutting:
            wanted = 0  # the story has no such point any more
        told = json.loads((folder / f"{story}.{number}.json").read_text())
        wrong += [f"point {wanted}: {fault}" for fault in told["faults"]]
        if wanted == 0 or (cutting and wanted > told["points"]):
            break
        points += 1
    store = open_store(url, key=KEY, sealer=sealer())
    wrong += [f"audit {fault.number}: {fault.reason}" for fault in store.check_audit()]
    store.close()
    print(json.dumps({"points": points, "wrong": wrong[:20]}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), "cut" in sys.argv[5:])
