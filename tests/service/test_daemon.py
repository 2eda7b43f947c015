"""Sources round the clock: one that fails does not disturb the others, and nothing ends a daemon but being told to."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from keysentry import Scanner, decode_rules
from keysentry.errors import AccessError, ConfigError, GoneError, HeldError, SourceError
from keysentry.model.record import Record
from keysentry.rules.forge import forge
from keysentry.service.daemon import Daemon, Ended, Plan
from keysentry.service.journal import Journal
from keysentry.service.loop import SourceSpec
from keysentry.service.options import WatchOptions
from keysentry.store import open_store
from keysentry.store.base import Store
from tests.service.scripted import Scripted, ScriptedOptions, message

QUICK = WatchOptions(deadline=5.0, longest_backoff=0.02, status_every=0.0)


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    return Scanner(key=b"k" * 32)


@pytest.fixture
def store() -> Iterator[Store]:
    store = open_store("memory:", key=b"test")
    yield store
    store.close()


def token(seed: int) -> str:
    return forge("ghp_{base62:30}{crc32-base62:6}", random.Random(seed))


def spec(name: str, platform: Scripted, **options: object) -> SourceSpec:
    chosen = ScriptedOptions(name=name, **{"poll": 0.01, **options})  # type: ignore[arg-type]
    return SourceSpec("scripted", chosen, platform.open)


class Log:
    """The journal's lines, as objects."""

    def __init__(self) -> None:
        self.lines: list[dict[str, object]] = []
        self.journal = Journal(lambda line: self.lines.append(json.loads(line)), "json")

    def events(self, source: str = "") -> list[object]:
        return [line["event"] for line in self.lines if not source or line.get("source") == source]


def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.005)


@contextmanager
def running(daemon: Daemon) -> Iterator[list[Ended]]:
    """A daemon in a thread, told to end with the context."""
    ended: list[Ended] = []
    thread = threading.Thread(target=lambda: ended.append(daemon.run()))
    thread.start()
    try:
        yield ended
    finally:
        daemon.tell("stop")
        thread.join(20)
        assert not thread.is_alive()


def count(store: Store) -> int:
    return sum(incident.places for incident in store.incidents())


def test_once_reads_every_source_and_ends(scanner: Scanner, store: Store) -> None:
    one, two = Scripted(), Scripted()
    one.add("general", message("1", token(1)))
    two.add("random", message("1", token(1)), message("2", token(2)))
    plan = Plan(scanner, [spec("one", one), spec("two", two)], QUICK)
    ended = Daemon(plan, store, Log().journal, once=True).run()
    assert ended == Ended(2, (), True)
    assert sorted(incident.places for incident in store.incidents()) == [1, 2]
    assert {status.source: (status.state, status.records) for status in store.statuses()} == {
        "one": ("stopped", 1),
        "two": ("stopped", 2),
    }
    assert Daemon(plan, store, Log().journal, once=True).run().new_incidents == 0


def test_it_goes_on_reading_what_comes(scanner: Scanner, store: Store) -> None:
    platform = Scripted()
    platform.add("general", message("1", token(1)))
    with running(Daemon(Plan(scanner, [spec("one", platform)], QUICK), store, Log().journal)) as ended:
        until(lambda: count(store) == 1)
        platform.add("general", message("2", token(2)))
        platform.add("new-channel", message("3", token(3)))
        until(lambda: count(store) == 3)
    assert ended[0].in_time and ended[0].new_incidents == 3


def test_a_live_unit_is_followed_beside_the_others(scanner: Scanner, store: Store) -> None:
    platform = Scripted(live=frozenset({"events"}))
    platform.add("events", message("1", token(1)))
    platform.add("general", message("2", token(2)))
    with running(Daemon(Plan(scanner, [spec("one", platform, poll=60.0)], QUICK), store, Log().journal)) as ended:
        until(lambda: count(store) == 2)
        platform.add("events", message("3", token(3)))
        until(lambda: count(store) == 3)
        assert platform.done == ["1", "3"]
    assert ended[0].in_time


def test_a_failing_source_disturbs_no_other_and_recovers(scanner: Scanner, store: Store) -> None:
    good, bad = Scripted(), Scripted()
    good.add("general", message("1", token(1)))
    bad.add("general", message("2", token(2)))
    broken = True

    def fault() -> None:
        if broken:
            raise AccessError("the token has expired", place="bad", advice="renew SLACK_BOT_TOKEN")

    bad.listing_fault = fault
    log = Log()
    with running(Daemon(Plan(scanner, [spec("good", good), spec("bad", bad)], QUICK), store, log.journal)):
        until(lambda: count(store) == 1 and "needs attention" in log.events("bad"))
        until(lambda: {one.source: one.state for one in store.statuses()}["bad"] == "needs-attention")
        [status] = [one for one in store.statuses() if one.source == "bad"]
        assert "SLACK_BOT_TOKEN" in status.last_error
        opened = bad.opened
        broken = False
        until(lambda: count(store) == 2)
        assert bad.opened > opened, "it was opened anew"
        until(lambda: {one.source: one.last_error for one in store.statuses()}["bad"] == "")
    assert "recovered" in log.events("bad") and "failed" not in log.events("good")


def test_an_unexpected_fault_is_told_without_what_it_says(scanner: Scanner, store: Store) -> None:
    platform = Scripted()
    secret = token(9)

    def fault() -> None:
        raise RuntimeError(f"cannot handle {secret}")

    platform.listing_fault = fault
    log = Log()
    ended = Daemon(Plan(scanner, [spec("one", platform)], QUICK), store, log.journal, once=True).run()
    assert ended.failed == ("one",)
    assert "RuntimeError" in json.dumps(log.lines) and secret not in json.dumps(log.lines)


