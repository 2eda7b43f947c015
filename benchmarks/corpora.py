"""Builds the corpora that the benchmarks read, outside the repository, the same bytes from the same inputs.

    python benchmarks/corpora.py [NAME ...]

The texts are 51,622 real messages of a public community chat (`messages.jsonl.gz`, named by KEYSENTRY_BENCH_CHAT or
found in ../shared/data/chat), repeated with varied words where a corpus is larger than they are. Where that file is
absent, texts are made from word lists, and the record of a run says so. Forged credentials (plants.toml) stand among
them, so that a contestant that finds nothing shows.
"""

from __future__ import annotations

import gzip
import hashlib
import html
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path

from benchmarks import workbook
from keysentry.rules.forge import forge

HERE = Path(__file__).resolve().parent
BENCH = Path(os.environ.get("KEYSENTRY_BENCH_DIR") or HERE.parent / ".bench").resolve()
CHAT = Path(os.environ.get("KEYSENTRY_BENCH_CHAT") or HERE.parent.parent / "shared/data/chat/messages.jsonl.gz")
SEED = 20260101
DAY_FILE = 15_000
"""How large a day file of the tree is, about, in bytes."""
SOURCE_LIMIT = 1_000_000
BINARY = {".so", ".pyc", ".mo", ".gz", ".zip", ".png", ".jpg", ".ico", ".woff", ".woff2", ".npz", ".parquet", ".exe"}
_WORD = re.compile(r"\b[a-z]{4,12}\b")
_WORDS = [
    "after",
    "again",
    "branch",
    "build",
    "cache",
    "change",
    "check",
    "client",
    "config",
    "deploy",
    "error",
    "found",
]

Message = dict[str, object]


def corpus_path(name: str) -> Path:
    """Where a corpus lies, whether or not it was built."""
    return BENCH / "corpora" / CORPORA[name][0]


def build(name: str) -> Path:
    """Build a corpus unless it is there already; a half-built one is never left under its name."""
    target = corpus_path(name)
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"partial-{target.name}")
    if partial.is_dir():
        shutil.rmtree(partial)
    print(f"building {name} in {target}", file=sys.stderr)
    CORPORA[name][1](partial)
    partial.rename(target)
    return target


def describe(name: str) -> dict[str, object]:
    """The figures of a built corpus that a record needs; an archive counts unpacked."""
    path = corpus_path(name)
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    sizes = [file.stat().st_size for file in files]
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as export:
            sizes = [entry.file_size for entry in export.infolist()]
    cells = {"cells": workbook.CELLS} if name == "workbook" else {}
    return {"name": name, "files": len(sizes), "bytes": sum(sizes), "real_chat": CHAT.is_file()} | cells


def chat() -> list[Message]:
    """The messages, as author, time and text in Slack's markup."""
    if not CHAT.is_file():
        return [_made_up(number) for number in range(20_000)]
    with gzip.open(CHAT, "rt", encoding="utf-8") as lines:
        return [_from_html(json.loads(line)) for line in lines]


def _made_up(number: int) -> Message:
    rng = random.Random(SEED + number)
    text = " ".join(rng.choices(_WORDS, k=rng.randint(3, 200)))
    return {"user": f"U{rng.randrange(50):08d}", "time": 1_600_000_000 + number * 60, "text": text}


def _from_html(row: dict[str, object]) -> Message:
    text = str(row["content"])
    text = re.sub(r"</?(?:pre|div)[^>]*>", "```", text)
    text = re.sub(r"</p>|<br ?/?>", "\n", text)
    text = html.unescape(re.sub(r"<[^>]+>", "", text)).replace("``````", "```").strip()
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return {"user": row["author"], "time": row["timestamp"], "text": text}


def _swap(messages: list[Message], turn: int) -> Callable[[str], str]:
    """A way to vary a text that keeps it natural: words change places with words that are about as frequent."""
    if turn == 0:
        return lambda text: text
    ranked = [word for word, _ in Counter(w for m in messages for w in _WORD.findall(str(m["text"]))).most_common()]
    rng = random.Random(SEED + turn)
    other: dict[str, str] = {}
    for start in range(0, len(ranked), 64):
        band = ranked[start : start + 64]
        other.update(zip(band, rng.sample(band, len(band)), strict=True))
    return lambda text: _WORD.sub(lambda found: other[found.group()], text)


def varied() -> Iterator[Message]:
    """The messages without end: as they are, then again and again with varied words and later times."""
    messages = chat()
    for turn in count():
        vary = _swap(messages, turn)
        for message in messages:
            yield message | {"text": vary(str(message["text"])), "time": int(str(message["time"])) + turn * 200_000_000}


def plants() -> list[str]:
    """The forged credentials, always the same ones."""
    table = tomllib.loads((HERE / "plants.toml").read_text())
    rng = random.Random(SEED)
    templates = [template for _, template in sorted(table["kinds"].items())]
    return [forge(templates[number % len(templates)], rng) for number in range(table["count"])]


def planted(messages: Iterator[Message], every: int) -> Iterator[Message]:
    """Put one credential into every `every`th message until all of them are planted."""
    waiting = plants()[::-1]
    for number, message in enumerate(messages, 1):
        if number % every == 0 and waiting:
            yield message | {"text": f"{message['text']}\nuse {waiting.pop()} for now"}
        else:
            yield message


