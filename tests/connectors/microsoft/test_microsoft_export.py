"""Teams by its export interface: exact places in lists without an order, one record a message however many members'
lists have it, edits, deletions, licences.

Played by `tests/servers/graph_export.py`; where a test says `validated`, Prism holds both sides to Microsoft's own
description of the interface.
"""

from __future__ import annotations

import gc
import random
import tracemalloc
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice

import pytest

from keysentry.connectors.base import Delivery, Source
from keysentry.connectors.microsoft.source import MicrosoftSource
from keysentry.errors import AccessError, GoneError
from keysentry.model.cursor import Cursor
from keysentry.model.record import Unit
from keysentry.pipeline import Pipeline
from keysentry.scan import Scanner
from keysentry.store import open_store
from keysentry.store.base import Store
from tests.connectors.microsoft.conftest import Opener
from tests.connectors.microsoft.test_microsoft_contract import TROUBLES, Told, change_channel, change_chat, piecemeal
from tests.connectors.microsoft.test_microsoft_story import STORIES
from tests.connectors.microsoft.test_microsoft_teams import ODD
from tests.connectors.microsoft.world import Waits, World, last, people, read, records, secret, skipped, told, units
from tests.servers.graph import TOKEN, GraphServer
from tests.servers.graph_state import STEP, Space, Tenant

pytestmark = pytest.mark.xdist_group("graph")

LISTS = ("channels", "chats")
CHANGES = {"channels": change_channel, "chats": change_chat}


@pytest.fixture
def export(opened: Opener) -> Opener:
    """Opens sources that read chats and channels by the export interface, for security and compliance."""

    def one(base_url: str = "", **chosen: object) -> MicrosoftSource:
        return opened(base_url, **({"teams": True, "chats": True, "teams_export": "A"} | chosen))

    return one


def the(source: Source, kind: str) -> Unit:
    """The first unit that is the list of all channels of a team, or of all chats of a user."""
    return next(unit for unit in units(source) if unit.id.endswith(kind))


def of(place: World, user: str) -> Unit:
    """The list of a user's chats."""
    return Unit(f"users/{user}/chats", f"chats / {place.tenant.users[user]['userPrincipalName']}")


def stored(deliveries: list[Delivery]) -> list[Delivery]:
    """Deliveries of which the source was told that they are stored."""
    for one in deliveries:
        if one.done is not None:
            one.done()
    return deliveries


def test_units_are_users_and_teams_and_records_have_the_ids_that_they_have_without_it(
    export: Opener, opened: Opener, place: World
) -> None:
    source = export()
    found = units(source)
    assert [(unit.id, unit.title) for unit in found] == [
        ("teams/team-1/channels", "Engineering / all channels"),
        (f"users/{place.ann}/chats", "chats / ann@contoso.com"),
        (f"users/{place.bob}/chats", "chats / bob@contoso.com"),
    ]
    plain = opened(teams=True, chats=True)
    expected = {record.id: record for unit in units(plain) for record in records(read(plain, unit))}
    by_export = {record.id: record for unit in found for record in records(read(source, unit))}
    assert set(by_export) == set(expected)
    for id_, record in by_export.items():
        one = expected[id_]
        assert (record.container, record.author, record.author_id) == (one.container, one.author, one.author_id)
        assert (record.uri, record.time, record.exposure) == (one.uri, one.time, one.exposure)
        assert told([Delivery(record, Cursor())]) == told([Delivery(one, Cursor())])


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("sizes", [[2, 1, 3, 0, 2], [1], [100]])
def test_goes_on_exactly_after_any_delivery(
    kind: str, sizes: list[int], export: Opener, place: World, server: GraphServer
) -> None:
    server.sizes = sizes
    unit = the(export(), kind)
    whole = read(export(), unit)
    assert len(records(whole)) >= 6
    for at, one in enumerate(whole):
        assert told(read(export(), unit, one.cursor)) == told(whole[at + 1 :]), at
    CHANGES[kind](place)
    changes = read(export(), unit, last(whole))
    for at, one in enumerate(changes):
        assert told(read(export(), unit, one.cursor)) == told(changes[at + 1 :]), at
    assert max(len(one.cursor.value) for one in whole + changes) < 4000


@pytest.mark.parametrize("kind", LISTS)
def test_a_process_that_dies_after_every_record_reads_the_same(kind: str, export: Opener, place: World) -> None:
    unit = the(export(), kind)
    whole = read(export(), unit)
    pieces, cursor = piecemeal(export, unit, None)
    assert pieces == told(whole)
    CHANGES[kind](place)
    assert piecemeal(export, unit, cursor)[0] == told(read(export(), unit, last(whole)))


