"""Teams exports among files: what is found is what decoding every message finds, with author, time, conversation and a
link, however the export is packed and cut.
"""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from keysentry.model.finding import Finding
from keysentry.model.location import ByteSpan
from keysentry.rules.forge import forge
from keysentry.scan import pieces, reader
from keysentry.scan.options import FileOptions
from keysentry.scan.scanner import Scanner
from tests.engine import compiled
from tests.scan import teams_messages as made

ROOT = Path(__file__).resolve().parents[2]
LINK = "https://teams.microsoft.com/l/message/19%3A9d1c%40thread.v2/"


def token(seed: int = 1) -> str:
    return forge("ghp_{base62:30}{crc32-base62:6}", random.Random(seed))


def scanned(scanner: Scanner, path: Path, **options: bool) -> list[Finding]:
    return list(scanner.scan_path(path, FileOptions(**options)))


def chat(count: int, seed: int = 0, every: int = 10) -> list[made.Json]:
    """Messages of one conversation, of which every tenth tells a credential that begins in bold."""
    rng = random.Random(seed)
    found = []
    for number in range(count):
        text = f"<p>{made.escaped(made.prose(rng))}</p>"
        if number % every == every - 1:
            secret = token(seed * 100_000 + number)
            text += f"\n<p>é use <b>{secret[:9]}</b>{secret[9:]}&nbsp;please</p>"
        found.append(made.personal_message(number, text, f"19:{seed}@thread.v2"))
    return found


# -- the same as decoding every message -----------------------------------------------------------------------------


def any_export(seed: int) -> tuple[object, bytes]:
    """An export with a credential of every rule under markup: decoded, and as a file."""
    rng = random.Random(seed)
    messages: list[made.Json] = []
    personal = seed % 3 == 2
    for number, (text, _secret) in enumerate(made.forged(seed)):
        said = made.prose(rng) + rng.choice((": ", " ", "\n")) + text + rng.choice(("", ". ", f" {made.prose(rng)}"))
        if personal:
            kind = rng.choice(("RichText/Html", "RichText", "Text"))
            content = said if kind == "Text" else made.marked_up(said, rng)
            messages.append(made.personal_message(number, content, made.THREAD, kind))
        elif rng.random() < 0.8:
            messages.append(made.graph_message(number, made.marked_up(said, rng)))
        elif rng.random() < 0.5:
            messages.append(made.graph_message(number, said, "text"))
        else:
            shown = made.card(("Password", text), ("note", made.prose(rng)), text=said)
            messages.append(made.graph_message(number, "<p>see</p>", attachments=[shown]))
    if personal:
        document: object = made.personal_export({"Ops": messages})
    elif seed % 3:
        document = {"@odata.context": "x", "value": [*messages[:-3], messages[-3] | {"replies": messages[-2:]}]}
    else:
        document = messages
    return document, written(document, rng)


def written(document: object, rng: random.Random) -> bytes:
    """JSON as one writer or another writes it."""
    if isinstance(document, list) and rng.random() < 0.5:
        raw = "\n".join(json.dumps(item) for item in document) + "\n"
    else:
        raw = json.dumps(document, ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, 2)))
    if rng.random() < 0.3:
        raw = raw.replace("<", "\\u003c").replace(">", "\\u003E").replace("&", "\\u0026")
    return (raw.replace("/", "\\/") if rng.random() < 0.3 else raw).encode()


