"""What the quarantines of all object stores have beyond the contract, on a real exchange over HTTP: S3 by moto, Google
Cloud Storage by our strict server, Azure by Azurite. Processes that end and answers that are lost are played by the
proxy in front of them; `test_a_killed_process_leaves_nothing_half_done` really kills one.
"""

from __future__ import annotations

import gzip
import random
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from keysentry.errors import AccessError, ChangedError, ClosedError, ConfigError, GoneError, InputError, UnclearError
from keysentry.model.action import Original, Place, Receipt
from keysentry.model.location import Step
from keysentry.model.sensitive import Sensitive
from keysentry.rules.forge import forge
from tests.connectors.objects.bench import AzureBench, Bench, GcsBench, S3Bench
from tests.connectors.objects.holding import AzureHold, GcsHold, HoldBench, S3Hold
from tests.connectors.objects.killed import Job
from tests.servers.objectfaults import CHANGING, Fault

HERE = Path(__file__).resolve().parents[3]
TEXT = "[Removed by keysentry: ask security@example.com]"
TOKEN = forge("ghp_{base62:30}{crc32-base62:6}", random.Random(4))
SECRET = Sensitive(TOKEN)


@pytest.fixture
def hold(bench: Bench) -> HoldBench:
    """Each store in turn, with a quarantine."""
    if isinstance(bench, S3Bench):
        return S3Hold(bench)
    if isinstance(bench, GcsBench):
        return GcsHold(bench)
    assert isinstance(bench, AzureBench)
    return AzureHold(bench)


def held(hold: HoldBench, place: Place, **options: object) -> tuple[Original, Receipt]:
    quarantine = hold.open(**options)
    original = quarantine.inspect(place, [SECRET])
    return original, quarantine.hold(place, original, [SECRET], TEXT)


def test_the_quarantine_explains_itself_and_is_empty_after_a_release(hold: HoldBench) -> None:
    hold.bench.put("docs/a.txt", f"use {TOKEN}".encode())
    place = hold.place("docs/a.txt")
    original, receipt = held(hold, place)
    assert hold.get("docs/a.txt") == TEXT.encode()
    folders = {key.rpartition("/")[0] for key in hold.held()}
    assert len(folders) == 1 and all(key.startswith("kept/") for key in hold.held())
    assert sorted(key.rpartition("/")[2] for key in hold.held()) == ["0", "ticket.json"]
    assert receipt.evidence["quarantine"].endswith(f"{folders.pop()}/")
    hold.open().release(place, original, receipt)
    assert hold.held() == [] and hold.get("docs/a.txt") == f"use {TOKEN}".encode()


@pytest.mark.parametrize("key", ["docs/a b+c%20.txt", "docs/ä?ö#1.txt", "docs/日本/鍵.txt", "docs/quote'\"<>.txt"])
def test_odd_names_are_held(hold: HoldBench, key: str) -> None:
    hold.bench.put(key, TOKEN.encode())
    place = hold.place(key)
    original, receipt = held(hold, place)
    assert hold.get(key) == TEXT.encode()
    hold.open().release(place, original, receipt)
    assert hold.get(key) == TOKEN.encode()


def test_a_name_with_the_secret_in_it_is_not_told(hold: HoldBench) -> None:
    key = f"docs/{TOKEN}.txt"
    hold.bench.put(key, TOKEN.encode())
    place = hold.place(key)
    original, receipt = held(hold, place)
    released = hold.open().release(place, original, receipt)
    said = repr((original.note, original.version, receipt.note, receipt.evidence, released.note, released.evidence))
    assert TOKEN not in said
    hold.bench.delete(key)
    with pytest.raises(GoneError) as caught:
        hold.open().inspect(place, [SECRET])
    assert TOKEN not in str(caught.value)


def test_what_cannot_be_searched_must_be_as_it_was_scanned(hold: HoldBench) -> None:
    packed = gzip.compress(TOKEN.encode(), mtime=0)
    hold.bench.put("docs/a.gz", packed)
    place = hold.place("docs/a.gz", route=(Step("file", "a.gz"), Step("member", "a")))
    original, receipt = held(hold, place)
    hold.open().release(place, original, receipt)
    assert hold.get("docs/a.gz") == packed
    with pytest.raises(ChangedError):
        hold.open().inspect(msgspec.structs.replace(place, time="2020-01-01T00:00:00Z"), [SECRET])
    hold.bench.put("docs/large.txt", TOKEN.encode())
    with pytest.raises(ChangedError):
        hold.open(max_search=3).inspect(
            msgspec.structs.replace(hold.place("docs/large.txt"), time="2020-01-01T00:00:00Z"), [SECRET]
        )
    assert hold.open(max_search=3).inspect(hold.place("docs/large.txt"), [SECRET])


