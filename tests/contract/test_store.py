"""What every store promises, held against all: in memory, in a SQLite file, in a PostgreSQL that really runs."""

from __future__ import annotations

import threading
from typing import get_args

import pytest

from keysentry.errors import HeldError, StoreError
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Severity
from keysentry.model.incident import SourceStatus
from keysentry.model.lifecycle import State
from keysentry.model.location import Exposure
from keysentry.model.sensitive import Sensitive
from keysentry.store.base import IncidentQuery, Store
from tests.store.kinds import postgres, postgres_url, store, store_url
from tests.store.making import batch, dump, forged, found, only, sighting

__all__ = ["postgres", "postgres_url", "store", "store_url"]

# What a commit stores.


def test_a_finding_is_an_incident_and_an_occurrence(store: Store) -> None:
    finding = found(1, start=7, part="notes.txt", path="a/b.txt", time="2026-01-02T03:04:05Z")
    committed = store.commit(batch(sighting("M1", "s1", finding), time=100.0))

    incident = only(store)
    assert committed.new == (incident.id,)
    assert (committed.occurrences, committed.reopened, committed.gone) == (1, (), 0)
    assert incident.fingerprint == finding.fingerprint
    assert incident.secret == str(finding.secret) != forged(1)
    assert (incident.rule, incident.title, incident.provider) == ("github.pat", "GitHub token", "github")
    assert (incident.category, incident.severity, incident.confidence) == ("credential", Severity.HIGH, 0.9)
    assert incident.lifetime is finding.lifetime
    assert (incident.state, incident.places, incident.seen, incident.regressions) == ("open", 1, 1, 0)
    assert (incident.first_seen, incident.last_seen, incident.audience) == (100.0, 100.0, "internal")
    (place,) = store.occurrences(incident.id)
    assert (place.incident, place.source, place.unit, place.record) == (incident.id, "chat", "C1", "M1")
    assert (place.uri, place.path, place.part) == ("https://chat.example/p1", "a/b.txt", "notes.txt")
    assert (place.line, place.column, place.container) == (8, 1, "ops")
    assert (place.author, place.author_id, place.time) == ("Ann", "U1", "2026-01-02T03:04:05Z")
    assert place.exposure == Exposure("internal", 12, 1000.0)
    assert (place.confidence, place.reasons, place.gone) == (0.9, ("the pattern matches",), None)


def test_a_secret_in_three_places_is_one_incident(store: Store) -> None:
    store.commit(batch(sighting("M1", "s1", found(1)), sighting("M2", "s2", found(1)), time=100.0))
    store.commit(batch(sighting("M1", "s3", found(1)), source="mail", time=101.0))

    incident = only(store)
    assert (incident.places, incident.seen, incident.first_seen, incident.last_seen) == (3, 3, 100.0, 101.0)
    places = [(place.source, place.record) for place in store.occurrences(incident.id)]
    assert sorted(places) == [("chat", "M1"), ("chat", "M2"), ("mail", "M1")]


def test_an_incident_has_the_same_id_in_every_store(store: Store) -> None:
    store.commit(batch(sighting("M1", "s1", found("the same in every store", provider="generic"))))
    assert only(store).id == "inc_0fd4061aea5e"


def test_severity_and_confidence_are_the_highest_that_were_seen(store: Store) -> None:
    store.commit(batch(sighting("M1", "s1", found(1, confidence=0.5, severity=Severity.CRITICAL, rule="loose"))))
    store.commit(batch(sighting("M2", "s2", found(1, confidence=0.9, severity=Severity.LOW, rule="strict"))))
    store.commit(batch(sighting("M3", "s3", found(1, confidence=0.7, severity=Severity.LOW, rule="loose"))))
    incident = only(store)
    assert (incident.confidence, incident.severity, incident.rule) == (0.9, Severity.CRITICAL, "strict")


