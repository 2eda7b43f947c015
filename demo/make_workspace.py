"""Makes the sample workspace of the demo: a Slack export, source code, configuration, tables, logs and a backup.

    python demo/make_workspace.py OUT [--seed N]

Forged credentials stand among harmless look-alikes; OUT/planted.json tells which, where, and the SHA-256 of each. The
same seed gives the same bytes. Nothing of it is kept in the repository.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import random
import shutil
import sys
import tarfile
from pathlib import Path

if not __package__:  # run as a file: let `demo` be found
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import msgspec

from demo.planting import Planted, Planter
from demo.slack import WORDS, Workspace

TEMPLATES = Path(__file__).with_name("files")
SUFFIX = ".in"
"""Templates end in this, so that no tool takes them for what they are templates of."""


def make(out: Path, seed: int) -> list[Planted]:
    """Write the workspace into `out`/workspace and the list of what was planted beside it."""
    rng = random.Random(seed)
    planter = Planter(rng)
    root = out / "workspace"
    if root.exists():
        shutil.rmtree(root)
    root.mkdir(parents=True)
    Workspace(rng, planter, "slack-export.zip").write(root / "slack-export.zip")
    _templates(root, planter)
    for path, text in (
        ("exports/customers.csv", _customers(rng)),
        ("exports/integrations.csv", _integrations(planter, "exports/integrations.csv")),
        ("logs/app.jsonl", _log(rng, planter, "logs/app.jsonl")),
    ):
        _write(root / path, text.encode())
    _write(root / "backups/home-2026-03.tar.gz", _backup(planter, "backups/home-2026-03.tar.gz"))
    (out / "planted.json").write_bytes(msgspec.json.format(msgspec.json.encode(planter.planted), indent=1) + b"\n")
    return planter.planted


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _templates(root: Path, planter: Planter) -> None:
    for template in sorted(TEMPLATES.rglob(f"*{SUFFIX}")):
        path = template.relative_to(TEMPLATES).as_posix().removesuffix(SUFFIX)
        _write(root / path, planter.plant(template.read_text(encoding="utf-8"), path=path).encode())


def _table(rows: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _customers(rng: random.Random) -> str:
    """A table in which every column looks a little like a secret and none is one."""
    rows = [["id", "name", "uuid", "checksum", "city", "token count", "password hint"]]
    for number in range(1, 301):
        name = f"{rng.choice(WORDS['people']).split()[0]} {rng.choice(WORDS['people']).split()[-1]}"
        rows.append(
            [str(number), name, f"{rng.getrandbits(128):032x}", f"{rng.getrandbits(160):040x}",
             rng.choice(["Lisbon", "Utrecht", "Turin", "Sofia", "Lagos", "Malmö", "Zagreb", "Osaka"]),
             str(rng.randrange(1, 90)), rng.choice(["the usual", "ask Ana", "none", "name of the cat"])]
        )  # fmt: skip
    return _table(rows)


def _integrations(planter: Planter, path: str) -> str:
    """A table that somebody kept keys in."""
    head = ["integration", "owner", "status", "API key", "notes"]
    rows = [
        ["Mailgun", "Freya", "active", "{{mailgun.api-key}}", "for the newsletter"],
        ["Sentry", "Goran", "active", "(in the vault)", ""],
        ["Shopify", "Hana", "active", "{{shopify.access-token}}", "custom app"],
        ["Maps", "Emeka", "trial", "<your key here>", "not set up yet"],
        ["Postman", "Chiara", "active", "{{postman.api-key}}", "shared workspace"],
        ["Tracker", "Ana", "off", "00000000-0000-0000-0000-000000000000", ""],
    ]
    return planter.plant(_table([head, *rows]), path=path)


def _log(rng: random.Random, planter: Planter, path: str) -> str:
    lists = WORDS["lists"]
    lines = []
    for number in range(600):
        entry: dict[str, object] = {
            "time": f"2026-03-{2 + number // 60:02d}T09:{number % 60:02d}:11Z",
            "level": rng.choice(["info"] * 9 + ["warn"]),
            "service": rng.choice(lists["service"]),
            "request_id": "{{uuid}}",
            "commit": "{{commit}}",
            "message": f"{rng.choice(lists['verb'])} the {rng.choice(lists['thing'])}",
        }
        if number == 217:
            entry |= {"level": "error", "headers": {"Authorization": "Bearer {{jwt.token}}", "Accept": "*/*"}}
        if number == 431:
            entry |= {
                "level": "error",
                "message": "cannot connect: {{connection-string.postgres}}",
            }
        lines.append(json.dumps(entry))
    return planter.plant("\n".join(lines) + "\n", path=path)


def _backup(planter: Planter, path: str) -> bytes:
    """A home folder in a tar.gz, with an older one inside it."""
    old = {
        "old/.npmrc": "registry=https://npm.acme.example/\n//npm.acme.example/:_authToken={{npm.access-token}}\n",
        "old/todo.txt": "rotate the keys\nask where the vault is\n",
    }
    new = {
        "home/.ssh/id_rsa": "{{private-key.pem}}\n",
        "home/.bash_history": "cd shop\ngit pull\nmake test\ngit log {{commit}}\nls -la\n",
        "home/.netrc": "machine git.example.com\nlogin ana\npassword <your password>\n",
    }
    inner = "home/archive/old.tar.gz"
    nested = _tar({name: planter.plant(text, path=path, member=f"{inner}/{name}") for name, text in old.items()})
    outer = {name: planter.plant(text, path=path, member=name) for name, text in new.items()}
    return _tar(outer | {inner: nested})


def _tar(files: dict[str, str] | dict[str, str | bytes]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, text in files.items():
            content = text.encode() if isinstance(text, str) else text
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(content), 1_772_000_000, 0o600
            archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(raw.getvalue(), mtime=0)


def main() -> None:
    """Read the command line and make the workspace."""
    parser = argparse.ArgumentParser(description="Make a sample workspace with forged credentials in it.")
    parser.add_argument("out", type=Path, help="the folder to make it in")
    parser.add_argument("--seed", type=int, default=7, help="another number gives other credentials at other places")
    options = parser.parse_args()
    planted = make(options.out, options.seed)
    print(f"{options.out}/workspace: {len(planted)} forged credentials planted, listed in {options.out}/planted.json")


if __name__ == "__main__":
    main()