def test_a_unit_that_is_gone_or_fails_leaves_the_others(scanner: Scanner, store: Store) -> None:
    platform = Scripted()
    for number, name in enumerate(("a", "b", "c")):
        platform.add(name, message(name, token(number)))

    def fault(unit: str, _number: int) -> None:
        if unit == "a":
            raise GoneError("channel_not_found")
        if unit == "b":
            raise SourceError("500")

    platform.fault = fault
    ended = Daemon(Plan(scanner, [spec("one", platform)], QUICK), store, Log().journal, once=True).run()
    assert ended.failed == ("one",) and count(store) == 1
    assert [(one.place, one.reason) for one in store.unread()] == [
        ("#a", "it is not there any more: channel_not_found")
    ]


def test_only_the_units_that_are_wanted(scanner: Scanner, store: Store) -> None:
    platform = Scripted()
    for number, name in enumerate(("general", "random", "secret-things")):
        platform.add(name, message(name, token(number)))
    chosen = spec("one", platform, include=("#general", "#s*"), exclude=("*things",))
    Daemon(Plan(scanner, [chosen], QUICK), store, Log().journal, once=True).run()
    assert [one.unit for incident in store.incidents() for one in store.occurrences(incident.id)] == ["general"]


def test_reload_takes_new_rules_and_sources_and_keeps_the_rest(scanner: Scanner, store: Store) -> None:
    kept, dropped, added = Scripted(), Scripted(), Scripted()
    kept.add("general", message("1", "marker-" + forge("{digit:8}", random.Random(1))))
    dropped.add("general", message("2", "nothing"))
    added.add("general", message("3", token(3)))
    rules = decode_rules(
        '[provider]\nid = "own"\nname = "Own"\n[[rule]]\nid = "own.marker"\ntitle = "Marker"\n'
        "pattern = '''(?P<secret>marker-[0-9]{8})'''\n"
    )
    specs = [spec("kept", kept), spec("dropped", dropped)]
    plans = [Plan(Scanner(rules, key=b"k" * 32), [specs[0], spec("added", added)], QUICK)]
    log = Log()
    daemon = Daemon(Plan(scanner, specs, QUICK), store, log.journal, replan=lambda: plans[0])
    with running(daemon):
        until(lambda: store.cursor("kept", "general") and store.cursor("dropped", "general"))
        daemon.tell("reload")
        until(lambda: store.cursor("added", "general"))
        assert {one.source for one in daemon.statuses()} == {"kept", "added"}
        assert kept.opened == 1, "a source whose options are the same goes on"
        kept.add("general", message("4", "marker-" + forge("{digit:8}", random.Random(2))))
        until(lambda: count(store) == 1)
    assert [incident.rule for incident in store.incidents()] == ["own.marker"]


def test_a_faulty_configuration_keeps_the_old_one(scanner: Scanner, store: Store) -> None:
    platform = Scripted()
    platform.add("general", message("1", "hello"))

    def faulty() -> Plan:
        raise ConfigError("unknown key 'pol'", place="keysentry.toml: source[1]")

    log = Log()
    daemon = Daemon(Plan(scanner, [spec("one", platform)], QUICK), store, log.journal, replan=faulty)
    with running(daemon):
        until(lambda: store.cursor("one", "general"))
        daemon.tell("reload")
        until(lambda: "not reloaded: the old configuration stays" in log.events())
        platform.add("general", message("2", token(2)))
        until(lambda: count(store) == 1)
    assert any("keysentry.toml: source[1]" in str(line.get("error")) for line in log.lines)


def test_a_second_daemon_is_refused(scanner: Scanner, store: Store) -> None:
    platform = Scripted()
    platform.add("general", message("1", "hello"))
    plan = Plan(scanner, [spec("one", platform)], QUICK)
    with running(Daemon(plan, store, Log().journal)):
        until(lambda: store.cursor("one", "general"))
        with pytest.raises(HeldError):
            Daemon(plan, store, Log().journal).run()


def test_the_deadline_is_kept_by_a_source_that_hangs(scanner: Scanner, store: Store) -> None:
    release = threading.Event()
    platform = Scripted()
    platform.add("general", message("1", token(1)))
    platform.fault = lambda _unit, _number: release.wait(30) and None
    plan = Plan(scanner, [spec("one", platform)], WatchOptions(deadline=0.2))
    daemon = Daemon(plan, store, Log().journal)
    began = time.monotonic()
    with running(daemon) as ended:
        until(lambda: store.statuses() and store.statuses()[0].state == "reading")
        daemon.tell("stop")
        until(lambda: bool(ended))
        assert not ended[0].in_time and time.monotonic() - began < 5
        assert count(store) == 0 and store.cursor("one", "general") is None, "it was given back"
        release.set()


def test_the_journal_for_people() -> None:
    lines: list[str] = []
    journal = Journal(lines.append)
    journal.tell("warning", "not read", source="one", place="a b", reason="x\ny", rate=1.23456, nothing=None)
    assert lines[0].endswith('  source=one place="a b" reason=x?y rate=1.23\n') and " warning: not read" in lines[0]
    quiet = Journal(lines.append, quiet=True)
    quiet.tell("info", "started")
    assert len(lines) == 1


def test_statuses_tell_lag_and_rate(scanner: Scanner, store: Store) -> None:
    platform = Scripted()
    platform.add("general", message("1", "x", time=time.time() - 50), Record(id="2"))
    Daemon(Plan(scanner, [spec("one", platform)], QUICK), store, Log().journal, once=True).run()
    [status] = store.statuses()
    assert status.lag is not None and 49 < status.lag < 80
    assert status.records == 2 and status.records_per_second > 0 and status.units == 1
