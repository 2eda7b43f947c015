"""Findings committed in batches, each a new incident with a sealed place, an action and its events in the audit trail.

    python -m benchmarks.commits memory|sqlite|postgresql FINDINGS BATCH

The findings are made beforehand; the time is that of the commits alone, each of which is durable when it returns. The
PostgreSQL is the tests' own server, with its settings as they are but for `fsync`, which is on. Prints seconds,
findings, and what a look into the store shows afterwards.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from keysentry.model.action import Action, action_id
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Finding, Lifetime, Reason, Severity
from keysentry.model.incident import Appearance, Batch, Sighting
from keysentry.model.location import ByteSpan, Exposure, Location, Step
from keysentry.model.sensitive import Sensitive, fingerprint
from keysentry.store import open_store
from keysentry.store.sealing import Sealer

KEY = b"the key of this benchmark"


def batches(findings: int, size: int) -> list[Batch]:
    """Findings in messages of a channel, as a sweep through its history would bring them."""
    rng = random.Random(4)
    made = []
    for start in range(0, findings, size):
        numbers = range(start, min(start + size, findings))
        seen = tuple(
            Sighting(unit="C012345", record=f"C012345/{number}.000100", scan=f"s.{number}", findings=(_finding(rng),))
            for number in numbers
        )
        cursors = (("C012345", Cursor(f'{{"oldest":"{start}.000100"}}')),)
        made.append(Batch(source="chat", platform="slack", time=1.7e9 + start, sightings=seen, cursors=cursors))
    return made


def _finding(rng: random.Random) -> Finding:
    secret = Sensitive(hashlib.sha256(rng.randbytes(16)).hexdigest()[:40])
    return Finding(
        rule="github.pat-classic",
        title="GitHub personal access token (classic)",
        provider="github",
        location=Location(
            uri=f"https://acme.slack.example/archives/C012345/p{rng.randrange(10**16)}",
            route=(Step("message", f"{rng.randrange(10**10)}.000100"),),
            line=1,
            column=20,
            span=ByteSpan(20, 60),
            container="#operations",
            author=f"Person {rng.randrange(500)}",
            author_id=f"U{rng.randrange(500):08}",
            time="2026-01-31T08:15:00Z",
            exposure=Exposure("internal", 120, 1.6e9),
        ),
        span=ByteSpan(20, 60),
        secret=secret,
        confidence=0.97,
        severity=Severity.CRITICAL,
        category="credential",
        lifetime=Lifetime.LONG_LIVED,
        fingerprint=fingerprint(KEY, "github", secret),
        reasons=(Reason("anchor", "it begins with ghp_", 2.0), Reason("check", "its checksum is right", 4.0)),
    )


def hold(appearances: Sequence[Appearance], time: float) -> list[Action]:
    """A planner that asks for every message to be held."""
    return [
        Action(
            id=action_id("hold", one.key, "", one.incident.regressions),
            kind="hold",
            subject=one.key,
            incidents=(one.incident.id,),
            source="chat",
            platform="slack",
            playbook="credentials",
            round=one.incident.regressions,
            actor="playbook:credentials",
            created=time,
            updated=time,
            due_from=time,
            due_by=time + 300.0,
        )
        for one in appearances
    ]


@contextmanager
def place(kind: str) -> Iterator[str]:
    """The address of an empty store."""
    with tempfile.TemporaryDirectory(prefix="keysentry-commits-") as folder:
        if kind == "memory":
            yield "memory:"
        elif kind == "sqlite":
            yield f"sqlite:///{folder}/keysentry.db"
        else:
            from tests.servers.postgres import Postgres

            Path(folder).chmod(0o755)
            server = Postgres(Path(folder), {"fsync": "on"})
            server.start()
            try:
                yield server.database()
            finally:
                server.stop()


def main(kind: str, findings: int, size: int) -> None:
    """Commit everything, and look whether it is there."""
    made = batches(findings, size)
    with place(kind) as url:
        store = open_store(url, key=KEY, sealer=Sealer([os.urandom(32)]))
        gc.collect()
        gc.freeze()  # what was made beforehand is not what a daemon has
        began, processor = time.perf_counter(), time.process_time()
        actions = sum(len(store.commit(batch, hold).actions) for batch in made)
        seconds, processor = time.perf_counter() - began, time.process_time() - processor
        events = sum(1 for _ in store.events())
        faults = list(store.check_audit())
        store.close()
    if actions != findings or events != 2 * findings or faults:
        raise SystemExit(f"{actions} actions and {events} events of {findings} findings, {len(faults)} faults")
    told = {"seconds": seconds, "findings": findings, "per_second": findings / seconds, "processor": processor}
    print(json.dumps({name: round(value, 3) for name, value in told.items()}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