@pytest.mark.parametrize("kind", LISTS)
def test_a_second_pass_tells_only_what_is_new_edited_or_deleted(
    kind: str, export: Opener, place: World, server: GraphServer
) -> None:
    source = export()
    unit = the(source, kind)
    cursor = last(read(source, unit))
    again = read(source, unit, cursor)
    assert told(again) == []
    cursor = last(again, cursor)
    expected = CHANGES[kind](place)
    changes = read(source, unit, cursor)
    assert sorted(told(changes)) == sorted(expected)
    assert told(read(source, unit, last(changes))) == []
    ids = [record.id for record in records(changes)]
    assert len(ids) == len(set(ids))
    asked = [path for path in server.requests if "$filter" in path]
    assert asked
    assert all("%20gt%20" in path and "%20lt%20" in path for path in asked)


def test_a_pass_that_finds_nothing_leaves_the_place_as_it_is(export: Opener, place: World) -> None:
    source = export()
    unit = the(source, "chats")
    place.tenant.clock += timedelta(hours=1)
    cursor = last(read(source, unit))
    assert read(source, unit, cursor) == []


def test_what_was_deleted_is_told_as_such_though_its_text_is_still_there(
    export: Opener, place: World, server: GraphServer
) -> None:
    message = place.tenant.post(place.chat, secret(31), place.ann)
    place.tenant.remove(place.chat, message)
    source = export()
    unit = the(source, "chats")
    whole = read(source, unit)
    assert (f"chats/{place.chat.id}/messages/{message}", True, ()) in told(whole)
    assert secret(31) not in str(told(whole))
    place.tenant.clock += timedelta(days=22)
    assert message not in str([record.id for record in records(read(export(), unit))])


# One message, one record


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    return Scanner(key=b"k" * 32)


@pytest.fixture
def store() -> Iterator[Store]:
    store = open_store("memory:", key=b"test")
    yield store
    store.close()


def run(source: Source, scanner: Scanner, store: Store, unit: Unit) -> None:
    for _ in Pipeline("m365", source, scanner, store).run(unit):
        pass


def test_one_occurrence_for_a_message_that_every_member_has(
    export: Opener, opened: Opener, place: World, scanner: Scanner, store: Store
) -> None:
    """Posted, edited into another message, deleted: whoever's list is read, and in whichever order."""
    tenant, (ann, bob) = place.tenant, (place.ann, place.bob)
    carl = tenant.user("carl@contoso.com", "Carl")
    chat = tenant.chat("group", *map(tenant.member, (ann, bob, carl)), topic="Plans")
    first = tenant.post(chat, f"<p>use {secret(41)}</p>", ann)
    second = tenant.post(chat, "<p>nothing yet</p>", bob)
    source = export()
    for user in (ann, bob, carl, ann):
        run(source, scanner, store, of(place, user))
    [incident] = store.incidents()
    [found] = store.occurrences(incident.id)
    assert (incident.places, incident.seen, found.record) == (1, 1, f"chats/{chat.id}/messages/{first}")
    assert found.container == "group chat / Plans"

    tenant.edit(chat, second, f"<p>again {secret(41)}</p>")
    for user in (carl, ann, bob):
        run(source, scanner, store, of(place, user))
    [incident] = store.incidents()
    assert (incident.places, incident.seen) == (2, 2)

    tenant.remove(chat, first)
    for user in (bob, carl, ann):
        run(source, scanner, store, of(place, user))
    [incident] = store.incidents()
    assert (incident.places, incident.seen, incident.regressions) == (1, 2, 0)

    plain = opened(chats=True)  # read one by one from now on: the same records
    run(plain, scanner, store, Unit(f"chats/{chat.id}", "group chat / Plans"))
    [incident] = store.incidents()
    assert (incident.places, incident.seen, incident.regressions) == (1, 2, 0)


def test_a_mailbox_that_lags_behind_does_not_bring_back_what_was_edited_away(
    export: Opener, place: World, server: GraphServer, scanner: Scanner, store: Store
) -> None:
    tenant = place.tenant
    message = tenant.post(place.chat, f"<p>use {secret(42)}</p>", place.ann)
    source = export()
    ann, bob = of(place, place.ann), of(place, place.bob)
    run(source, scanner, store, ann)
    server.lag(place.bob)
    tenant.edit(place.chat, message, "<p>never mind</p>")
    run(source, scanner, store, ann)
    [incident] = store.incidents()
    assert incident.places == 0
    run(source, scanner, store, bob)
    [incident] = store.incidents()
    assert (incident.places, incident.regressions) == (0, 0)
    server.lagging.clear()
    assert told(stored(read(source, bob, store.cursor("m365", bob.id)))) == [
        (f"chats/{place.chat.id}/messages/{message}", False, (b"never mind",))
    ]


