"""What a field means is read from where it is told once: the docstring of its type."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from keysentry.config import field_docs, fields_of, platform_options
from keysentry.config.variables import TABLES
from keysentry.connectors import PLATFORMS
from keysentry.connectors.base import SourceOptions
from tests.config.acme import Options

DOCS = Path(__file__).parents[2] / "docs"
PRESENT = [
    one.name
    for one in PLATFORMS
    if (Path(__file__).parents[2] / "keysentry" / "connectors" / one.name / "__init__.py").is_file()
]


def test_sentences_of_the_class_docstring_and_docstrings_of_fields() -> None:
    docs = field_docs(Options)
    assert docs["workspace"] == "the name in the address of the workspace"
    assert docs["token"] == docs["signing_key"] == "what the app was given"
    assert docs["page"] == "messages a call; more is refused"
    assert docs["folders"] == "Folders with exports. They are read first"


def test_words_of_a_base_hold_for_what_is_derived() -> None:
    docs = field_docs(Options)
    assert docs["poll"] == "seconds between two passes"
    assert docs["exclude"] == "globs on the titles of units that are not read"
    assert docs["base_url"].endswith("(a proxy, a sovereign cloud, an emulator)")
    assert "mode" not in docs and "threads" not in docs


def test_a_loose_docstring_gives_the_clause_that_mentions_a_field() -> None:
    class Loose(msgspec.Struct):
        """Things, of which `one` is the first; values below `two` count as none. Nothing of `three` is known."""

        one: int = 1
        two: int = 2
        three: int = 3

    assert field_docs(Loose) == {
        "one": "Things, of which `one` is the first",
        "two": "values below `two` count as none",
        "three": "Nothing of `three` is known",
    }


def test_what_a_field_is() -> None:
    fields = {field.name: field for field in fields_of(Options)}
    assert [name for name, field in fields.items() if field.required] == ["name", "workspace"]
    assert [name for name, field in fields.items() if field.credential] == ["token", "signing_key"]
    assert [name for name, field in fields.items() if field.path] == ["key_file", "folders"]
    assert fields["token"].variables == ("ACME_TOKEN", "ACME_OLD_TOKEN")
    assert fields["mode"].choices == ("poll", "socket") and fields["mode"].scalar
    assert fields["kinds"].choices == ("public", "private") and not fields["kinds"].scalar
    assert not fields["window"].scalar


@pytest.mark.parametrize("options", [*TABLES.values(), SourceOptions], ids=lambda options: options.__name__)
def test_every_setting_of_ours_is_explained_and_told_in_the_docs(options) -> None:
    page = (DOCS / "config.md").read_text(encoding="utf-8")
    for field in fields_of(options):
        assert field.text, f"{options.__name__}.{field.name} has no words in its docstring"
        assert f"| `{field.name}` |" in page


@pytest.mark.parametrize("name", PRESENT)
def test_every_setting_of_a_platform_is_explained_and_told_in_its_page(name: str) -> None:
    options = platform_options(name)
    assert (DOCS / f"{name}.md").is_file(), f"there is no page docs/{name}.md"
    page = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    shared = {field.name for field in fields_of(SourceOptions)}
    for field in fields_of(options):
        assert field.text, f"{name}: {field.name} has no words in the docstring of its Options"
        assert field.name in shared or f"`{field.name}`" in page, f"docs/{name}.md says nothing of {field.name}"
        for variable in field.variables:
            assert variable in page, f"docs/{name}.md says nothing of the variable {variable}"
