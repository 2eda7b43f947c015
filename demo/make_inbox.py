"""Makes a drop directory for the demo: a Slack export, a Teams export and a workbook, and a configuration to watch it.

    python demo/make_inbox.py OUT [--seed N]

One credential stands in all three files: it is one incident with three places. OUT/planted-inbox.json lists what was
planted, by SHA-256. The same seed gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import random
import shutil
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

if not __package__:  # run as a file: let `demo` be found
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from keysentry.rules.forge import forge
from keysentry.rules.load import load_rules

CONFIGURATION = """\
# Watch a folder that exports are dropped into.

[store]
url = "sqlite:///keysentry.db"

[[source]]
name = "inbox"
platform = "files"
path = "inbox"
drop = true
settle = 0.0
"""
_WHEN = (2026, 3, 2, 9, 0, 0)
Row = Sequence[str]


class Forged:
    """Credentials by rule, and the hashes of those that were planted."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._rules = {rule.id: rule for rule in load_rules().rules}
        self.hashes: dict[str, str] = {}

    def new(self, rule: str) -> str:
        """A credential of a rule."""
        return self._noted(rule, forge(self._rules[rule].forge, self._rng))

    def pair(self, rule: str) -> tuple[str, str]:
        """Both halves of a composite credential; the second one is the secret."""
        composite = self._rules[rule]
        return forge(composite.forge, self._rng), self._noted(rule, forge(composite.requires[0].forge, self._rng))

    def password(self) -> str:
        """A password as a person makes one."""
        return self._noted("password", forge("{upper:1}{lower:4}-{digit:3}!{alpha:5}", self._rng))

    def _noted(self, rule: str, value: str) -> str:
        self.hashes[hashlib.sha256(value.encode()).hexdigest()] = rule
        return value


def make(out: Path, seed: int) -> dict[str, str]:
    """Write OUT/inbox and OUT/keysentry.toml; gives the SHA-256 of each planted credential and its rule."""
    forged = Forged(random.Random(seed))
    inbox = out / "inbox"
    if inbox.exists():
        shutil.rmtree(inbox)
    inbox.mkdir(parents=True)
    for left in out.glob("keysentry.db*"):
        left.unlink()
    shared = forged.new("github.pat-classic")
    (inbox / "slack-export-march.zip").write_bytes(_slack(shared, forged))
    (inbox / "teams-export.json").write_bytes(_teams(shared, forged))
    (inbox / "accounts.xlsx").write_bytes(_workbook(shared, forged))
    (out / "keysentry.toml").write_text(CONFIGURATION, encoding="utf-8")
    (out / "planted-inbox.json").write_text(json.dumps(forged.hashes, indent=1) + "\n", encoding="utf-8")
    return forged.hashes


def _slack(shared: str, forged: Forged) -> bytes:
    people = [("U0DEMO0001", "freya"), ("U0DEMO0002", "goran"), ("U0DEMO0003", "hana")]
    texts = [
        (0, "morning! who can merge the release branch?"),
        (1, f"I can, but the bot needs a token. use mine for now: {shared}"),
        (2, "done, thanks. I'll write it down in the accounts sheet"),
        (0, f"and the alerts go here: {forged.new('slack.webhook')}"),
    ]
    messages = [
        {"type": "message", "user": people[author][0], "text": text, "ts": f"17724420{number:02d}.000100"}
        for number, (author, text) in enumerate(texts)
    ]
    files = {
        "channels.json": [{"id": "C0DEMO0001", "name": "deployments", "members": [id for id, _ in people]}],
        "users.json": [{"id": id, "name": name, "profile": {"display_name": name}} for id, name in people],
        "deployments/2026-03-02.json": messages,
    }
    return _zip({name: json.dumps(content, indent=1) for name, content in files.items()})