# What changes meanwhile


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("after", [1, 2, 3, 5])
def test_what_changes_while_a_pass_is_on_is_not_lost(kind: str, after: int, export: Opener, place: World) -> None:
    source = export()
    unit = the(source, kind)
    ids = {record.id for record in records(read(source, unit))}
    stream = source.records(unit, None)
    begun = list(islice(stream, after))
    expected = CHANGES[kind](place)
    rest = list(stream)
    later = read(source, unit, last(rest))
    final = {id_: (deleted, texts) for id_, deleted, texts in told(begun + rest + later)}
    assert ids <= set(final)
    for id_, deleted, texts in expected:
        assert final[id_] == (deleted, texts)


@pytest.mark.parametrize("kind", LISTS)
def test_a_lost_place_costs_no_record_and_no_change(
    kind: str, export: Opener, place: World, server: GraphServer
) -> None:
    source = export()
    unit = the(source, kind)
    whole = read(source, unit)
    expected = {record.id for record in records(whole)}
    stream = source.records(unit, None)
    begun = list(islice(stream, 3))
    server.expire()
    assert {record.id for record in records(begun + list(stream))} == expected
    begun = list(islice(source.records(unit, None), 3))
    server.expire()
    assert {record.id for record in records(begun + read(export(), unit, last(begun)))} == expected
    changes: Told = CHANGES[kind](place)
    server.expire()
    assert sorted(told(read(source, unit, last(whole)))) == sorted(changes)


@pytest.mark.parametrize("kind", LISTS)
def test_a_place_lost_among_changes_does_not_bring_back_what_was_read_before(
    kind: str, export: Opener, place: World, server: GraphServer
) -> None:
    server.sizes = [1]
    cursor = last(read(export(), the(export(), kind)))
    changed = {one[0] for one in CHANGES[kind](place)}
    source = export()
    unit = the(source, kind)
    begun = list(islice(source.records(unit, cursor), 2))
    server.expire()
    rest = read(source, unit, last(begun))
    assert {one[0] for one in told(begun + rest)} == changed


@pytest.mark.parametrize("kind", ["teams/", "chats/"])
@pytest.mark.parametrize("seed", range(4))
def test_in_the_end_everything_was_told(
    kind: str, seed: int, export: Opener, place: World, server: GraphServer
) -> None:
    """As in the story of other units, with the lists of two members in turn, each behind the other now and then."""
    act, final = STORIES[kind]
    rng = random.Random(seed)
    first = next(iter(place.channel.entries.values()))
    first.body["body"] = {"contentType": "html", "content": "markup is another test's"}
    source = export()
    lists = [the(source, "channels")] if kind == "teams/" else [of(place, place.ann), of(place, place.bob)]
    cursors: dict[str, Cursor | None] = {}
    known: dict[str, tuple[bool, str]] = {}
    for step in range(60):
        for _ in range(rng.randrange(4)):
            act(rng, place)
        server.sizes = [*rng.choices(range(5), k=3), 2]
        if rng.random() < 0.04:
            server.expire()
        if rng.random() < 0.1:
            source.close()
            source = export()
        unit = rng.choice(lists) if step < 58 else lists[step % len(lists)]
        limit = rng.choice((1, 2, 5, 1000)) if step < 58 else 100_000
        for one in islice(source.records(unit, cursors.get(unit.id)), limit):
            cursors[unit.id] = one.cursor
            for id_, deleted, texts in told(stored([one])):
                known[id_] = (deleted, texts[-1].decode() if texts else "")
    expected = final(place)
    assert known == expected


def test_more_in_a_quarter_of_an_hour_than_the_cursor_holds_may_come_twice_but_never_not(
    export: Opener, tenant: Tenant, server: GraphServer
) -> None:
    ann, _, _ = people(tenant)
    chat = tenant.chat("group", tenant.member(ann), topic="Busy")
    server.sizes = [70]
    moment = tenant.clock

    def post(number: float) -> None:
        tenant.clock = moment + timedelta(seconds=number) - STEP
        tenant.post(chat, f"{number}", ann)
        tenant.clock = moment + timedelta(seconds=600)

    for number in range(200):
        post(number)
    source = export()
    unit = the(source, "chats")
    first = read(source, unit)
    assert len(records(first)) == 200
    assert max(len(one.cursor.value) for one in first) < 4_000
    post(250)
    post(150.5)  # becomes visible late
    second = [texts for _, _, texts in told(read(source, unit, last(first)))]
    assert {(b"250",), (b"150.5",)} <= set(second)
    assert len(second) <= 82