def test_the_audience_is_the_widest_of_the_places_that_are_there(store: Store) -> None:
    for number, audience in enumerate(("unknown", "private", "internal", "external", "public")):
        store.commit(batch(sighting(f"M{number}", "s", found(1, audience=audience))))
        assert only(store).audience == audience
    store.commit(batch(sighting("M4", "s2")))
    assert only(store).audience == "external"
    for number in range(4):
        store.commit(batch(sighting(f"M{number}", "s2")))
    assert (only(store).audience, only(store).places, only(store).seen) == ("unknown", 0, 5)


def test_no_secret_is_told_wherever_it_stood(store: Store) -> None:
    token, key_id = forged(1), forged(2)
    finding = found(
        token,
        uri=f"https://chat.example/?token={token}",
        path=f"exports/{token}.txt",
        part=f"users.{key_id}",
        container=f"#{token}",
        author=token,
        title=f"Token {token}",
        reasons=[f"it is {token}", f"beside {key_id}"],
        companions=(("id", Sensitive(key_id)),),
    )
    unread = (("C1", f"exports/{token}.txt", f"cut at {key_id}", True),)
    store.commit(batch(sighting(f"exports/{token}.txt", "s1", finding), unread=unread))

    told = repr(dump(store))
    assert token not in told
    assert key_id not in told
    (place,) = store.occurrences(only(store).id)
    assert place.uri == f"https://chat.example/?token={Sensitive(token)}"


def test_keys_of_any_length_and_form_come_back_as_they_were(store: Store) -> None:
    odd = "nul \0, half \udcff, mark \x1a0041, 100%_\\, " + "x" * 20_000
    finding = found(1, path=odd, part=odd, container=odd)
    cursors = ((odd, Cursor(odd)), ("", Cursor("")))
    store.commit(batch(sighting(odd, "s1", finding, unit=odd), cursors=cursors, unread=((odd, odd, odd, False),)))
    store.commit(batch(sighting(odd, "s2", finding, unit=odd), cursors=cursors))

    (place,) = store.occurrences(only(store).id)
    assert (place.record, place.unit, place.path, place.part, place.container) == (odd, odd, odd, odd, odd)
    assert store.cursors("chat") == {"": Cursor(""), odd: Cursor(odd)}
    assert store.cursor("chat", odd) == Cursor(odd)
    (unread,) = store.unread()
    assert (unread.unit, unread.place, unread.reason) == (odd, odd, odd)
    assert [one.id for one in store.incidents(IncidentQuery(text="HALF \udcff, MARK"))] == [only(store).id]


# Committing again.


def test_committing_again_changes_nothing(store: Store) -> None:
    first = batch(
        sighting("M1", "s1", found(1), found(1, start=80), found(2, start=40)),
        sighting("M2", "s2", found(1), last=False),
        sighting("M2", "s2", found(1, start=500)),
        cursor="7",
        unread=(("C1", "big.bin", "too large", False), ("C1", "big.bin", "too large", False)),
    )
    store.commit(first)
    before = dump(store)
    again = store.commit(first)
    assert dump(store) == before
    assert (again.new, again.reopened, again.occurrences, again.gone) == ((), (), 0, 0)
    assert only_unread_times(store) == [1]


def only_unread_times(store: Store) -> list[int]:
    return [one.times for one in store.unread()]


def test_a_repeated_batch_is_no_news_after_a_change_of_state(store: Store) -> None:
    """Its caller did not learn that it was stored; a person closed the incident meanwhile."""
    edited = batch(sighting("M1", "s1", found(1)), sighting("M1", "s2", found(2)), time=100.0)
    store.commit(edited)
    for incident in store.incidents():
        store.move(incident.id, "closed", actor="ann", reason="done", time=101.0)
    before = dump(store)
    assert store.commit(edited).reopened == ()
    assert dump(store) == before