def test_a_large_object_is_searched_in_pieces(hold: HoldBench) -> None:
    """The secret lies across the border of two ranges."""
    data = b"x" * ((8 << 20) - 10) + TOKEN.encode() + b"y" * 1000
    hold.bench.put("docs/large.txt", data)
    place = msgspec.structs.replace(hold.place("docs/large.txt"), time="")
    original, receipt = held(hold, place)
    hold.open().release(place, original, receipt)
    assert hold.get("docs/large.txt") == data


def test_what_is_written_between_the_last_look_and_the_replacement_stays(hold: HoldBench) -> None:
    """The platform's own condition holds, not only ours."""
    hold.bench.put("docs/a.txt", TOKEN.encode())
    place = hold.place("docs/a.txt")
    original = hold.open().inspect(place, [SECRET])

    def write(request: object) -> bool:
        replaces = getattr(request, "method", "") in CHANGING and is_stub(hold, request)
        if replaces:
            hold.bench.put("docs/a.txt", b"work of a whole day")
        return False

    hold.bench.proxy.standing.append(Fault(write))
    with pytest.raises(ChangedError):
        hold.open().hold(place, original, [SECRET], TEXT)
    assert hold.get("docs/a.txt") == b"work of a whole day"


def is_stub(hold: HoldBench, request: object) -> bool:
    """Whether a request replaces the object."""
    path = str(getattr(request, "path", ""))
    if isinstance(hold, GcsHold):
        return path.startswith("/upload/") and f"/b/{hold.bench.bucket}/" in path
    return f"/{hold.bench.bucket}/docs/" in path.partition("?")[0]


def test_a_release_does_not_write_over_what_is_new(hold: HoldBench) -> None:
    hold.bench.put("docs/a.txt", TOKEN.encode())
    place = hold.place("docs/a.txt")
    original, receipt = held(hold, place)
    hold.bench.put("docs/a.txt", b"new")
    with pytest.raises(ChangedError, match="something else"):
        hold.open().release(place, original, receipt)
    assert hold.get("docs/a.txt") == b"new" and len(hold.held()) == 2
    hold.bench.delete("docs/a.txt")
    hold.open().release(place, original, receipt)
    assert hold.get("docs/a.txt") == TOKEN.encode() and hold.held() == []


def test_what_was_written_over_a_placeholder_is_held_beside_it(hold: HoldBench) -> None:
    """Two originals of one name, and neither is lost."""
    hold.bench.put("docs/a.txt", TOKEN.encode())
    first = held(hold, hold.place("docs/a.txt"))
    hold.bench.put("docs/a.txt", f"again {TOKEN}".encode())
    place = hold.place("docs/a.txt")
    second = held(hold, place)
    assert len(hold.held()) == 4
    hold.open().release(place, *second)
    assert hold.get("docs/a.txt") == f"again {TOKEN}".encode()
    hold.bench.delete("docs/a.txt")
    hold.open().release(place, *first)
    assert hold.get("docs/a.txt") == TOKEN.encode() and hold.held() == []


def test_an_original_that_is_lost_is_said_to_be(hold: HoldBench) -> None:
    hold.bench.put("docs/a.txt", TOKEN.encode())
    place = hold.place("docs/a.txt")
    original, receipt = held(hold, place)
    hold.empty()
    with pytest.raises(GoneError, match="not in the quarantine any more"):
        hold.open().release(place, original, receipt)
    assert hold.open().released(place, original, receipt) is None
    with pytest.raises(ChangedError, match="placeholder"):
        hold.open().inspect(place, [SECRET])


def test_a_call_without_an_answer_is_unclear_and_one_that_is_denied_needs_a_person(hold: HoldBench) -> None:
    hold.bench.put("docs/a.txt", TOKEN.encode())
    place = hold.place("docs/a.txt")
    original = hold.open().inspect(place, [SECRET])
    hold.bench.proxy.spoil(Fault(lambda request: request.method in CHANGING, reset=True, times=-1))
    with pytest.raises(UnclearError):
        hold.open().hold(place, original, [SECRET], TEXT)
    hold.bench.proxy.clear()
    status, body = hold.bench.denied
    hold.bench.proxy.spoil(Fault(lambda request: request.method in CHANGING, status=status, body=body, times=-1))
    with pytest.raises(AccessError) as caught:
        hold.open().hold(place, original, [SECRET], TEXT)
    assert caught.value.advice.startswith("grant ")
    assert hold.get("docs/a.txt") == TOKEN.encode()


