"""A worker with all it needs, and a clock that tests move: what tests of response share."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from keysentry.model.action import Action, Kind
from keysentry.model.incident import Committed, Incident
from keysentry.response.act import Worker
from keysentry.response.hands import Hands
from keysentry.response.notify.messages import Voice
from keysentry.response.notify.texts import Texts
from keysentry.response.options import ResponseOptions
from keysentry.response.plan import Policy
from keysentry.response.policy import Assess, Contain, Notify, Playbook, Remediate
from keysentry.response.words import Words
from keysentry.store.base import ActionQuery, Store
from keysentry.store.sealing import Sealer
from tests.response.platforms import Chat, People, Provider, Safe, World
from tests.store.making import batch, found, sighting

SEAL_KEY = b"s" * 32
SOURCE = "chat"

FULL = Playbook(
    name="full",
    mode="enforce",
    contain=Contain(hold=True, within="5m"),
    assess=Assess(verify=True),
    notify=Notify(to=("author", "security"), gather="5s"),
    remediate=Remediate(revoke="auto", vault="team"),
    close=True,
    escalate=("security",),
)


def sealer() -> Sealer:
    return Sealer([SEAL_KEY])


class Stage:
    """Everything from the finding on, on one store."""

    def __init__(self, store: Store, *playbooks: Playbook, world: World | None = None, attempts: int = 4) -> None:
        self.store = store
        self.world = world or World()
        self.now = 1_800_000_000.0
        self.policy = Policy(playbooks or (FULL,), {SOURCE: "chat"})
        self.people = People(self.world)
        self.provider = Provider(self.world)
        self.hands = Hands(
            words=Words(Voice(texts=Texts(), contact="#security")),
            quarantines={SOURCE: lambda: Chat(self.world)},
            notifiers={"here": lambda: self.people, "security": lambda: self.people},
            authors={SOURCE: "here"},
            revokers=[self.provider],
            vaults={"team": lambda: Safe(self.world)},
            verifier=self.provider,
        )
        options = ResponseOptions(attempts=attempts, lease=60.0)
        self.worker = Worker(store, self.hands, self.policy, options, clock=lambda: self.now)
        self._passes = itertools.count(1)

    def post(self, record: str, *seeds: int) -> Committed:
        """Somebody posts a message with some secrets; it is scanned and stored."""
        findings = [found(seed, start=7 + 60 * number) for number, seed in enumerate(seeds)]
        self.world.messages[record] = " ".join(finding.secret.reveal() for finding in findings)
        return self.scan(record, *seeds)

    def scan(self, record: str, *seeds: int) -> Committed:
        """The message as it is now is scanned and stored; `seeds` are the secrets in it."""
        self.now += 1.0
        findings = [found(seed, start=7 + 60 * number) for number, seed in enumerate(seeds)]
        what = batch(sighting(record, f"pass{next(self._passes)}", *findings), time=self.now, source=SOURCE)
        return self.store.commit(what, self.policy)

    def work(self, seconds: float = 60.0) -> None:
        """Let time pass, and do what is due in it."""
        until = self.now + seconds
        while self.now < until:
            self.worker.sweep()
            self.worker.drain()
            self.now += 5.0

    def incident(self) -> Incident:
        """The one that there is."""
        (incident,) = self.store.incidents()
        return incident

    def actions(self, *kinds: Kind) -> list[Action]:
        """Those of some kinds, or all."""
        return [one for one in self.store.actions(ActionQuery()) if not kinds or one.kind in kinds]

    def states(self) -> dict[str, str]:
        """Each kind of action and its state."""
        return {one.kind: one.state for one in self.actions()}

    def names(self) -> Iterator[str]:
        """The names of events, in their order."""
        return (event.name for event in self.store.events())