def test_an_older_pass_that_comes_again_is_ignored(store: Store) -> None:
    old = batch(sighting("M1", "s1", found(1)), time=100.0)
    store.commit(old)
    store.commit(batch(sighting("M1", "s2", found(2)), time=101.0))
    before = dump(store)
    store.commit(old)
    assert dump(store) == before


# What is one occurrence.


def test_a_secret_twice_in_a_part_is_two_occurrences(store: Store) -> None:
    store.commit(batch(sighting("M1", "s1", found(1, start=5), found(1, start=90), found(1, start=5, part="a.txt"))))
    assert only(store).places == 3


def test_text_added_above_moves_an_occurrence_and_makes_none(store: Store) -> None:
    store.commit(batch(sighting("M1", "s1", found(1, start=5), found(1, start=90)), time=100.0))
    moved = found(1, start=35, author="Bob", uri="https://chat.example/p2"), found(1, start=120)
    committed = store.commit(batch(sighting("M1", "s2", *reversed(moved)), time=101.0))
    assert (committed.occurrences, committed.gone) == (0, 0)
    assert (only(store).places, only(store).seen) == (2, 2)
    places = sorted(store.occurrences(only(store).id), key=lambda place: place.line or 0)
    assert [place.line for place in places] == [36, 121]
    assert (places[0].author, places[0].uri) == ("Bob", "https://chat.example/p2")
    assert [(place.first_seen, place.last_seen) for place in places] == [(100.0, 101.0)] * 2


def test_stretches_of_a_pass_are_numbered_on(store: Store) -> None:
    stretches = [
        batch(sighting("M1", "s1", found(1, start=start), found(1, start=start + 40), last=False), time=100.0 + start)
        for start in range(0, 500, 100)
    ]
    for one in stretches:
        store.commit(one)
        store.commit(one)
    assert only(store).places == 10
    assert store.commit(batch(sighting("M1", "s1"), time=900.0)).gone == 0
    assert sorted(place.line or 0 for place in store.occurrences(only(store).id))[-1] == 441


def test_the_stretches_of_a_new_pass_are_the_same_occurrences(store: Store) -> None:
    def commit(scan: str, starts: list[int], *, last: bool = False) -> tuple[int, int]:
        committed = store.commit(batch(sighting("M1", scan, *(found(1, start=one) for one in starts), last=last)))
        return committed.occurrences, committed.gone

    assert commit("s1", [0, 100]) == (2, 0)
    assert commit("s1", [200], last=True) == (1, 0)
    # Cut elsewhere, as after a crash in the middle.
    assert commit("s2", [0]) == (0, 0)
    assert commit("s3", [0]) == (0, 0)
    assert commit("s3", [100, 200]) == (0, 0)
    assert commit("s3", [300], last=True) == (1, 0)
    assert commit("s4", [0], last=True) == (0, 3)
    assert (only(store).places, only(store).seen) == (1, 4)


def test_a_record_of_many_findings_is_stored_whole(store: Store) -> None:
    findings = [found(number % 7, start=number * 50) for number in range(3000)]
    committed = store.commit(batch(sighting("M1", "s1", *findings)))
    assert (len(committed.new), committed.occurrences) == (7, 3000)
    assert sum(incident.places for incident in store.incidents()) == 3000
    first = next(store.incidents())
    assert len({place.line for place in store.occurrences(first.id)}) == first.places
    assert store.commit(batch(sighting("M1", "s2"))).gone == 3000


# Gone and back.


def test_what_a_whole_pass_does_not_see_is_gone(store: Store) -> None:
    store.commit(batch(sighting("M1", "s1", found(1), found(2, start=50)), sighting("M2", "s1", found(1)), time=100.0))
    committed = store.commit(batch(sighting("M1", "s2", found(2)), time=105.0))
    assert committed.gone == 1
    incident = next(one for one in store.incidents() if one.fingerprint == found(1).fingerprint)
    assert (incident.places, incident.seen) == (1, 2)
    assert [(place.record, place.gone) for place in store.occurrences(incident.id)] == [("M2", None), ("M1", 105.0)]


