"""Spreadsheets: what is found in cells, under headings, beside names, in comments and in the rest of the file, and
where it is said to be.
"""

from __future__ import annotations

import io
import random
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook
from openpyxl.comments import Comment
from openpyxl.workbook.defined_name import DefinedName

from keysentry.extraction.budget import Budget
from keysentry.model.finding import Finding
from keysentry.rules.forge import forge
from keysentry.scan.options import FileOptions
from keysentry.scan.run import Scan
from keysentry.scan.scanner import Scanner
from tests.engine import compiled
from tests.engine.test_encodings import token
from tests.extraction.workbooks import ODS, by_hand, cell, far_apart, inline, ods, row, table, xlsx

SHARED = Path(__file__).parents[3] / "shared" / "data" / "spreadsheets"
real = pytest.mark.skipif(not SHARED.is_dir(), reason="the real spreadsheets of ../shared are not here")

AWS_SECRET = "{base64:36}7Kqz"


def scan(scanner: Scanner, folder: Path, content: bytes, name: str = "book.xlsx", **options: Any) -> Scan:
    path = folder / name
    path.write_bytes(content)
    return scanner.scan_path(path, FileOptions(**options))


def told(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    """Where each secret is, and the secret."""
    return [(finding.location.part, finding.secret.reveal()) for finding in findings]


def password(seed: object) -> str:
    return forge("{password:12-16}", random.Random(str(seed)))


def aws(seed: object) -> tuple[str, str]:
    rng = random.Random(str(seed))
    return forge("{aws-key-id:AKIA}", rng), forge(AWS_SECRET, rng)


def test_a_secret_in_a_cell_is_told_with_its_address(each_scanner, tmp_path):
    made = xlsx({"Main": [["a", "b"], [1, f"use {token(1)} for now"]], "Other sheet": [[None, None], [None, token(2)]]})
    found = list(run := scan(each_scanner, tmp_path, made))
    assert told(found) == [("Main!B2", token(1)), ("Other sheet!B2", token(2))]
    first = found[0].location
    assert (first.line, first.column) == (None, None)
    assert (first.span.start, first.span.end) == (4, 44)
    assert first.path.endswith("book.xlsx")
    assert first.uri.endswith("book.xlsx")
    assert [step.kind for step in first.route] == ["cell"]
    assert run.summary.complete
    assert run.summary.files == 1


def test_hidden_sheets_are_scanned(scanner, tmp_path):
    def hide(book: Workbook) -> None:
        book["b"].sheet_state, book["c"].sheet_state = "hidden", "veryHidden"

    made = xlsx({"a": [["x"]], "b": [[token(1)]], "c": [[token(2)]]}, hide)
    assert told(scan(scanner, tmp_path, made)) == [("b!A1", token(1)), ("c!A1", token(2))]


HEADINGS = """
    Password Passwort Kennwort Contraseña Senha Wachtwoord Hasło Пароль ПАРОЛЬ DB-Passwort dbPassword
    비밀번호 パスワード 密码
"""


@pytest.mark.parametrize(
    "heading", [*HEADINGS.split(), "Mot de passe", "Clave de acceso", "Palavra passe", "Password (prod)"]
)
def test_a_column_that_is_headed_so_holds_passwords(each_scanner, tmp_path, heading):
    secrets = [password(n) for n in range(3)]
    rows = [["Name", heading, "Note"], *([f"user {n}", secret, "see there"] for n, secret in enumerate(secrets))]
    found = list(scan(each_scanner, tmp_path, xlsx({"s": rows})))
    assert told(found) == [(f"s!B{n}", secret) for n, secret in enumerate(secrets, 2)]
    assert all(heading not in reason.text for finding in found for reason in finding.reasons)


@pytest.mark.parametrize(
    "heading", ["API key", "API-Schlüssel", "Clé API", "Token", "Client secret", "APIキー", "密钥", "Secreto"]
)
def test_a_column_that_is_headed_so_holds_keys(scanner, tmp_path, heading):
    rng = random.Random(heading)
    secrets = [forge("{base62:28}", rng) for _ in range(3)]
    rows = [["Service", heading], *([f"service {n}", secret] for n, secret in enumerate(secrets))]
    assert told(scan(scanner, tmp_path, xlsx({"s": rows}))) == [
        (f"s!B{n}", secret) for n, secret in enumerate(secrets, 2)
    ]


NO_SECRETS: list[object] = [
    *("n/a", "N/A", "-", "none", "see vault", "see the wiki", "changeme?", "changeme", "********", "(unchanged)"),
    *("<your password>", "TBD", "yes", "required", "encrypted", "Password", "Username", "ask Bob", "xxxxxxxx"),
    *("https://vault.example.org/x", "2024-02-29", "bob@example.org", "${PASSWORD}", "1234", "same as above", "LDAP"),
    *(None, 20240229, True, "in 1Password", "your-password-here"),
]


@pytest.mark.parametrize("heading", ["Password", "Kennwort", "パスワード", "API key"])
def test_what_stands_in_such_a_column_and_is_none_is_not_reported(scanner, tmp_path, heading):
    rows = [["Name", heading], *([f"user {n}", value] for n, value in enumerate(NO_SECRETS))]
    assert told(scan(scanner, tmp_path, xlsx({"s": rows}))) == []


@pytest.mark.parametrize(
    "heading", ["Password expires", "Password policy", "Token type", "Passwort geändert", "Note", "Order", "Clave"]
)
def test_a_column_that_is_headed_otherwise_holds_none(scanner, tmp_path, heading):
    rows = [["Name", heading], *([f"user {n}", password(n)] for n in range(3))]
    assert told(scan(scanner, tmp_path, xlsx({"s": rows}))) == []


def test_a_password_of_any_characters_is_told_whole(scanner, tmp_path):
    """Quotes, brackets, ampersands and backslashes mean something in text; in a cell they are the password's."""
    secrets = ["Zq\"7r'tk,W9", "aq<b9>&amp;7Kz", "\\n0Rd&x;91z", "`9Kl)(x[q-7;z", 'x"Y7""k2Wd', "Zürich-84-Öl"]
    rows = [["User", "Password"], *([f"u{n}", secret] for n, secret in enumerate(secrets))]
    assert told(scan(scanner, tmp_path, xlsx({"s": rows}))) == [
        (f"s!B{n}", secret) for n, secret in enumerate(secrets, 2)
    ]


def test_a_clave_is_a_password_beside_a_user(scanner, tmp_path):
    rows = [["Usuario", "Clave"], ["ana", password(1)]]
    assert told(scan(scanner, tmp_path, xlsx({"s": rows}))) == [("s!B2", password(1))]


def test_the_heading_row_need_not_be_the_first(scanner, tmp_path):
    rows = [["Accounts of the lab"], [], ["Host", "User", "Password"], ["db", "root", password(1)], [], ["Old ones"],
            ["Server", "Kennwort"], ["x", password(2)]]  # fmt: skip
    assert told(scan(scanner, tmp_path, xlsx({"s": rows}))) == [("s!C4", password(1)), ("s!B8", password(2))]


def test_a_list_under_one_heading(scanner, tmp_path):
    rows = [["Passwords"], [password(1)], [password(2)], ["server", "user", "note"], [password(3), "x", "y"]]
    assert told(scan(scanner, tmp_path, xlsx({"s": rows}))) == [("s!A2", password(1)), ("s!A3", password(2))]


def test_a_name_at_the_left_speaks_for_its_row(each_scanner, tmp_path):
    rows = [
        ["Server", "db.internal", None],
        ["Kennwort", password(1), None],
        ["Passwort:", None, password(2)],
        ["User", "root", "Password", password(3)],
        ["AWS secret access key", aws(1)[1]],
        ["Note", password(4)],
    ]
    found = list(scan(each_scanner, tmp_path, xlsx({"s": rows})))
    assert told(found) == [("s!B2", password(1)), ("s!C3", password(2)), ("s!D4", password(3)), ("s!B5", aws(1)[1])]
    assert found[-1].rule == "aws.secret-key"


def test_a_word_that_a_rule_wants_may_be_the_heading(scanner, tmp_path):
    rng = random.Random(9)
    secret = forge("{base64:39}{base62:1}", rng)
    found = list(scan(scanner, tmp_path, xlsx({"s": [["Owner", "AWS secret access key"], ["ops", secret]]})))
    assert [(one.rule, one.location.part) for one in found] == [("aws.secret-key", "s!B2")]


@pytest.mark.parametrize("between", [0, 1, 12])
def test_an_id_and_its_secret_in_two_cells_of_a_row_are_one_credential(each_scanner, tmp_path, between):
    """However many cells stand between them, and whatever stands in the rows above and below."""
    pairs = [aws(n) for n in range(4)]
    rows = [["Name", "A", *(f"c{n}" for n in range(between)), "B"]]
    rows += [[f"user {n}", one, *(f"text {n}" for _ in range(between)), other] for n, (one, other) in enumerate(pairs)]
    found = list(scan(each_scanner, tmp_path, xlsx({"s": rows})))
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[2 + between]
    assert told(found) == [(f"s!{last}{n}", secret) for n, (_one, secret) in enumerate(pairs, 2)]
    assert [one.rule for one in found] == ["aws.access-key"] * 4
    assert [dict(one.companions)["id"].reveal() for one in found] == [one for one, _secret in pairs]


def test_ids_and_secrets_of_neighbouring_rows_are_not_mixed_up(scanner, tmp_path):
    """A row without its secret is no credential, though the next row has one."""
    (first, _), (second, secret), (third, _) = (aws(n) for n in range(3))
    rows = [["Name", "Access key", "Secret"], ["a", first, None], ["b", second, secret], ["c", third, "in vault"]]
    found = list(scan(scanner, tmp_path, xlsx({"s": rows})))
    assert told(found) == [("s!C3", secret)]
    assert dict(found[0].companions)["id"].reveal() == second


def test_a_form_has_the_id_above_the_secret(each_scanner, tmp_path):
    key, secret = aws(5)
    rows = [["Account", "prod"], ["Access key ID", key], ["Region", "eu-west-1"], ["Secret access key", secret]]
    found = list(scan(each_scanner, tmp_path, xlsx({"s": rows})))
    assert [(one.rule, one.location.part) for one in found] == [("aws.access-key", "s!B4")]


def test_lines_of_a_file_pasted_into_a_column(scanner, tmp_path):
    key, secret = aws(6)
    rows = [["[default]"], [f"aws_access_key_id = {key}"], [f"aws_secret_access_key = {secret}"]]
    assert told(scan(scanner, tmp_path, xlsx({"s": rows}))) == [("s!A3", secret)]


def test_comments_are_told_with_the_cell_and_the_author(scanner, tmp_path):
    def comment(book: Workbook) -> None:
        book["s"]["B2"].comment = Comment(f"the new one is {token(1)}", "Jane Doe")

    found = list(scan(scanner, tmp_path, xlsx({"s": [["x"]]}, comment)))
    assert told(found) == [("s!B2 » Jane Doe", token(1))]
    assert [step.kind for step in found[0].location.route] == ["cell", "comment"]
    assert found[0].location.author == "Jane Doe"


def test_threads_of_comments_are_told_once(scanner, tmp_path):
    """Excel writes a thread twice: for itself, and as a note for programs that know only these."""
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    threads = "http://schemas.microsoft.com/office/2017/10/relationships"
    note = f"<r><t>[Threaded comment] the key </t></r><r><t>is {token(1)}</t></r>"
    comment = f'<comment ref="C4" authorId="0"><text>{note}</text></comment>'
    thread = f'<threadedComment ref="C4" personId="p1" id="1"><text>the key is {token(1)}</text></threadedComment>'
    extra = {
        "xl/worksheets/_rels/sheet1.xml.rels": f"""<Relationships xmlns="{office}">
            <Relationship Id="r1" Type="{office}/comments" Target="../comments1.xml"/>
            <Relationship Id="r2" Type="{threads}/threadedComment" Target="/xl/threadedComments/t1.xml"/>
            </Relationships>""",
        "xl/comments1.xml": f"""<comments><authors><author>tc=1</author></authors>
            <commentList>{comment}</commentList></comments>""",
        "xl/threadedComments/t1.xml": f"<ThreadedComments>{thread}</ThreadedComments>",
    }
    made = by_hand({"s": f'<row r="1">{inline("A1", "x")}</row>'}, extra)
    assert [part.partition(" » ")[0] for part, _secret in told(scan(scanner, tmp_path, made))] == ["s!C4"]


def test_comments_of_an_ods(scanner, tmp_path):
    made = ods(table("t", row(cell(times=4), times=3), row(cell(times=2), cell(token(2), f"key {token(1)}"))))
    assert sorted(told(scan(scanner, tmp_path, made, "b.ods"))) == sorted(
        [("t!C4", token(2)), ("t!C4 » Ann", token(1))]
    )


def test_what_no_cell_shows_is_found_in_the_rest_of_the_file(scanner, tmp_path):
    """Formulas have their cell; names, properties and headers have their part of the package. Nothing is told twice."""

    def add(book: Workbook) -> None:
        sheet = book["s"]
        sheet["A1"] = token("cell")
        sheet["B3"] = f'=IF(1,"x","{token("formula")}")'
        sheet.oddHeader.center.text = f"key {token('header')}"
        book.properties.description = f"old: {token('property')}"
        book.defined_names["key"] = DefinedName("key", attr_text=f'"{token("name")}"')
        sheet["D1"].hyperlink = f"https://ci.internal/?t={token('link')}"

    found = told(scan(scanner, tmp_path, xlsx({"s": [["x"]]}, add)))
    assert found[0] == ("s!A1", token("cell"))
    assert ("s!B3 » formula", token("formula")) in found
    rest = {secret: part for part, secret in found}
    assert rest[token("property")] == "docProps/core.xml"
    assert rest[token("name")] == "xl/workbook.xml"
    assert rest[token("header")] == "xl/worksheets/sheet1.xml"
    assert len(found) == len({secret for _part, secret in found}) == 6


def test_a_sheet_with_cells_far_apart_costs_nothing(scanner, tmp_path):
    made = by_hand({"a": far_apart(token(1), token(2)), "b": f'<row r="9">{inline("B9", token(3))}</row>'})
    run = scan(scanner, tmp_path, made)
    assert told(run) == [("a!A1", token(1)), ("a!XFD1048576", token(2)), ("b!B9", token(3))]
    assert run.summary.complete


def test_a_sheet_that_cannot_be_read_is_named_and_its_bytes_are_scanned(scanner, tmp_path):
    filler = inline("B1", "x" * (70 << 20))
    made = by_hand(
        {"a": f'<row r="1">{inline("A1", token(1))}</row>', "b": f'<row r="1">{inline("A1", token(2))}{filler}</row>'}
    )
    run = scan(scanner, tmp_path, made, budget=Budget(sheet_memory=150 << 20, ratio=10_000))
    assert told(run) == [("a!A1", token(1)), ("b!A1", token(2))]
    (only,) = run.summary.skipped
    assert only.place.endswith("book.xlsx » b")
    assert only.reason == "the sheet was not read to the end: reading it takes more than 157,286,400 bytes of memory"


def nested(kind: str, content: bytes) -> bytes:
    """A workbook in an archive of some kind."""
    out = io.BytesIO()
    if kind == "tar.gz":
        with tarfile.open(fileobj=out, mode="w:gz") as packed:
            info = tarfile.TarInfo("in/book.xlsx")
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
        return out.getvalue()
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr(
            "in/book.xlsx" if kind == "zip" else "in.zip", content if kind == "zip" else nested("zip", content)
        )
    return out.getvalue()


@pytest.mark.parametrize(
    ("kind", "way"),
    [("zip", "in/book.xlsx"), ("tar.gz", "in/book.xlsx"), ("zip.zip", "in.zip » in/book.xlsx")],
)
@pytest.mark.parametrize("large", [False, True])
def test_a_workbook_in_an_archive(scanner, tmp_path, kind, way, large):
    filler = random.Random(1).randbytes(3 << 20).hex() if large else ""
    made = by_hand({"s": f'<row r="7">{inline("B7", token(1))}</row>'}, {"filler.bin": filler})
    assert (len(made) > 3 << 20) == large
    run = scan(scanner, tmp_path, nested(kind, made), f"a.{kind}")
    assert told(run) == [(f"{way} » s!B7", token(1))]
    assert run.summary.complete


def test_a_workbook_in_a_workbook(scanner, tmp_path):
    inner = xlsx({"in": [["x", token(1)]]})
    outer = by_hand({"out": f'<row r="1">{inline("A1", token(2))}</row>'}, {})
    packed = io.BytesIO(outer)
    with zipfile.ZipFile(packed, "a") as book:
        book.writestr("xl/embeddings/one.xlsx", inner)
    assert told(scan(scanner, tmp_path, packed.getvalue())) == [
        ("out!A1", token(2)),
        ("xl/embeddings/one.xlsx » in!B1", token(1)),
    ]


@pytest.mark.parametrize("name", ["book.txt", "book", "book.xls", "book.csv", "book.zip", "Book.XLSX"])
def test_a_workbook_is_known_by_its_content(scanner, tmp_path, name):
    assert told(scan(scanner, tmp_path, xlsx({"s": [["x", token(1)]]}), name)) == [("s!B1", token(1))]


@pytest.mark.parametrize("cut", [60, 400, 2000])
def test_a_workbook_that_is_cut_short(scanner, tmp_path, cut):
    """What is left of it is read, and that it is damaged is told."""
    noise = random.Random(3).randbytes(3000).hex()
    made = by_hand({"s": f'<row r="1">{inline("A1", token(1))}</row>'}, {"x.txt": noise})
    run = scan(scanner, tmp_path, made[:-cut])
    assert token(1) in [secret for _part, secret in told(run)]
    assert run.summary.skipped


def test_a_comment_for_scanners_silences_its_row(scanner, tmp_path):
    rows = [["a", token(1), "keysentry:allow"], ["b", token(2), "x"]]
    run = scan(scanner, tmp_path, xlsx({"s": rows}))
    assert told(run) == [("s!B2", token(2))]
    assert run.summary.allowed == 1
    assert len(told(scan(scanner, tmp_path, xlsx({"s": rows}), allow_comments=False))) == 2


def test_standard_input_may_be_a_workbook(tmp_path):
    made = xlsx({"s": [["x", token(1)]]})
    code = "from keysentry import Scanner\nfor f in Scanner().scan_path('-'): print(f.location.part)"
    run = subprocess.run([sys.executable, "-c", code], input=made, capture_output=True, check=True)
    assert run.stdout.decode().split() == ["s!B1"]


def test_where_rows_are_cut_changes_nothing():
    """The same findings however few rows come together: headings, forms and pairs reach over every border."""
    from keysentry.extraction.formats.sheets.column import Column
    from keysentry.extraction.formats.sheets.process import Cells
    from keysentry.scan.grid import Grid
    from keysentry.scan.names import Names
    from keysentry.scan.workbooks import Frames

    engine = compiled.scanner()._engine
    names, grid = Names(engine), Grid(engine)
    rng = random.Random(8)
    key, secret = zip(*(aws(f"cut {n}") for n in range(40)), strict=True)
    make: Sequence[Callable[[int], list[str]]] = [
        lambda n: [f"name {n}", "", str(n)],
        lambda n: ["Password", password(n), ""],
        lambda n: ["", "", ""],
        lambda n: [key[n % 40], secret[n % 40], ""],
        lambda n: ["Access key ID", key[n % 40], ""],
        lambda n: ["Secret", secret[n % 40], "x"],
        lambda n: ["Host", "Login", "Kennwort"],
        lambda n: [f"host {n}", "root", password(n)],
        lambda n: [token(n), "", "title"],
    ]
    made = [rng.choice(make)(n) for n in range(700)]

    def judged(size: int) -> list[tuple[int, int, str]]:
        frames = Frames(names)
        found = []
        given = []
        for begin in range(0, len(made), size):
            part = made[begin : begin + size]
            columns = [Column.of(column) for column in zip(*part, strict=True)]
            text = "\x1e".join(cell for column in columns for cell in column.cells).encode()
            given += frames.add(Cells(range(begin, begin + len(part)), range(3), columns, text, [0, 1, 2]))
        for frame, blocks in [*given, *frames.rest()]:
            for hit in grid.judge(blocks, frame.first, frame.last).hits:
                found.append((hit.row, hit.column, hit.match.secret.decode()))
        return found

    whole = judged(10_000)
    assert len(whole) > 200
    for size in (20, 32, 45, 100, 333):
        assert judged(size) == whole


def test_nothing_of_it_is_imported_where_there_is_none(tmp_path):
    (tmp_path / "a.txt").write_text("nothing")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as packed:
        packed.writestr("c.txt", "nothing")
    code = (
        f"import sys\nfrom keysentry import Scanner\nlist(Scanner().scan_path({str(tmp_path)!r}))\nprint(*sys.modules)"
    )
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert "keysentry.scan.members" in loaded
    unneeded = {"python_calamine", "openpyxl", "subprocess", "xml.parsers.expat", "csv", "keysentry.scan.grid"}
    assert not loaded & unneeded
    assert not [name for name in loaded if name.startswith("keysentry.scan.workbook")]


@real
def test_every_real_spreadsheet_is_read_or_reported(scanner, tmp_path):
    """Of the formats that are read every sheet is; of the others each file is named, with the reason."""
    began = time.monotonic()
    run = scanner.scan_path(SHARED)
    assert told(run) == []
    assert time.monotonic() - began < 60
    files = sorted(path.name for path in SHARED.iterdir())
    assert run.summary.files == len(files)
    reasons: dict[str, str] = {}
    for one in run.summary.skipped:
        name = Path(one.place.partition(" » ")[0]).name
        assert name not in reasons
        assert one.reason
        reasons[name] = one.reason
    assert sum("encrypted" in reason for reason in reasons.values()) == sum("password" in name for name in files)
    kinds = (".wk1", ".wk3", ".wk4", ".wks", ".qpw", ".wb3", "_4.xls")
    old = [name for name in files if name.lower().endswith(kinds)]
    assert sorted(name for name, reason in reasons.items() if "old spreadsheet" in reason) == old
    assert {Path(name).suffix for name in set(reasons) - set(old) if "password" not in name} == {".numbers"}


@real
@pytest.mark.parametrize("suffix", ["xls", "xlsb", "ods", "xlsx"])
def test_the_same_real_workbook_in_every_format(suffix):
    """A rule for words of one row of a workbook that four programs wrote finds them in the same cells of all four."""
    own = compiled.own(
        """
        [[rule]]
        id = "acme.word"
        title = "A word"
        pattern = '''\\b(?P<secret>Strict Open XML|XLSM \\(2007)'''
        anchors = ["XML", "XLSM"]
        confidence = 0.9
        severity = "low"
        lifetime = "unknown"
        """
    )
    found = [part.replace("_", " ") for part, _secret in told(own.scan_path(SHARED / f"AutoFilter.{suffix}"))]
    assert "Just Filter!D2" in found
    assert "Just Filter!B3" in found
    assert len(found) == len(set(found)) > 20


@pytest.mark.parametrize("large", [False, True])
def test_a_workbook_that_is_one_xml_file(scanner, tmp_path, large):
    """A fods of any size, as a file and in an archive: cells, headings and comments as in an ods."""
    named = f'<table:named-expressions><table:named-range table:name="{token(2)}"/></table:named-expressions>'
    body = table("t", row(cell("Kennwort")), row(cell(password(7), f"key {token(1)}"))) + named
    filler = f"<!-- {'x' * (5 << 20) if large else ''} -->"
    content = ODS.format(filler + body).replace("document-content", "document").encode()
    expected = [("t!A2", password(7)), ("t!A2 » Ann", token(1)), ("", token(2))]
    assert told(scan(scanner, tmp_path, content, "b.fods")) == expected
    (tmp_path / "b.fods").unlink()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("b.fods", content)
    inside = told(scan(scanner, tmp_path, packed.getvalue(), "b.zip"))
    assert inside == [(" » ".join(filter(None, ("b.fods", part))), secret) for part, secret in expected]


def test_a_workbook_that_is_a_stream_in_memory():
    """As parts of records come: without a file."""
    from keysentry.extraction.sniff import sniff
    from keysentry.scan.document import Document, DocumentScanner
    from keysentry.scan.members import Members
    from keysentry.scan.pieces import PieceScanner
    from keysentry.scan.pool import Pool

    shared = compiled.scanner()
    documents, pool = DocumentScanner(shared._engine, shared._maker, allow_comments=False), Pool(1)
    members = Members(documents, PieceScanner(documents), pool, Budget())
    for content in (xlsx({"s": [["x", token(1)]]}), nested("zip", xlsx({"s": [["x", token(1)]]}))):
        document = Document("file.bin", kind=sniff(content))
        found = [
            one
            for outcome, _files, _size in members.of_stream(document, io.BytesIO(content))
            for one in outcome.findings
        ]
        assert [part.rpartition(" » ")[2] for part, _secret in told(found)] == ["s!B1"]
    documents.close()
    pool.close()


@real
@pytest.mark.parametrize(
    "name", ["number_format.xls", "number_format_russian.xlsm", "2013__apachepoi_excelant.xls.xlsb"]
)
def test_the_source_of_macros_is_scanned(name):
    """In a workbook of each kind: a rule for the beginning of a procedure finds it by module and line."""
    own = compiled.own(
        """
        [[rule]]
        id = "acme.procedure"
        title = "A procedure"
        pattern = '''\\b(?P<secret>Function [A-Za-z]{4,20}\\(|Sub [a-z]{4,20}\\()'''
        anchors = ["Function ", "Sub "]
        confidence = 0.9
        severity = "low"
        lifetime = "unknown"
        """
    )
    found = list(own.scan_path(SHARED / name))
    assert any(one.location.route[-1].name == "Module1" and one.location.line == 2 for one in found)


def test_formulas_of_a_large_sheet_have_their_cells(scanner, tmp_path):
    """In a part that is scanned in pieces: wherever one of these ends, each secret is told once, in its cell."""
    rng = random.Random(11)
    expected = []
    rows = []
    for n in range(1, 40_001):
        formula = ""
        if n % 400 == 0:
            expected.append((f"s!B{n} » formula", token(n)))
            formula = f'<c r="B{n}"><f>LEN("{token(n)}")</f><v>40</v></c>'
        rows.append(f'<row r="{n}">{inline(f"A{n}", "x" * rng.randint(60, 130))}{formula}</row>')
    assert sum(map(len, rows)) > 5 << 20
    assert told(scan(scanner, tmp_path, by_hand({"s": "".join(rows)}))) == expected
