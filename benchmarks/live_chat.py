"""A live Slack workspace of very many messages, read to its end: is the scanner ever what is waited for?

    python -m benchmarks.live_chat reader|keysentry MESSAGES

The workspace is the tests' own server (`tests/servers/slack.py`) in a process of its own, without limits. `reader` is a
loop that asks for the same pages over one connection and decodes nothing but where the next one is: the server's own
limit. `keysentry` is the whole line: source, scanner, store (SQLite). Prints seconds, messages, places found, the
processor seconds of the line, and which share of them the scanner had.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

PLANTED = 500
PAGE = 200


@contextmanager
def server(messages: int) -> Iterator[str]:
    """The address of a workspace with one channel of so many messages."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [sys.executable, "-m", "tests.servers.slack", "--port", str(port)]
    command += ["--messages", str(messages), "--plant", str(PLANTED)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).resolve().parents[1])
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[0]
    finally:
        process.terminate()
        process.wait()


class Following(msgspec.Struct, frozen=True):
    """How to ask for the next page."""

    next_cursor: str = ""


class Page(msgspec.Struct, frozen=True):
    """What the reader looks at: each message stays the bytes that it is."""

    messages: list[msgspec.Raw]
    response_metadata: Following = Following()


def reader(address: str) -> dict[str, float]:
    """Ask for page after page."""
    cursor, messages = "", 0
    parts = urlsplit(address)
    decoder = msgspec.json.Decoder(Page)
    began = time.perf_counter()
    with closing(HTTPConnection(parts.netloc)) as connection:
        while True:
            query = f"channel=C00000000&limit={PAGE}&cursor={cursor}"
            connection.request(
                "GET", f"{parts.path}conversations.history?{query}", headers={"Authorization": "Bearer x"}
            )
            page = decoder.decode(connection.getresponse().read())
            messages += len(page.messages)
            cursor = page.response_metadata.next_cursor
            if not cursor:
                return {"seconds": time.perf_counter() - began, "messages": messages}


def keysentry(address: str) -> dict[str, float]:
    """Read, scan and store everything."""
    from keysentry.connectors.slack import Options, open_source
    from keysentry.model.record import Unit
    from keysentry.model.sensitive import Sensitive
    from keysentry.pipeline import Pipeline
    from keysentry.scan import Scanner
    from keysentry.store import open_store

    scanner = Scanner()
    scanning = 0.0

    class Timed:
        """The scanner, with a clock."""

        def scan_records(self, *arguments: Any) -> Iterator[Any]:
            nonlocal scanning
            began = time.thread_time()
            found = list(scanner.scan_records(*arguments))
            scanning += time.thread_time() - began
            return iter(found)

    options = Options(name="chat", token=Sensitive("x"), base_url=address, per_minute=0, page=PAGE, files=False)
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"sqlite:///{folder}/keysentry.db", key=b"benchmark")
        source = open_source(options)
        pipeline = Pipeline("chat", source, Timed(), store)  # type: ignore[arg-type]
        began, processor = time.perf_counter(), time.process_time()
        records = sum(one.records for unit in source.units() if isinstance(unit, Unit) for one in pipeline.run(unit))
        seconds, processor = time.perf_counter() - began, time.process_time() - processor
        places = sum(incident.places for incident in store.incidents())
        source.close()
        store.close()
    return {
        "seconds": seconds,
        "messages": records,
        "places": places,
        "processor": round(processor, 3),
        "scanning": round(scanning, 3),
        "share": round(scanning / processor, 4),
    }


def main(who: str, messages: int) -> None:
    """Start the server and read it."""
    with server(messages) as address:
        told = {"reader": reader, "keysentry": keysentry}[who](address)
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