def test_nothing_is_gone_before_the_pass_ends(store: Store) -> None:
    store.commit(batch(sighting("M1", "s1", found(1))))
    assert store.commit(batch(sighting("M1", "s2", found(2), last=False))).gone == 0
    assert store.commit(batch(sighting("M1", "s2"))).gone == 1


def test_a_deleted_record_takes_its_occurrences_with_it(store: Store) -> None:
    store.commit(batch(sighting("M1", "s1", found(1), found(2, part="a")), sighting("M2", "s1", found(1))))
    store.commit(batch(sighting("M1", "s1", found(1)), source="mail"))
    committed = store.commit(batch(sighting("M1", "s2")))
    assert committed.gone == 2
    assert sorted(incident.places for incident in store.incidents()) == [0, 2]


def test_an_edit_within_one_batch_leaves_what_was_there_as_gone(store: Store) -> None:
    committed = store.commit(batch(sighting("M1", "s1", found(1)), sighting("M1", "s2", found(2)), time=100.0))
    assert (len(committed.new), committed.occurrences, committed.gone) == (2, 2, 1)
    places = {one.fingerprint: (one.places, one.seen) for one in store.incidents()}
    assert places == {found(1).fingerprint: (0, 1), found(2).fingerprint: (1, 1)}


def test_what_was_gone_and_is_seen_again_is_there_again(store: Store) -> None:
    store.commit(batch(sighting("M1", "s1", found(1)), time=100.0))
    store.commit(batch(sighting("M1", "s2"), time=101.0))
    committed = store.commit(batch(sighting("M1", "s3", found(1)), time=102.0))
    assert (committed.occurrences, committed.new) == (1, ())
    (place,) = store.occurrences(only(store).id)
    assert (place.gone, place.first_seen, place.last_seen) == (None, 100.0, 102.0)
    assert (only(store).places, only(store).seen) == (1, 1)


# States.


@pytest.mark.parametrize("how", ["new", "back", "known"])
def test_only_a_new_or_returned_place_reopens_what_was_ended(store: Store, how: str) -> None:
    for number, state in enumerate(get_args(State)):
        (id,) = store.commit(batch(sighting(f"{state} 1", "s1", found(number)), time=100.0)).new
        if how == "back":
            store.commit(batch(sighting(f"{state} 1", "s2"), time=101.0))
        if state != "open":
            store.move(id, state, actor="ann", reason="done", time=102.0)
        assert id in [one.id for one in store.incidents(IncidentQuery(states=(state,)))]

        record = f"{state} 2" if how == "new" else f"{state} 1"
        twice = (found(number), found(number, start=60)) if how == "new" else (found(number),)
        again = batch(sighting(record, "s3", *twice), time=103.0)
        committed = store.commit(again)
        store.commit(again)

        reopens = how != "known" and state in ("closed", "remediated")
        after = store.incident(id)
        assert after is not None
        assert committed.reopened == ((id,) if reopens else ())
        assert (after.state, after.regressions) == (("open", 1) if reopens else (state, 0))


def test_a_state_of_an_unknown_incident_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="no such incident"):
        store.move("inc_nothing", "closed", actor="ann", reason="done", time=1.0)


# Asking.