def slack_message(message: Message, number: int) -> Message:
    """A message as Slack's export writes it, its text a second time in a rich-text block."""
    text = str(message["text"])
    run = {"type": "rich_text_section", "elements": [{"type": "text", "text": html.unescape(text)}]}
    return {
        "client_msg_id": hashlib.md5(str(number).encode()).hexdigest(),
        "type": "message",
        "text": text,
        "user": message["user"],
        "ts": f"{message['time']}.{number % 1_000_000:06d}",
        "team": "T0BENCH00",
        "user_team": "T0BENCH00",
        "source_team": "T0BENCH00",
        "user_profile": {"name": str(message["user"]).lower(), "is_restricted": False, "is_ultra_restricted": False},
        "blocks": [{"type": "rich_text", "block_id": f"b{number:x}", "elements": [run]}],
    }


def day_files(messages: Iterator[Message], size: int) -> Iterator[tuple[str, bytes]]:
    """Cut a stream of messages into day files of about `size` bytes, forty channels side by side."""
    batch: list[str] = []
    held = 0
    number = 0
    for position, message in enumerate(messages):
        batch.append(json.dumps(slack_message(message, position), indent=4))
        held += len(batch[-1])
        if held >= size:
            month, day = divmod(number // 40, 28)
            name = f"channel-{number % 40:02d}/{2000 + month // 12}-{month % 12 + 1:02d}-{day + 1:02d}.json"
            yield name, ("[\n" + ",\n".join(batch) + "\n]").encode()
            batch, held, number = [], 0, number + 1


def _until(files: Iterator[tuple[str, bytes]], total: int) -> Iterator[tuple[str, bytes]]:
    written = 0
    for name, content in files:
        yield name, content
        written += len(content)
        if written >= total:
            return


def build_chat_tree(target: Path) -> None:
    """100 MB of chat in day files of 15 kB."""
    for name, content in _until(day_files(planted(varied(), 300), DAY_FILE), 100_000_000):
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def build_chat_sample(target: Path) -> None:
    """3 MB of the same, for contestants that would need minutes for all of it."""
    tree = build("chat-tree")
    for file in sorted(tree.rglob("*.json"))[:200]:
        path = target / file.relative_to(tree)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, path)


def build_source_tree(target: Path) -> None:
    """The text files of some well-known packages."""
    scratch = target.with_name("scratch-sources")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--target", str(scratch)]
    subprocess.run([*pip, "-r", str(HERE / "sources.txt")], check=True)
    waiting = plants()[::-1]
    files = sorted(file for file in scratch.rglob("*") if file.is_file() and file.suffix not in BINARY)
    for number, file in enumerate(file for file in files if file.stat().st_size <= SOURCE_LIMIT):
        path = target / file.relative_to(scratch)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = file.read_bytes()
        if file.suffix == ".py" and number % 20 == 0 and waiting:
            content += f'\nTOKEN = "{waiting.pop()}"\n'.encode()
        path.write_bytes(content)
    shutil.rmtree(scratch)


def build_tree(target: Path) -> None:
    """Both trees in one folder, linked, not copied."""
    for part in ("chat-tree", "source-tree"):
        shutil.copytree(build(part), target / part, copy_function=os.link)


def build_slack_folder(target: Path) -> None:
    """`chat-tree` as what it is: an unpacked Slack export, with its lists of channels and users."""
    shutil.copytree(build("chat-tree"), target, copy_function=os.link)
    (target / "channels.json").write_text(_channels())
    (target / "users.json").write_text("[]")


def _channels() -> str:
    return json.dumps([{"id": f"C{n:08d}", "name": f"channel-{n:02d}", "is_archived": False} for n in range(40)])


def build_slack_zip(target: Path) -> None:
    """A Slack export of one gigabyte of JSON, deflated, in day files of the size of a busy channel's."""
    messages = planted(varied(), 3_000)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as export:
        export.writestr("channels.json", _channels())
        export.writestr("users.json", "[]")
        for name, content in _until(day_files(messages, 250_000), 1_000_000_000):
            export.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)


def build_jsonl(target: Path) -> None:
    """Two gigabytes of JSON lines in one file."""
    written = 0
    with target.open("wb") as out:
        for position, message in enumerate(planted(varied(), 6_000)):
            written += out.write(json.dumps(slack_message(message, position)).encode() + b"\n")
            if written >= 2_000_000_000:
                return


def build_texts(target: Path) -> None:
    """The texts of the chat, one JSON string a line, for measuring the library."""
    messages = islice(planted(varied(), 250), 51_622)
    with target.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(str(message["text"])) + "\n" for message in messages)


def build_workbook(target: Path) -> None:
    """Half a million cells in an xlsx."""
    workbook.write(target, random.Random(SEED), plants()[::-1], _WORDS)


def build_empty(target: Path) -> None:
    """One file of no bytes: what is left is start-up."""
    target.mkdir()
    (target / "empty.txt").touch()


CORPORA: dict[str, tuple[str, Callable[[Path], None]]] = {
    "chat-tree": ("chat-tree", build_chat_tree),
    "chat-sample": ("chat-sample", build_chat_sample),
    "source-tree": ("source-tree", build_source_tree),
    "tree": ("tree", build_tree),
    "slack-folder": ("slack-folder", build_slack_folder),
    "slack-zip": ("slack-export.zip", build_slack_zip),
    "jsonl-2gb": ("chat-2gb.jsonl", build_jsonl),
    "chat-texts": ("chat-texts.jsonl", build_texts),
    "workbook": ("orders.xlsx", build_workbook),
    "empty": ("empty", build_empty),
}

if __name__ == "__main__":
    for wanted in sys.argv[1:] or list(CORPORA):
        build(wanted)
        print(json.dumps(describe(wanted)))