def test_only_what_is_new_enough_is_read(export: Opener, place: World, server: GraphServer) -> None:
    tenant = place.tenant
    since = (tenant.clock + timedelta(minutes=1)).isoformat()
    old = next(iter(place.chat.entries))
    tenant.edit(place.chat, old, "edited since")
    tenant.post(place.chat, "new", place.ann)
    source = export(since=since)
    texts = [texts for _, _, texts in told(read(source, the(source, "chats")))]
    assert sorted(texts) == [(b"edited since",), (b"new",)]


# Trouble


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("trouble", TROUBLES)
def test_passing_trouble_changes_nothing(
    kind: str, trouble: str, export: Opener, place: World, server: GraphServer, waits: Waits
) -> None:
    unit = the(export(), kind)
    whole = read(export(), unit)
    fault = server.fault("(?i)/getAllMessages", times=3, **TROUBLES[trouble])
    assert told(read(export(), unit)) == told(whole)
    assert fault.met.is_set()
    assert fault.times == 0
    asked = {"429 with Retry-After": 7.0, "503": 3.0}.get(trouble)
    assert waits.seconds.count(asked) == 3 if asked else all(wait < 10 for wait in waits.seconds)


@pytest.mark.parametrize(("kind", "missing"), [("channels", "ChannelMessage.Read.All"), ("chats", "Chat.Read.All")])
def test_a_missing_permission_is_named(
    kind: str, missing: str, export: Opener, place: World, server: GraphServer
) -> None:
    source = export()
    unit = the(source, kind)
    begun = list(islice(source.records(unit, None), 2))
    granted, server.permissions = server.permissions, {TOKEN: server.permissions[TOKEN] - {missing}}
    with pytest.raises(AccessError, match="403") as caught:
        read(source, unit, last(begun))
    assert missing in caught.value.advice
    server.permissions = granted
    assert told(begun + read(source, unit, last(begun))) == told(read(export(), unit))


def test_a_user_or_a_team_that_is_not_there_any_more_is_gone(export: Opener, place: World) -> None:
    source = export()
    found = units(source)
    for team in place.tenant.teams.values():
        team.gone = True
    place.tenant.users.clear()
    for unit in found:
        with pytest.raises(GoneError):
            read(source, unit)


def test_one_user_without_a_licence_does_not_stop_the_others(export: Opener, place: World, server: GraphServer) -> None:
    source = export()
    server.unlicensed = {place.ann}
    [note] = skipped(read(source, of(place, place.ann)))
    assert note.place == "chats / ann@contoso.com"
    assert "402 PaymentRequired" in note.reason
    assert "Microsoft Communications DLP" in note.reason
    assert not note.partial
    whole = read(source, of(place, place.bob))
    assert len(records(whole)) == 6
    assert len(records(read(source, the(source, "channels")))) == 7, "a team needs one member with a licence"
    server.unlicensed = set()
    refused = read(export(), of(place, place.ann))
    assert told(refused) == told(whole)


def test_a_licence_that_is_lost_in_the_middle_costs_nothing_that_was_read(
    export: Opener, place: World, server: GraphServer
) -> None:
    source = export()
    unit = of(place, place.bob)
    stream = source.records(unit, None)
    begun = list(islice(stream, 2))
    server.unlicensed = {place.bob}
    begun += list(stream)
    assert [note.place for note in skipped(begun)] == [unit.title]
    server.unlicensed = set()
    assert told(begun + read(export(), unit, last(begun))) == told(read(export(), unit))


def test_where_nobody_has_a_licence_a_person_must_act(export: Opener, tenant: Tenant, server: GraphServer) -> None:
    for number in range(6):
        tenant.user(f"user{number}@contoso.com", f"User {number}")
    server.unlicensed = None
    source = export()
    with pytest.raises(AccessError, match=r"402 .*needs a valid license") as caught:
        for unit in units(source):
            read(source, unit)
    assert "teams_export" in caught.value.advice
    server.unlicensed = set()
    assert [read(source, unit) for unit in units(source)] == [[]] * 6