@pytest.mark.parametrize("seed", range(9))
@pytest.mark.parametrize("engine", compiled.ENGINES)
def test_the_result_is_that_of_decoding_every_message(engine: str, seed: int, tmp_path: Path) -> None:
    scanner = compiled.scanner(engine)
    document, raw = any_export(seed)
    (tmp_path / "export.json").write_bytes(raw)
    found = [made.told(finding) for finding in scanned(scanner, tmp_path / "export.json")]
    expected = made.by_decoding_all(scanner, [document])
    assert sorted(found) == expected
    assert len(expected) > 300


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_spans_lead_to_the_secret_in_the_file(seed: int, scanner: Scanner, tmp_path: Path) -> None:
    _document, raw = any_export(seed)
    (tmp_path / "export.json").write_bytes(raw)
    for finding in scanned(scanner, tmp_path / "export.json"):
        span, secret = finding.location.span, finding.secret.reveal()
        assert span is not None
        if any(step.kind == "encoded" for step in finding.location.route):
            continue
        text = raw[span.start : span.end].decode()
        assert text.startswith((secret[0], "&", "\\")) and text.endswith((secret[-1], ";"))
        assert len(text) < 8 * len(secret) + 300
        assert finding.location.line == raw.count(b"\n", 0, span.start) + 1
        begin = raw.rfind(b"\n", 0, span.start) + 1
        assert finding.location.column == len(raw[begin : span.start].decode()) + 1


# -- what a finding says --------------------------------------------------------------------------------------------


def forms() -> dict[str, tuple[str, bytes]]:
    """The same message in each form of an export: (name of the file, content)."""
    message = made.graph_message(7, f"<p>it is {token()}</p>")
    other = made.graph_message(8, "<p>thanks</p>")
    pascal = json.loads(json.dumps(message))
    pascal = {name[0].upper() + name[1:]: value for name, value in pascal.items()}
    pascal["Body"] = {"ContentType": "html", "Content": pascal["Body"]["content"]}
    pascal["From"] = {"User": {"Id": "u1", "DisplayName": "User 1"}, "AdditionalProperties": {}}
    bare = {key: message[key] for key in ("id", "createdDateTime", "from", "body")}
    context = "https://graph.microsoft.com/v1.0/$metadata#chats('19%3A9d1c%40thread.v2')/messages"
    dump = json.dumps
    return {
        "page": ("x.json", dump({"@odata.context": "c", "@odata.nextLink": "n", "value": [other, message]}).encode()),
        "array": ("x.json", dump([other, message], indent=4).encode()),
        "lines": ("x.jsonl", (dump(other) + "\n" + dump(message) + "\n").encode()),
        "one message": ("msg_1.json", dump(message).encode()),
        "reply": ("x.json", dump([other | {"replies@odata.count": 1, "replies": [message]}]).encode()),
        "thread": ("x.json", dump({"id": made.THREAD, "topic": None, "messages": [other, message]}).encode()),
        "without a chat's id": ("x.json", dump({"@odata.context": context, "value": [bare]}).encode()),
        "no extension": ("backup", b"\xef\xbb\xbf\n" + dump([other, message]).encode()),
        "PowerShell": ("x.json", dump([pascal], indent=4).replace('": ', '":  ').encode()),
        "UTF-16": ("x.json", dump([other, pascal], indent=4).encode("utf-16")),
    }


@pytest.mark.parametrize("form", forms())
def test_a_finding_knows_its_message(form: str, scanner: Scanner, tmp_path: Path) -> None:
    name, content = forms()[form]
    (tmp_path / name).write_bytes(content)
    [finding] = scanned(scanner, tmp_path)
    location = finding.location
    assert finding.secret.reveal() == token()
    assert (location.author, location.author_id, location.time) == ("User 1", "u1", "2024-03-04T11:00:07Z")
    assert location.container == made.THREAD
    assert location.uri == f"{LINK}1709551200007?context=%7B%22contextType%22%3A%22chat%22%7D"
    assert location.route[-1].name.lower() == "body.content"
    assert location.exposure.audience == "private"
    assert location.path == str(tmp_path / name)
    span = location.span
    assert span is not None
    encoding = "utf-16-le" if form == "UTF-16" else "utf-8"
    assert content[span.start : span.end].decode(encoding) == token()


