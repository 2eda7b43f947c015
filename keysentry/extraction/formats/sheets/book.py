"""What kind of workbook a zip is."""

from __future__ import annotations

import re
from collections.abc import Callable, Container
from typing import Literal, NamedTuple

Flavour = Literal["xlsx", "xlsb", "ods", "iwork", ""]
"""`iwork` is Apple's format, of Numbers and its sisters; empty is anything else."""

OLD_SHEET = (
    "an old spreadsheet (Lotus 1-2-3, Works, Quattro Pro or Excel 4): its bytes were scanned as they are, "
    "its cells are not told apart (save it as xlsx)"
)
"""What is told of a spreadsheet that nothing here takes apart."""


class Book(NamedTuple):
    """A workbook to be read: the path of its file or, where it has none of its own, its content."""

    path: str
    content: bytes = b""


_CONTENT_TYPES = "[Content_Types].xml"
_OPEN_XML = re.compile(rb"spreadsheetml\.(?:sheet|template)\.main\+xml|ms-excel\.(?:sheet|template|addin)\.[\w.]*main")
_ODS = b"application/vnd.oasis.opendocument.spreadsheet"


def flavour(names: Container[str], read: Callable[[str], bytes | None]) -> Flavour:
    """The kind of workbook that a zip with these members is, by what the package says of itself.

    Content types: ECMA-376, part 2, 10.1.2; `mimetype`: OpenDocument 1.3, part 2, 3.3.
    """
    if _CONTENT_TYPES in names:
        types = read(_CONTENT_TYPES) or b""
        if b"sheet.binary" in types:
            return "xlsb"
        if _OPEN_XML.search(types):
            return "xlsx"
    for workbook, kind in _USUAL.items():
        if workbook in names:
            return kind
    if "mimetype" in names and "content.xml" in names and (read("mimetype") or b"").startswith(_ODS):
        return "ods"
    return "iwork" if "Index/Document.iwa" in names or "Index.zip" in names else ""


_USUAL: dict[str, Flavour] = {"xl/workbook.xml": "xlsx", "xl/workbook.bin": "xlsb"}
"""Where the list of sheets usually is: for packages whose content types are damaged."""