def test_each_field_of_a_query_narrows_it(store: Store) -> None:
    a = found("first secret of all", severity=Severity.LOW, rule="a.one", provider="a", title="Alpha")
    b = found("second secret of all", severity=Severity.CRITICAL, rule="b.one", provider="b", title="Beta")
    c = found("third secret of all", severity=Severity.HIGH, rule="b.two", provider="b", title="Gamma")
    store.commit(batch(sighting("M1", "s", a), time=100.0))
    store.commit(batch(sighting("M2", "s", b), time=101.0))
    store.commit(batch(sighting("M3", "s", c), source="mail", time=102.0))
    store.commit(batch(sighting("M4", "s", c), time=103.0))
    ids = {finding.title: incident.id for finding in (a, b, c) for incident in store.incidents()
           if incident.title == finding.title}  # fmt: skip
    store.move(ids["Beta"], "closed", actor="ann", reason="done", time=104.0)

    def titles(**query: object) -> list[str]:
        return [one.title for one in store.incidents(IncidentQuery(**query))]  # type: ignore[arg-type]

    assert titles() == ["Gamma", "Beta", "Alpha"]
    assert titles(limit=2) == ["Gamma", "Beta"]
    assert titles(limit=0) == []
    assert titles(states=("closed",)) == ["Beta"]
    assert titles(states=("open", "closed")) == ["Gamma", "Beta", "Alpha"]
    assert titles(states=("assessed",)) == []
    assert titles(severity=Severity.HIGH) == ["Gamma", "Beta"]
    assert titles(severity=Severity.LOW) == ["Gamma", "Beta", "Alpha"]
    assert titles(source="mail") == ["Gamma"]
    assert titles(source="chat") == ["Gamma", "Beta", "Alpha"]
    assert titles(provider="b") == ["Gamma", "Beta"]
    assert titles(rule="b.one") == ["Beta"]
    assert titles(since=101.0) == ["Gamma", "Beta"]
    assert titles(provider="b", severity=Severity.CRITICAL, source="chat", text="BET", states=("closed",)) == ["Beta"]
    assert titles(provider="a", severity=Severity.CRITICAL) == []


def test_text_is_looked_for_in_any_case_and_as_it_stands(store: Store) -> None:
    finding = found(
        1,
        title="Schlüssel",
        container="Größe-100%",
        author="Ann_Onym",
        path="src/Main.py",
        part="Sheet!B7",
        uri="x://y",
    )
    store.commit(batch(sighting("M1", "s", finding), sighting("M2", "s", found(2, container="other", author=""))))

    def hits(text: str) -> int:
        return len(list(store.incidents(IncidentQuery(text=text))))

    for text in ("SCHLÜSSEL", "grösse-100%", "ANN_onym", "main.PY", "sheet!b7", "X://Y", "ghp_", "github.PAT", ""):
        assert hits(text) >= 1, text
    assert hits("ann_onym") == hits("grösse") == 1
    assert [hits(text) for text in ("100_", "annxonym", "%", "_", "nothing like it")] == [0, 0, 1, 2, 0]


def test_an_incident_is_found_by_the_beginning_of_its_id(store: Store) -> None:
    store.commit(batch(sighting("M1", "s", *(found(number, start=number * 50) for number in range(20)))))
    ids = [incident.id for incident in store.incidents()]
    assert len(set(ids)) == 20
    for id in ids:
        assert id.startswith("inc_")
        found_by_id = store.incident(id)
        assert found_by_id is not None
        assert found_by_id.id == id
        length = next(size for size in range(1, len(id) + 1) if sum(one.startswith(id[:size]) for one in ids) == 1)
        assert store.incident(id[:length]) == found_by_id
        assert store.incident(id[: length - 1]) is None
    assert store.incident("") is None
    assert store.incident("inc_zzz") is None


def test_a_listing_may_be_left_and_the_store_written_meanwhile(store: Store) -> None:
    store.commit(batch(sighting("M1", "s", *(found(number, start=number * 50) for number in range(450)))))
    listing = store.incidents()
    first = next(listing)
    store.commit(batch(sighting("M2", "s", *(found(number, start=number) for number in range(440, 460))), time=200.0))
    assert len({first.id, *(incident.id for incident in listing)}) == 450
    left = store.incidents()
    next(left)
    del left
    store.commit(batch(sighting("M3", "s", found(1)), time=201.0))
    assert next(store.incidents()).last_seen == 201.0


# Cursors, what was not read, how sources are doing.