def test_refusals_are_waited_out(hold: HoldBench) -> None:
    hold.bench.put("docs/a.txt", TOKEN.encode())
    place = hold.place("docs/a.txt")
    hold.bench.proxy.spoil(Fault(lambda request: request.method in CHANGING, status=503, headers={"Retry-After": "7"}))
    original, receipt = held(hold, place)
    assert 7.0 in hold.bench.waits.seconds
    hold.bench.proxy.spoil(Fault(lambda request: request.method in CHANGING, status=429))
    hold.open().release(place, original, receipt)
    assert hold.get("docs/a.txt") == TOKEN.encode()


def test_an_answer_that_is_lost_once_does_not_make_it_twice(hold: HoldBench) -> None:
    """The replacement arrives, its answer does not, and the second try meets our own placeholder."""
    hold.bench.put("docs/a.txt", TOKEN.encode())
    place = hold.place("docs/a.txt")
    quarantine = hold.open()
    original = quarantine.inspect(place, [SECRET])
    lost = iter([True])

    def lose(request: object) -> bool:
        return getattr(request, "method", "") in CHANGING and is_stub(hold, request) and next(lost, False)

    hold.bench.proxy.spoil(Fault(lose, lose=True))
    assert quarantine.hold(place, original, [SECRET], TEXT).outcome == "done"
    assert hold.get("docs/a.txt") == TEXT.encode()


def test_a_quarantine_that_everybody_can_read_is_refused(hold: HoldBench) -> None:
    hold.bench.put("docs/a.txt", TOKEN.encode())
    place = hold.place("docs/a.txt")
    hold.publish()
    original = hold.open().inspect(place, [SECRET])
    with pytest.raises(AccessError, match="everybody can read"):
        hold.open().hold(place, original, [SECRET], TEXT)
    assert hold.get("docs/a.txt") == TOKEN.encode() and hold.held() == []


def test_what_was_closed_does_nothing(hold: HoldBench) -> None:
    hold.bench.put("docs/a.txt", TOKEN.encode())
    quarantine = hold.open()
    quarantine.close()
    with pytest.raises(ClosedError):
        quarantine.inspect(hold.place("docs/a.txt"), [SECRET])


def test_what_is_not_of_an_object_is_refused(hold: HoldBench) -> None:
    hold.bench.put("docs/a.txt", TOKEN.encode())
    place = hold.place("docs/a.txt")
    original, receipt = held(hold, place)
    with pytest.raises(InputError):
        hold.open().release(place, msgspec.structs.replace(original, content=b"{}"), receipt)
    with pytest.raises(InputError):
        hold.open().release(place, original, msgspec.structs.replace(receipt, undo=b"x"))
    with pytest.raises(GoneError):
        hold.open().inspect(msgspec.structs.replace(place, record="c1234/1.2"), [SECRET])


def test_a_quarantine_that_the_source_reads_is_refused(hold: HoldBench) -> None:
    with pytest.raises(ConfigError, match="no quarantine"):
        hold.opened(quarantine="")
    with pytest.raises(ConfigError, match="reads the quarantine"):
        hold.opened(quarantine=f"{hold.bench.bucket}/kept")
    hold.opened(quarantine=f"{hold.quarantine}/kept").close()


def test_a_killed_process_leaves_nothing_half_done(hold: HoldBench, tmp_path: Path) -> None:
    """The server says when: a process is ended with SIGKILL while it waits for its answer."""
    hold.bench.put("docs/a.txt", TOKEN.encode())
    place = hold.place("docs/a.txt")
    original = hold.open().inspect(place, [SECRET])
    job = Job(platform=hold.platform, options=hold.settings(), place=place, original=original, placeholder=TEXT)
    path = tmp_path / "job.json"
    path.write_bytes(msgspec.json.encode(job))
    process: list[subprocess.Popen[bytes]] = []

    def kill(request: object) -> bool:
        if process and getattr(request, "method", "") in CHANGING and is_stub(hold, request):
            process[0].send_signal(signal.SIGKILL)
            process[0].wait(10)
        return False

    hold.bench.proxy.standing.append(Fault(kill))
    process.append(subprocess.Popen([sys.executable, "-m", "tests.connectors.objects.killed", str(path)], cwd=HERE))
    assert process[0].wait(60) == -signal.SIGKILL
    process.clear()
    quarantine = hold.open()
    receipt = quarantine.held(place, original, TEXT)
    if receipt is None:
        receipt = quarantine.hold(place, quarantine.inspect(place, [SECRET]), [SECRET], TEXT)
    assert hold.get("docs/a.txt") == TEXT.encode() and len(hold.held()) == 2
    quarantine.release(place, original, receipt)
    assert hold.get("docs/a.txt") == TOKEN.encode() and hold.held() == []
