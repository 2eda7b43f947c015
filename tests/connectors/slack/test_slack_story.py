"""A channel in which people write, answer, edit and delete while it is read, with crashes in between.

Against our own server. Whoever reads keeps what was given; in the end that is what the channel holds. What polling
cannot see by the documentation is left out: a reply that is deleted, and one that is edited in a thread without news.
"""

from __future__ import annotations

import random

import pytest

from keysentry.model.cursor import Cursor
from keysentry.model.record import Unit
from tests.connectors.slack.backends import Ours, opened, text
from tests.servers.slack_state import Conversation, ts_number

pytestmark = pytest.mark.xdist_group("slack")


class People:
    """Changes a channel at random."""

    def __init__(self, ours: Ours, channel: str, rng: random.Random) -> None:
        self.ours = ours
        self.channel = channel
        self.rng = rng
        self.said = 0

    @property
    def room(self) -> Conversation:
        return self.ours.state.conversations[self.channel]

    def words(self) -> str:
        self.said += 1
        return f"words {self.said}"

    def parents(self) -> list[str]:
        """The messages of the channel that are none of a thread, and are still there."""
        found = [self.room.message(moment) for moment in self.room.top(0, 1 << 60)]
        return [m["ts"] for m in found if m and m.get("subtype") not in ("tombstone", "thread_broadcast")]

    def act(self) -> None:
        parents = self.parents()
        choice = self.rng.random()
        if choice < 0.4 or not parents:
            self.ours.post(self.channel, self.words())
            return
        parent = self.rng.choice(parents)
        if choice < 0.6:
            self.ours.reply(self.channel, parent, self.words())
        elif choice < 0.65:
            self.ours.reply(self.channel, parent, self.words(), subtype="thread_broadcast")
        elif choice < 0.8:
            self.ours.edit(self.channel, parent, self.words())
        elif choice < 0.9:
            self.edit_a_reply(parent)
        elif choice < 0.95:
            self.ours.delete(self.channel, parent)
        else:  # a message that turns up late
            at = ts_number(parent) + self.rng.randrange(1, 5)
            if self.room.message(at) is None:
                self.ours.post(self.channel, self.words(), at=at)

    def edit_a_reply(self, parent: str) -> None:
        replies = self.room.thread(ts_number(parent))
        if replies:
            reply = self.room.message(self.rng.choice(replies))
            assert reply is not None
            self.ours.edit(self.channel, reply["ts"], self.words())
            self.ours.reply(self.channel, parent, self.words())

    def holds(self) -> dict[str, str]:
        """What the channel holds: every message that is there, by its id."""
        tops = list(self.room.top(0, 1 << 60))
        every = {*tops, *(reply for top in tops for reply in self.room.thread(top))}
        found = [self.room.message(moment) for moment in every]
        return {f"{self.channel}/{m['ts']}": m["text"] for m in found if m and m.get("subtype") != "tombstone"}


@pytest.mark.parametrize("seed", range(24))
def test_what_was_given_is_what_is_there(ours: Ours, seed: int) -> None:
    rng = random.Random(seed)
    ours.server.short_pages = seed % 3 == 0
    channel = ours.channel()
    people = People(ours, channel, rng)
    known: dict[str, str] = {}
    cursor: Cursor | None = None
    twice = 0
    for _ in range(12):
        for _ in range(rng.randrange(12)):
            people.act()
        with opened(ours, client={"page": rng.choice((2, 3, 7, 50))}) as source:
            crash = rng.choice((None, None, rng.randrange(1, 9)))
            for number, one in enumerate(source.records(Unit(channel, ""), cursor), 1):
                if rng.random() < 0.05:
                    people.act()
                if one.record is not None and one.record.deleted:
                    known.pop(one.record.id, None)
                elif one.record is not None:
                    twice += known.get(one.record.id) == text(one.record)
                    known[one.record.id] = text(one.record)
                assert len(one.cursor.value) < 4096
                cursor = one.cursor
                if number == crash:
                    break
    with opened(ours) as source:
        for _ in range(2):
            for one in source.records(Unit(channel, ""), cursor):
                if one.record is not None and one.record.deleted:
                    known.pop(one.record.id, None)
                elif one.record is not None:
                    known[one.record.id] = text(one.record)
                cursor = one.cursor
    assert known == people.holds()
    assert twice == 0