def test_the_link_of_the_message_itself_is_kept(scanner: Scanner, tmp_path: Path) -> None:
    channel = {"teamId": "t-1", "channelId": "19:c@thread.tacv2"}
    messages = [
        made.graph_message(
            1, token(1), webUrl="https://teams.example/l/message/1", chatId=None, channelIdentity=channel
        ),
        made.graph_message(2, token(2), replyToId="17", chatId=None, channelIdentity=channel),
    ]
    (tmp_path / "x.json").write_text(json.dumps(messages))
    first, second = (finding.location for finding in scanned(scanner, tmp_path))
    assert first.uri == "https://teams.example/l/message/1"
    assert second.uri == (
        "https://teams.microsoft.com/l/message/19%3Ac%40thread.tacv2/1709551200002?groupId=t-1&parentMessageId=17"
    )
    assert first.container == second.container == "19:c@thread.tacv2"
    assert first.exposure.audience == "unknown"


def packed_zip(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return out.getvalue()


def packed_tar(files: dict[str, bytes], mode: str = "w") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as packed:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return out.getvalue()


PACKED: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "x.zip": packed_zip,
    "x.tar": packed_tar,
    "x.tgz": lambda files: packed_tar(files, "w:gz"),
}


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("size", ["small", "large"])
def test_a_personal_export_in_an_archive(name: str, size: str, scanner: Scanner, tmp_path: Path) -> None:
    few = {"Ann": chat(20, 1), "Book club": chat(20, 2)}
    many = {"Ann": chat(20, 1), "Filler": chat(13_000, 3, every=100_000), "Book club": chat(20, 2)}
    export = json.dumps(made.personal_export(few if size == "small" else many)).encode()
    assert (len(export) > 4 << 20) == (size == "large")
    files = {"endpoints.json": b'{"endpoints": []}', "messages.json": export, "media/1.json": b"{}"}
    (tmp_path / name).write_bytes(PACKED[name](files))
    found = scanned(scanner, tmp_path)
    assert [finding.location.container for finding in found] == ["Ann"] * 2 + ["Book club"] * 2
    assert {finding.location.part for finding in found} == {"messages.json » content"}
    assert [finding.location.time for finding in found] == ["2024-03-04T11:00:09Z", "2024-03-04T11:00:19Z"] * 2
    assert [finding.location.author for finding in found] == ["User 0", "User 1"] * 2
    last = found[-1].location.span
    assert last is not None and export[last.start : last.end].startswith(b"ghp_")


def test_text_beside_the_messages_is_scanned_too(scanner: Scanner, tmp_path: Path) -> None:
    export = made.personal_export({f"call {token(5)}": [made.personal_message(1, "hello", "19:1@thread.v2")]})
    raw = json.dumps(export).encode()
    (tmp_path / "messages.json").write_bytes(raw)
    found = scanned(scanner, tmp_path)
    assert {finding.secret.reveal() for finding in found} == {token(5)}
    assert [finding.location.part for finding in found] == [
        "conversations[0].displayName",
        "conversations[0].threadProperties.topic",
    ]


def test_comments_allow_nothing_in_chat(scanner: Scanner, tmp_path: Path) -> None:
    said = f"{token()} keysentry:allow"
    (tmp_path / "chat.json").write_text(json.dumps([made.graph_message(1, said)]))
    (tmp_path / "other.json").write_text(json.dumps({"body": {"contentType": "html", "note": said}}))
    [finding] = scanned(scanner, tmp_path)
    assert finding.location.path.endswith("chat.json")


def test_a_mail_of_graph_is_no_chat(scanner: Scanner, tmp_path: Path) -> None:
    mail = {
        "id": "AAMk",
        "createdDateTime": "2024-03-04T11:00:00Z",
        "receivedDateTime": "2024-03-04T11:00:00Z",
        "from": {"emailAddress": {"name": "Ann", "address": "ann@example.com"}},
        "body": {"contentType": "html", "content": f"<p>{token()}</p>"},
    }
    (tmp_path / "mail.json").write_text(json.dumps({"value": [mail] * 3}))
    found = scanned(scanner, tmp_path)
    assert [finding.location.part for finding in found] == [f"value[{i}].body.content" for i in range(3)]
    assert {finding.location.author for finding in found} == {""}


# -- cutting --------------------------------------------------------------------------------------------------------