def _teams(shared: str, forged: Forged) -> bytes:
    """A personal export, as Teams gives it: conversations with HTML messages."""
    texts = [
        ("Ana Ruiz", "<p>is the pipeline down for everybody?</p>"),
        ("Goran Novak", f"<p>it wants a token. Freya's works: <b>{shared}</b></p>"),
        ("Ana Ruiz", f"<p>works&nbsp;:) the database is {escape(forged.new('connection-string.postgres'))}</p>"),
    ]
    messages = [
        {
            "id": f"17724462{number:02d}000",
            "displayName": None,
            "originalarrivaltime": f"2026-03-02T10:1{number}:00.000Z",
            "messagetype": "RichText/Html",
            "version": 1772446200000 + number,
            "content": text,
            "conversationid": "19:demo@thread.tacv2",
            "from": f"8:orgid:{author.split()[0].lower()}",
            "imdisplayname": author,
        }
        for number, (author, text) in enumerate(texts)
    ]
    conversation = {"id": "19:demo@thread.tacv2", "displayName": "Platform", "MessageList": messages}
    export = {"userId": "8:orgid:ana", "exportDate": "2026-03-03T08:00:00", "conversations": [conversation]}
    return json.dumps(export, indent=1).encode()


def _workbook(shared: str, forged: Forged) -> bytes:
    key, secret = forged.pair("aws.access-key")
    accounts = [
        ["Service", "Owner", "Account", "API key", "Passwort", "Notes"],
        ["GitHub bot", "Hana", "acme-bot", shared, "", "from Freya"],
        ["Backups", "Goran", key, secret, "", "the bucket in Ireland"],
        ["Wiki", "Ana", "admin", "", forged.password(), "ask before you change it"],
        ["Maps", "Emeka", "acme", "(in the vault)", "n/a", ""],
    ]
    stock = [["Item", "Count"], ["Laptops", "41"], ["Screens", "63"]]
    return _xlsx({"Accounts": accounts, "Stock": stock})


def _xlsx(sheets: dict[str, list[list[str]]]) -> bytes:
    """A workbook of text cells (ECMA-376, part 1): the least that every program opens."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kinds = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    numbered = list(enumerate(sheets, 1))
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kinds}.sheet.main+xml"/>'
        + "".join(
            f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{kinds}.worksheet+xml"/>'
            for n, _ in numbered
        )
        + "</Types>",
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="rId1" '
        f'Type="{relations}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{relations}"><sheets>'
        + "".join(f'<sheet name="{name}" sheetId="{n}" r:id="rId{n}"/>' for n, name in numbered)
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        + "".join(
            f'<Relationship Id="rId{n}" Type="{relations}/worksheet" Target="worksheets/sheet{n}.xml"/>'
            for n, _ in numbered
        )
        + "</Relationships>",
    }
    for n, name in numbered:
        rows = "".join(_row(number, row) for number, row in enumerate(sheets[name], 1))
        parts[f"xl/worksheets/sheet{n}.xml"] = f'<worksheet xmlns="{main}"><sheetData>{rows}</sheetData></worksheet>'
    return _zip({name: f'<?xml version="1.0" encoding="UTF-8"?>\n{content}' for name, content in parts.items()})


def _row(number: int, row: Row) -> str:
    cells = "".join(
        f'<c r="{chr(65 + column)}{number}" t="inlineStr"><is><t>{escape(text)}</t></is></c>'
        for column, text in enumerate(row)
        if text
    )
    return f'<row r="{number}">{cells}</row>'


def _zip(files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _WHEN), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def main() -> None:
    """Read the command line and make the drop directory."""
    parser = argparse.ArgumentParser(description="Make a drop directory with exports and a workbook in it.")
    parser.add_argument("out", type=Path, help="the folder to make it in")
    parser.add_argument("--seed", type=int, default=7, help="another number gives other credentials")
    options = parser.parse_args()
    planted = make(options.out, options.seed)
    print(f"{options.out}/inbox: three exports with {len(planted)} forged credentials, one of them in all three")


if __name__ == "__main__":
    main()
