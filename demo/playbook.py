"""Takes one incident through a whole playbook, on emulations of this machine, and then releases it.

    python demo/playbook.py OUT

Somebody left a token in a note. Keysentry finds it, seals and holds the note, asks how bad it is, tells security,
revokes the token at its provider (`provider.py`), keeps it in a vault (`vault.py`), and closes the incident. Then a
person releases the note. Every command is shown as one would type it.
"""

from __future__ import annotations

import os
import random
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

if not __package__:  # run as a file: let `demo` be found
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from demo.vault import vault
from keysentry.rules.forge import forge

HERE = Path(__file__).resolve().parent
NOTE = """\
Notes from the handover

- the deploy bot uses this token until Friday: {token}
- Hana has the keys of the server room
- lunch on Thursday!
"""
CONFIGURATION = """\
[store]
url = "sqlite:///incidents.db"

[response]
contact = "security@acme.example"

[[source]]
name = "desk"
platform = "files"
path = "desk"
settle = 0.0

[[quarantine]]
source = "desk"
folder = "quarantine"

[[notifier]]
name = "security"
kind = "ocsf"
file = "security-events.jsonl"

[[revoker]]
name = "provider"
kind = "process"
handles = ["*"]
command = ["{python}", "{provider}", "{ledger}"]
asks = true

[[vault]]
name = "team"
kind = "hashicorp"
url = "{vault}"
token = "env:DEMO_VAULT_TOKEN"

[[playbook]]
name = "tokens-in-notes"
mode = "enforce"
close = true
[playbook.match]
category = ["credential"]
[playbook.contain]
hold = true
within = "5m"
[playbook.notify]
to = ["security"]
gather = "0s"
within = "1h"
[playbook.remediate]
revoke = "provider"
vault = "team"
within = "24h"
"""


def main() -> None:
    """Play the story."""
    out = Path(sys.argv[1]).resolve() / "playbook"
    shutil.rmtree(out, ignore_errors=True)
    (out / "desk").mkdir(parents=True)
    note = out / "desk" / "handover.txt"
    token = forge("ghp_{base62:30}{crc32-base62:6}", random.Random(11))
    note.write_text(NOTE.format(token=token), encoding="utf-8")
    with vault() as address:
        (out / "keysentry.toml").write_text(
            CONFIGURATION.format(
                python=sys.executable, provider=HERE / "provider.py", ledger=out / "revoked.json", vault=address
            ),
            encoding="utf-8",
        )
        environment = os.environ | {"KEYSENTRY_SEAL_KEY": secrets.token_hex(32), "DEMO_VAULT_TOKEN": "demo"}
        story = Story(out, environment)
        print(f"A note lies in {out / 'desk'}, with a token in it.")
        story.type("watch", "--once", "--quiet")
        story.show(note)
        incident = story.ask("incidents", "list", "--format", "jsonl").split('"id":"')[1].split('"')[0]
        story.type("incidents", "release", incident, "--reason", "the note is needed; the token in it is dead")
        story.type("respond", "run")
        if note.read_text(encoding="utf-8") != NOTE.format(token=token):
            raise SystemExit("the note is not what it was")
        print("\nThe note is back, byte for byte.")
        story.type("incidents", "show", incident)
        story.type("audit", "verify")


class Story:
    """Runs commands and shows them."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._environment = environment

    def type(self, *words: str) -> None:
        """Run a command of keysentry, and show it with what it writes."""
        shown = " ".join(f"'{word}'" if " " in word else word for word in words)
        print(f"\n$ keysentry {shown}", flush=True)
        self._run(words, capture=False)

    def ask(self, *words: str) -> str:
        """What a command writes, without showing it."""
        return self._run(words, capture=True)

    def show(self, path: Path) -> None:
        """What a reader sees of a file now."""
        print(f"\n$ cat {path.relative_to(self._folder)}\n{path.read_text(encoding='utf-8')}", flush=True)

    def _run(self, words: tuple[str, ...], *, capture: bool) -> str:
        command = [sys.executable, "-m", "keysentry", *words]
        done = subprocess.run(
            command,
            check=False,
            cwd=self._folder,
            env=self._environment,
            text=True,
            stdout=subprocess.PIPE if capture else None,
        )
        if done.returncode > 1:
            raise SystemExit(f"keysentry {' '.join(words)} ended with {done.returncode}")
        return done.stdout or ""


if __name__ == "__main__":
    main()