def places(findings: list[Finding]) -> list[tuple[object, ...]]:
    return [(*made.told(one), one.location.line, one.location.column, one.location.span) for one in findings]


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("form", ["personal", "graph"])
def test_cutting_a_file_changes_nothing(
    form: str, indent: int | None, scanner: Scanner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if form == "personal":
        document: object = made.personal_export({f"Chat {seed}": chat(250, seed) for seed in range(1, 5)})
    else:
        rng = random.Random(3)
        texts = [text for text, _secret in made.forged(3)]
        document = {"value": [made.graph_message(i, made.marked_up(t, rng)) for i, t in enumerate(texts * 2)]}
    path = tmp_path / "export.json"
    path.write_text(json.dumps(document, indent=indent, ensure_ascii=False))
    assert 1 << 17 < path.stat().st_size < reader.LARGE
    whole = places(scanned(scanner, path))
    assert len(whole) >= 100
    monkeypatch.setattr(reader, "LARGE", 1 << 16)
    for size in (70_001, 100_003):
        monkeypatch.setattr(pieces, "CORE", size)
        assert places(scanned(scanner, path)) == whole


def test_a_message_that_is_too_large_is_told(scanner: Scanner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "LARGE", 1 << 16)
    monkeypatch.setattr(pieces, "CORE", 1 << 16)
    filler = "words and words " * 60_000
    huge = made.graph_message(1, f"{token(1)} {filler} {token(2)} {filler} {token(3)}")
    path = tmp_path / "export.json"
    path.write_text(json.dumps([made.graph_message(0, token(0)), huge, made.graph_message(2, token(4))]))
    scan = scanner.scan_path(path)
    found = list(scan)
    assert [finding.secret.reveal() for finding in found] == [token(n) for n in (0, 1, 2, 3, 4)]
    assert [bool(finding.location.author) for finding in found][::4] == [True, True]
    assert "read without author and time" in scan.summary.skipped[0].reason
    assert all(skipped.partial for skipped in scan.summary.skipped)


# -- bad input ------------------------------------------------------------------------------------------------------


def damaged(indent: int | None = None) -> bytes:
    messages = [made.graph_message(number, f"<p>{token(number)}</p>") for number in range(5)]
    raw = json.dumps({"value": messages}, indent=indent).encode()
    at = raw.index(b'"from"', raw.index(b"1709551200002"))
    return raw[:at] + b'"from" oops' + raw[at + 8 :]


def test_good_messages_around_a_damaged_one(scanner: Scanner, tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    path.write_bytes(damaged(indent=1))
    scan = scanner.scan_path(path)
    found = list(scan)
    assert [finding.secret.reveal() for finding in found] == [token(number) for number in range(5)]
    assert [finding.location.author for finding in found] == ["User 0", "User 1", "", "User 0", "User 1"]
    [skipped] = scan.summary.skipped
    line = damaged(indent=1).count(b"\n", 0, damaged(indent=1).index(b"oops")) + 1
    assert f"damaged at line {line}," in skipped.reason and skipped.partial and skipped.place == str(path)


@pytest.mark.parametrize("kept", [0.35, 0.6, 0.97])
def test_an_export_that_is_cut_off(kept: float, scanner: Scanner, tmp_path: Path) -> None:
    messages = [made.graph_message(number, f"<p>{token(number)}</p>") for number in range(5)]
    raw = json.dumps({"value": messages}).encode()
    raw = raw[: int(len(raw) * kept)]
    (tmp_path / "export.json").write_bytes(raw)
    scan = scanner.scan_path(tmp_path)
    found = list(scan)
    assert [finding.secret.reveal() for finding in found] == [token(n) for n in range(5) if token(n).encode() in raw]
    assert all(finding.location.author for finding in found)
    [skipped] = scan.summary.skipped
    assert "damaged at line 1, column" in skipped.reason and "truncated" in skipped.reason


def test_a_line_that_is_no_json_costs_only_itself(scanner: Scanner, tmp_path: Path) -> None:
    lines = [json.dumps(made.graph_message(number, token(number))) for number in range(3)]
    lines[1] = lines[1].replace('"messageType": ', "")
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    scan = scanner.scan_path(tmp_path)
    assert [(one.secret.reveal(), bool(one.location.author)) for one in scan] == [
        (token(0), True),
        (token(1), False),
        (token(2), True),
    ]
    assert "damaged at line 2," in scan.summary.skipped[0].reason


STRANGE: list[object] = [None, 7, "words", [], {}, {"user": None}, [{"a": 1}], {"content": None}, True, -1.5e300]


@pytest.mark.parametrize("value", STRANGE)
def test_null_and_unknown_fields(value: object, scanner: Scanner, tmp_path: Path) -> None:
    graph = made.graph_message(1, token(1)) | {"futureField": {"deep": [value]}}
    personal = made.personal_message(2, token(2), "19:1@thread.v2") | {"futureField": value}
    for key in ("id", "from", "chatId", "webUrl", "channelIdentity", "createdDateTime", "attachments", "mentions"):
        graph[key] = value
    for key in ("id", "displayName", "originalarrivaltime", "conversationid", "from", "properties"):
        personal[key] = value
    (tmp_path / "a.json").write_text(json.dumps({"value": [graph, made.graph_message(3, token(3))]}))
    (tmp_path / "b.json").write_text(json.dumps(made.personal_export({"Ann": [personal]})))
    scan = scanner.scan_path(tmp_path)
    assert {finding.secret.reveal() for finding in scan} == {token(1), token(2), token(3)}
    assert scan.summary.skipped == []


def test_bad_utf8_and_lone_surrogates(scanner: Scanner, tmp_path: Path) -> None:
    raw = json.dumps([made.graph_message(1, f"caf@ {token()}")]).encode().replace(b"@ ghp", b"\xff \\ud83d ghp")
    (tmp_path / "x.json").write_bytes(raw)
    [finding] = scanned(scanner, tmp_path)
    assert finding.location.author == "User 1" and finding.secret.reveal() == token()


# -- size -----------------------------------------------------------------------------------------------------------

PROGRAM = """
import resource, sys
from keysentry.scan import FileOptions, Scanner
scanner = Scanner.load()
list(scanner.scan_path(sys.argv[2]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
scan = scanner.scan_path(sys.argv[1], FileOptions(jobs=2))
for one in scan:
    print(one.location.container, one.location.author, one.location.time, sep="|")
print(*(skipped.reason for skipped in scan.summary.skipped), sep="\\n")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_is_flat_over_a_large_export(tmp_path: Path) -> None:
    quiet = json.dumps(chat(2000, 3, every=100_000))[1:-1].encode()
    path = tmp_path / "messages.json"
    telling = json.dumps(chat(10, 9))[1:-1].encode()
    with path.open("wb") as file:
        file.write(
            b'{"userId":"8:me","exportDate":"2024","conversations":[{"id":"19:3@thread.v2","displayName":"Long","MessageList":['
        )
        for _ in range(95):
            file.write(quiet + b",")
        file.write(quiet + b']},{"id":"19:9@thread.v2","displayName":"Short","MessageList":[' + telling + b"]")
    assert path.stat().st_size > 64 << 20
    (tmp_path / "small.json").write_bytes(b"[" + telling + b"]")
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, path, tmp_path / "small.json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    told, reason, grown = run.stdout.splitlines()
    assert told == "Short|User 0|2024-03-04T11:00:09Z"
    assert "cut off" in reason
    assert int(grown) < 60_000, "kilobytes"


def test_spans_are_those_of_the_file(scanner: Scanner, tmp_path: Path) -> None:
    secret = token()
    content = f"<p>{secret[:8]}<b>{secret[8:]}</b></p>"
    raw = b"\xef\xbb\xbf[\n" + json.dumps(made.graph_message(1, content)).encode() + b"]"
    (tmp_path / "x.json").write_bytes(raw)
    [finding] = scanned(scanner, tmp_path)
    start = raw.index(secret[:8].encode())
    assert finding.location.span == ByteSpan(start, raw.index(b"</b>"))
    assert (finding.location.line, finding.location.column) == (2, start - raw.index(b"\n"))