def test_what_is_free_for_trials_is_used_up_and_a_person_must_act(
    export: Opener, place: World, server: GraphServer
) -> None:
    server.trial = 3
    server.sizes = [3]
    source = export(teams_export="evaluation")
    unit = of(place, place.ann)
    stream = source.records(unit, None)
    begun = list(islice(stream, 3))
    with pytest.raises(AccessError, match=r"402 .*Evaluation capacity") as caught:
        list(stream)
    assert 'set teams_export to "A" or "B"' in caught.value.advice
    rest = read(export(teams_export="B"), unit, last(begun))
    assert told(begun + rest) == told(read(export(), unit))
    assert server.trial == 0


@pytest.mark.parametrize("model", ["A", "B", "evaluation"])
def test_every_page_is_asked_for_with_the_model(model: str, export: Opener, place: World, server: GraphServer) -> None:
    source = export(teams_export=model)
    for kind in LISTS:
        read(source, the(source, kind))
    asked = [path for path in server.requests if "getallmessages" in path.lower()]
    assert len(asked) > 6
    assert {path.count(f"model={model}") for path in asked} == ({0} if model == "evaluation" else {1})


# What else there is in lists


def test_a_conversation_that_is_not_there_any_more_costs_only_the_knowledge_of_its_readers(
    export: Opener, place: World
) -> None:
    place.channel.gone = place.chat.gone = True
    source = export()
    for kind, count in (("channels", 7), ("chats", 6)):
        whole = read(source, the(source, kind))
        assert len(records(whole)) == count
        [note] = skipped(whole)
        assert "who could read it is not known" in note.reason
        assert note.partial
        assert {record.exposure.audience for record in records(whole)} == {"unknown"}


@pytest.mark.parametrize("case", ODD)
def test_null_and_unknown_fields_cost_nothing(case: str, export: Opener, tenant: Tenant) -> None:
    odd, text = ODD[case]
    ann, _, _ = people(tenant)
    tenant.post(tenant.channel(tenant.team("Engineering", ann), "Odd"), "text", ann, **odd)
    tenant.post(tenant.chat("group", tenant.member(ann), topic="Odd"), "text", ann, **odd)
    source = export()
    for kind in LISTS:
        whole = read(source, the(source, kind))
        assert [texts for _, _, texts in told(whole)] == [(text,)]
        assert skipped(whole) == []


def test_a_message_that_does_not_say_where_it_stands_is_read_all_the_same(export: Opener, place: World) -> None:
    message = place.tenant.post(place.channel, secret(51), place.ann, channelIdentity=None)
    broken = place.tenant.post(place.channel, secret(52), place.ann, channelIdentity=7, attachments="none")
    source = export()
    unit = the(source, "channels")
    whole = read(source, unit)
    found = {id_: texts for id_, _, texts in told(whole)}
    assert found[f"{unit.id}/messages/{message}"] == (secret(51).encode(),)
    assert secret(52).encode() in found[f"{unit.id}/messages/{broken}"][0]
    assert len(found) == 9


def test_memory_is_flat_on_a_user_with_20_000_messages_in_1_000_chats(export: Opener, server: GraphServer) -> None:
    tenant = server.tenant
    ann, bob, _ = people(tenant)
    chats: list[Space] = [tenant.chat("oneOnOne", tenant.member(ann), tenant.member(bob)) for _ in range(1_000)]
    for number in range(20_000):
        tenant.post(chats[number % 1_000], "<p>a line of some length that says nothing of interest</p>", ann)
    server.sizes = [100]
    source = export(chats=True, teams=False)
    stream = source.records(the(source, "chats"), None)
    count, first = _peak(stream, 500)
    count += sum(1 for one in islice(stream, 2_000) if one.record)
    more, final = _peak(stream, 500)
    assert count + more == 3_000
    assert final < first * 1.2 + 500_000
    stream.close()  # type: ignore[attr-defined]


def _peak(stream: Iterator[Delivery], deliveries: int) -> tuple[int, int]:
    """How many records some deliveries have, and how much memory they took at most, the server's included."""
    gc.collect()
    tracemalloc.start()
    try:
        count = sum(1 for one in islice(stream, deliveries) if one.record)
        return count, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_both_sides_keep_to_the_official_description(
    validated: str, export: Opener, place: World, server: GraphServer
) -> None:
    """Through Prism: everything is read as without it, before and after changes."""
    server.sizes = [4, 0, 5]
    direct, through = export(), export(validated)
    found = units(through)
    assert found == units(direct)
    for unit in found[:2]:
        whole = read(through, unit)
        assert told(whole) == told(read(direct, unit))
        expected = CHANGES[unit.id.rpartition("/")[2]](place)
        assert sorted(told(read(through, unit, last(whole)))) == sorted(expected)
    used = {path.partition("?")[0].rpartition("/")[2] for path in server.requests}
    assert {"getAllMessages", "getallMessages"} <= used
