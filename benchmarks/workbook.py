"""Writes the workbook that the benchmark of spreadsheets reads: orders in four sheets, half a million cells of text,
numbers and dates, the texts shared among all sheets as Excel does it.
"""

from __future__ import annotations

import html
import random
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

SHEETS, ROWS = ("North", "South", "East", "West"), 12_500
HEADINGS = ("Order", "Date", "Customer", "Email", "Item", "Quantity", "Price", "Total", "Status", "Notes")
CELLS = len(SHEETS) * ROWS * len(HEADINGS)
_SPREADSHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def write(target: Path, rng: random.Random, waiting: list[str], words: Sequence[str]) -> None:
    """Write the workbook; credentials that are `waiting` stand in some of the notes."""
    strings: dict[str, int] = {}
    sheets = {name: "".join(_rows(rng, number, strings, waiting, words)) for number, name in enumerate(SHEETS)}
    shared = "".join(f"<si><t>{html.escape(text, quote=False)}</t></si>" for text in strings)
    numbered = list(enumerate(sheets, 1))
    declared = [("workbook.xml", "sheet.main"), ("styles.xml", "styles"), ("sharedStrings.xml", "sharedStrings")]
    declared += [(f"worksheets/sheet{n}.xml", "worksheet") for n, _name in numbered]
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="xml" '
        'ContentType="application/xml"/><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        + "".join(f'<Override PartName="/xl/{part}" ContentType="{_TYPE}.{kind}+xml"/>' for part, kind in declared)
        + "</Types>",
        "_rels/.rels": _related([("rId1", "officeDocument", "xl/workbook.xml")]),
        "xl/workbook.xml": f'<workbook xmlns="{_SPREADSHEET}" xmlns:r="{_RELATIONS}"><sheets>'
        + "".join(f'<sheet name="{name}" sheetId="{n}" r:id="rId{n}"/>' for n, name in numbered)
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": _related(
            [(f"rId{n}", "worksheet", f"worksheets/sheet{n}.xml") for n, _name in numbered]
            + [("rId90", "sharedStrings", "sharedStrings.xml"), ("rId91", "styles", "styles.xml")]
        ),
        "xl/styles.xml": f'<styleSheet xmlns="{_SPREADSHEET}"><fonts><font/></fonts><fills><fill><patternFill/></fill>'
        "</fills><borders><border/></borders><cellStyleXfs><xf/></cellStyleXfs><cellXfs>"
        '<xf numFmtId="0"/><xf numFmtId="14" applyNumberFormat="1"/></cellXfs>'
        '<cellStyles><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>',
        "xl/sharedStrings.xml": f'<sst xmlns="{_SPREADSHEET}" uniqueCount="{len(strings)}">{shared}</sst>',
        **{
            f"xl/worksheets/sheet{n}.xml": f'<worksheet xmlns="{_SPREADSHEET}"><sheetData>{sheets[name]}'
            "</sheetData></worksheet>"
            for n, name in numbered
        },
    }
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as book:
        for name, content in parts.items():
            book.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)


def _related(targets: list[tuple[str, str, str]]) -> str:
    listed = "".join(
        f'<Relationship Id="{one}" Type="{_RELATIONS}/{kind}" Target="{part}"/>' for one, kind, part in targets
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{listed}</Relationships>'


def _rows(
    rng: random.Random, sheet: int, strings: dict[str, int], waiting: list[str], words: Sequence[str]
) -> Iterator[str]:
    """The rows of a sheet as XML, the headings first."""
    names = ("Anna", "Ben", "Carla", "David", "Emma", "Felix", "Grace", "Hugo", "Ines", "Jonas", "Karin", "Leo")
    goods = ("cable", "chair", "desk", "keyboard", "laptop", "monitor", "paper", "phone", "printer", "switch", "widget")
    for number in range(ROWS):
        first, last = rng.choice(names), rng.choice(names)
        count, price = rng.randint(1, 40), round(rng.uniform(2, 900), 2)
        note = " ".join(rng.choices((*goods, *words), k=rng.randint(3, 12)))
        if number % 1000 == 500 and waiting:
            note += f" use {waiting.pop()} for now"
        row = [
            *(1_000_000 * (sheet + 1) + number, 43831 + number // 40, f"{first} {last}son"),
            *(f"{first}.{last}{rng.randrange(977)}@example.org".lower(), " ".join(rng.choices(goods, k=3))),
            *(count, price, round(count * price, 2), rng.choice(("shipped", "pending", "paid")), note),
        ]
        cells = (
            _cell(f"{letter}{number + 1}", value, strings)
            for letter, value in zip("ABCDEFGHIJ", row if number else HEADINGS, strict=True)
        )
        yield f'<row r="{number + 1}" spans="1:10">{"".join(cells)}</row>'


def _cell(address: str, value: object, strings: dict[str, int]) -> str:
    if isinstance(value, str):
        return f'<c r="{address}" t="s"><v>{strings.setdefault(value, len(strings))}</v></c>'
    style = ' s="1"' if address[0] == "B" else ""
    return f'<c r="{address}"{style}><v>{value}</v></c>'
