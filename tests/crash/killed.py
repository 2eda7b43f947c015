"""A daemon that is killed again and again: run as a process of its own, because it forks.

    python -m tests.crash.killed CONFIG KILLS SEED

The modules are loaded once; each life is a fork that runs `watch --once` for real (configuration, store, sources,
signals) and gets SIGKILL at a random moment. When it was killed often enough, or there is nothing left to read, a last
life is left to end by itself. Prints one JSON object: how often it was killed, how often it ended by itself, and the
seconds of the lives.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from keysentry.service.daemon import Daemon
from keysentry.service.journal import Journal
from keysentry.wiring import plan_of, store_of


def life(config: Path, log: Path) -> int:
    """One pass over every source; the exit code says whether it went well."""
    settings, plan = plan_of(config, os.environ)
    store = store_of(settings.store)
    with log.open("a", encoding="utf-8") as lines:
        ended = Daemon(plan, store, Journal(lines.write, "json"), once=True).run()
    store.close()
    return 3 if ended.failed else 0


def fork(config: Path, log: Path) -> int:
    """Begin a life; its process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 4
    try:
        code = life(config, log)
    except BaseException as error:  # whatever it is, the parent must hear of it
        with log.open("a", encoding="utf-8") as lines:
            lines.write(f"{type(error).__name__}: {error}\n")
    finally:
        os._exit(code)


def main(config: Path, kills: int, seed: int) -> None:
    """Kill it `kills` times, and then let it end."""
    rng = random.Random(seed)
    log = config.with_suffix(".log")
    killed = ended = 0
    lives: list[float] = []
    longest = 0.6
    while killed < kills and ended < 5:
        pid = fork(config, log)
        began = time.monotonic()
        deadline = began + rng.random() * longest
        code: int | None = None
        while time.monotonic() < deadline:
            got, status = os.waitpid(pid, os.WNOHANG)
            if got:
                code = os.waitstatus_to_exitcode(status)
                break
            time.sleep(0.002)
        if code is None:
            os.kill(pid, signal.SIGKILL)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code == -signal.SIGKILL:
            killed += 1
        elif code == 0:
            ended += 1
        else:
            raise SystemExit(f"a life ended with {code}: {log.read_text()[-2000:]}")
        lives.append(time.monotonic() - began)
    code = os.waitstatus_to_exitcode(os.waitpid(fork(config, log), 0)[1])
    if code:
        raise SystemExit(f"the last life ended with {code}: {log.read_text()[-2000:]}")
    print(json.dumps({"killed": killed, "ended": ended, "mean": sum(lives) / max(len(lives), 1)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
