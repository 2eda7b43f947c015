"""People write, edit and delete while the source is read, killed, resumed and made to lose its place: in the end it has
told the last state of everything. Played by `tests/servers/graph.py`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import islice

import pytest

from keysentry.model.cursor import Cursor
from tests.connectors.microsoft.conftest import Opener
from tests.connectors.microsoft.world import World, told, unit_of
from tests.servers.graph import GraphServer
from tests.servers.graph_state import Space

pytestmark = pytest.mark.xdist_group("graph")

Act = Callable[[random.Random, World], None]
State = dict[str, tuple[bool, str]]


def _living(space: Space) -> list[str]:
    entries = [one for root in space.entries.values() for one in (root, *root.replies)]
    return [
        one.body["id"] for one in entries if one.body["messageType"] == "message" and not one.body["deletedDateTime"]
    ]


def _talk(rng: random.Random, place: World, space: Space, *, replies: bool) -> None:
    tenant, what = place.tenant, rng.random()
    living = _living(space)
    text = f"text {rng.randrange(10**9)}"
    if what < 0.25 and living:
        tenant.edit(space, rng.choice(living), text)
    elif what < 0.35 and living:
        tenant.remove(space, rng.choice(living))
    elif what < 0.7 and replies and space.entries:
        tenant.post(space, text, place.bob, reply_to=rng.choice(list(space.entries)))
    else:
        tenant.post(space, text, place.ann)


def _talk_in_channel(rng: random.Random, place: World) -> None:
    _talk(rng, place, place.channel, replies=True)


def _talk_in_chat(rng: random.Random, place: World) -> None:
    _talk(rng, place, place.chat, replies=False)


def _work(rng: random.Random, place: World) -> None:
    tenant, drive, what = place.tenant, place.drive, rng.random()
    files = [id_ for id_, entry in drive.entries.items() if "file" in entry.body and not entry.gone]
    text = f"text {rng.randrange(10**9)}".encode()
    if what < 0.4 and files:
        tenant.write(drive, rng.choice(files), text)
    elif what < 0.55 and files:
        tenant.discard(drive, rng.choice(files))
    else:
        tenant.file(drive, f"{what}.txt", text, place.ann)


def _messages(space: Space, under: str) -> State:
    """What the last state of each message of a conversation is."""
    found: State = {}
    for root in space.entries.values():
        for one in (root, *root.replies):
            if one.body["messageType"] == "message":
                path = f"{under}/{root.body['id']}" + ("" if one is root else f"/replies/{one.body['id']}")
                gone = bool(one.body["deletedDateTime"])
                found[path] = (gone, "" if gone else one.body["body"]["content"])
    return found


def _files(place: World) -> State:
    found = {id_: entry for id_, entry in place.drive.entries.items() if "file" in entry.body}
    under = f"drives/{place.drive.id}/items"
    return {
        f"{under}/{id_}": (entry.gone, "" if entry.gone else entry.content.decode()) for id_, entry in found.items()
    }


STORIES: dict[str, tuple[Act, Callable[[World], State]]] = {
    "teams/": (
        _talk_in_channel,
        lambda place: _messages(place.channel, f"teams/team-1/channels/{place.channel.id}/messages"),
    ),
    "chats/": (_talk_in_chat, lambda place: _messages(place.chat, f"chats/{place.chat.id}/messages")),
    "drives/": (_work, _files),
}


@pytest.mark.parametrize("kind", STORIES)
@pytest.mark.parametrize("seed", range(5))
def test_in_the_end_everything_was_told(
    kind: str, seed: int, opened: Opener, place: World, server: GraphServer
) -> None:
    act, final = STORIES[kind]
    rng = random.Random(seed)
    server.inline_replies = rng.choice((1, 2, 1000))
    first = next(iter(place.channel.entries.values()))
    first.body["body"] = {"contentType": "html", "content": "markup is another test's"}
    source = opened()
    unit = unit_of(source, kind)
    cursor: Cursor | None = None
    known: dict[str, tuple[bool, str]] = {}
    for step in range(60):
        for _ in range(rng.randrange(4)):
            act(rng, place)
        server.sizes = [*rng.choices(range(5), k=3), 2]
        if rng.random() < 0.04 and kind != "drives/":  # a drive that is read anew does not tell what was deleted
            server.expire()
        if rng.random() < 0.1:
            source.close()
            source = opened()
        limit = rng.choice((1, 2, 5, 1000)) if step < 59 else 100_000
        for one in islice(source.records(unit, cursor), limit):
            cursor = one.cursor
            for id_, deleted, texts in told([one]):
                known[id_] = (deleted, texts[-1].decode() if texts else "")
    expected = final(place)
    for id_, state in expected.items():
        if state[0] and id_ not in known:
            continue  # gone before anybody saw it
        assert known.get(id_) == state, id_
    assert set(known) <= set(expected)
