"""`keysentry watch --once` on a drop directory that holds one file: what the daemon adds to a scan of it.

    python -m benchmarks.watch_once CORPUS OUT

Prints the seconds of the whole command, from a store that does not exist yet to its end, and writes the incidents'
places to OUT, a JSON line each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

CONFIGURATION = """\
[store]
url = "sqlite:///{folder}/keysentry.db"
[[source]]
name = "inbox"
platform = "files"
path = "{folder}/inbox"
drop = true
settle = 0.0
"""


def main(corpus: Path, out: Path) -> None:
    """Make the drop directory beside the corpus (a hard link: nothing is copied), and run the daemon once."""
    keysentry = Path(sysconfig.get_path("scripts"), "keysentry")
    with tempfile.TemporaryDirectory(dir=corpus.parent) as name:
        folder = Path(name)
        (folder / "inbox").mkdir()
        os.link(corpus, folder / "inbox" / corpus.name)
        config = folder / "keysentry.toml"
        config.write_text(CONFIGURATION.format(folder=folder), encoding="utf-8")
        began = time.perf_counter()
        command = [str(keysentry), "watch", "--once", "--quiet", "--config", str(config)]
        done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - began
        if done.returncode not in (0, 1):
            raise SystemExit(done.returncode)
        export = [str(keysentry), "incidents", "export", "--format", "jsonl", "--output", str(out)]
        export += ["--config", str(config)]
        subprocess.run(export, check=True, stdout=subprocess.DEVNULL)
    places = sum(len(json.loads(line)["occurrences"]) for line in out.read_text(encoding="utf-8").splitlines())
    out.write_text("{}\n" * places, encoding="utf-8")
    print(json.dumps({"seconds": seconds, "places": places}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