def test_cursors_are_kept_by_source_and_unit(store: Store) -> None:
    assert store.cursor("chat", "C1") is None
    store.commit(batch(cursors=(("C1", Cursor("1")), ("C2", Cursor("x")), ("C1", Cursor("2")))))
    store.commit(batch(cursors=(("C1", Cursor("m")),), source="mail"))
    assert store.cursors("chat") == {"C1": Cursor("2"), "C2": Cursor("x")}
    assert store.cursor("mail", "C1") == Cursor("m")
    assert store.cursors("nobody") == {}
    assert (store.forget("chat", "C9"), store.forget("chat", "C1"), store.forget("chat")) == (0, 1, 1)
    assert (store.cursors("chat"), store.cursor("mail", "C1")) == ({}, Cursor("m"))


def test_what_was_not_read_is_counted(store: Store) -> None:
    place = ("C1", "big.bin", "too large", False)
    store.commit(batch(time=100.0, unread=(place, ("C1", "big.bin", "broken", True))))
    store.commit(batch(time=105.0, unread=(("C1", "big.bin", "too large", True),)))
    store.commit(batch(time=103.0, unread=(place,), source="mail"))
    told = [(one.source, one.reason, one.partial, one.first_seen, one.last_seen, one.times) for one in store.unread()]
    assert told == [
        ("chat", "too large", True, 100.0, 105.0, 2),
        ("mail", "too large", False, 103.0, 103.0, 1),
        ("chat", "broken", True, 100.0, 100.0, 1),
    ]
    assert [one.source for one in store.unread("mail")] == ["mail"]


def test_the_latest_status_of_each_source_is_kept(store: Store) -> None:
    assert store.statuses() == []
    for at in (1.0, 2.0):
        for source in ("mail", "chat"):
            error = "ünïcode and half \udcff"
            store.report(SourceStatus(source=source, platform="slack", state="reading", at=at, last_error=error))
    assert [(one.source, one.at, one.last_error) for one in store.statuses()] == [
        ("chat", 2.0, "ünïcode and half \udcff"),
        ("mail", 2.0, "ünïcode and half \udcff"),
    ]


# Holding, threads, closing.


def test_a_source_is_held_once(store: Store) -> None:
    with store.hold("chat"):
        with store.hold("mail"):
            pass
        with pytest.raises(HeldError, match="chat: this process reads it already"), store.hold("chat"):
            pass
        store.commit(batch(sighting("M1", "s", found(1)), cursor="1"))
    with store.hold("chat"):
        store.commit(batch(cursor="2"))
    assert store.cursor("chat", "C1") == Cursor("2")


def test_a_hold_ends_with_an_error_too(store: Store) -> None:
    with pytest.raises(KeyError), store.hold("chat"):
        raise KeyError
    with store.hold("chat"):
        pass


def test_sources_commit_at_once(store: Store) -> None:
    """Eight threads find the same secrets; nothing is counted twice, nothing is lost, everything is new once."""
    rounds, failures, new = 12, [], []

    def read(source: str) -> None:
        try:
            with store.hold(source):
                for number in range(rounds):
                    one = batch(
                        sighting(f"M{number}", "s", found(number), found(number + 1, start=60)),
                        source=source,
                        time=100.0 + number,
                        cursor=str(number),
                    )
                    new.extend(store.commit(one).new)
                    store.commit(one)
                    list(store.incidents(IncidentQuery(limit=3)))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=read, args=(f"source-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(new) == sorted(incident.id for incident in store.incidents())
    assert len(new) == rounds + 1
    assert sum(incident.places for incident in store.incidents()) == 8 * rounds * 2
    for number in range(8):
        assert store.cursor(f"source-{number}", "C1") == Cursor(str(rounds - 1))


def test_a_closed_store_says_so(store: Store) -> None:
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.commit(batch(cursor="1"))
    with pytest.raises(StoreError, match="closed"):
        list(store.incidents())
    with pytest.raises(StoreError, match="closed"), store.hold("chat"):
        pass
    store.close()
