"""Templates: what they can say, what is wrong with a faulty one, and that every language says the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysentry.errors import ConfigError
from keysentry.response.notify.texts import BUILT_IN, KINDS, NAMES, WORDS, Texts, fill, parse, parse_words
from tests.response.notify.facts import LANGUAGES


def text(template: str, **values: str) -> str:
    return parse(template, "x.txt").text(values)


def test_every_language_is_there_with_every_text_and_word() -> None:
    assert Texts().languages() == LANGUAGES
    for language in LANGUAGES:
        assert {path.stem for path in (BUILT_IN / language).iterdir()} == {*KINDS, "words"}
        words = parse_words((BUILT_IN / language / "words.txt").read_text(encoding="utf-8"), language)
        assert set(words) == WORDS
    assert not list(Texts().faults())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", [one for one in LANGUAGES if one != "en"])
def test_every_language_asks_for_the_same_names_in_the_same_lines(kind: str, language: str) -> None:
    texts = Texts()
    english, other = texts.template("en", kind), texts.template(language, kind)
    assert other.names == english.names
    assert [line.conditions for line in other.lines] == [line.conditions for line in english.lines]
    assert [line.conditions for line in other.subjects] == [line.conditions for line in english.subjects]


def test_every_name_is_used_somewhere_or_of_use_to_a_users_own_text() -> None:
    used = frozenset().union(*(Texts().template("en", kind).names for kind in KINDS))
    assert used <= NAMES
    assert {"source", "private"} >= NAMES - used


def test_lines_stand_under_their_conditions() -> None:
    template = "[author]Hello {author},\n[!author]Hello,\n\n[one][held]gone\n[many]many\nend"
    assert text(template, author="Ann", one="yes", held="yes") == "Hello Ann,\n\ngone\nend"
    assert text(template, one="yes") == "Hello,\n\nend"


def test_lines_that_are_left_out_leave_no_gap() -> None:
    assert text("a\n\n[held]b\n\n[held]c\n\nd\n") == "a\n\nd"


def test_a_backslash_joins_what_stands() -> None:
    template = "a \\\n[held]b \\\nc"
    assert text(template) == "a c"
    assert text(template, held="yes") == "a b c"


def test_braces_are_written_twice_and_comments_and_brackets_are_plain() -> None:
    assert text("# a note\n{{place}} [1] [TODO]", place="x") == "{place} [1] [TODO]"


@given(value=st.text(max_size=40))
def test_a_value_is_never_read_as_a_template(value: str) -> None:
    assert fill("<{place}>", {"place": value, "title": "no"}) == f"<{value}>"


def test_a_value_that_ends_with_a_backslash_joins_nothing() -> None:
    assert text("{place}\nend", place="C:\\") == "C:\\\nend"


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("ok\nin {plaec}", "x.txt:2: there is nothing called {plaec} (did you mean place?)"),
        ("[hold]ok", "x.txt:1: there is nothing called [hold] (did you mean held?)"),
        ("ok\n\nin {Place}", "x.txt:3: a brace that belongs to no name, at '{Place}'"),
        ("a } b", "x.txt:1: a brace that belongs to no name"),
        ("Subject: {titel}\nok", "x.txt:1: there is nothing called {titel} (did you mean title?)"),
        ("# nothing\n\n", "x.txt: the text is empty"),
    ],
)
def test_a_fault_names_the_file_the_line_and_the_name(template: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(template, "x.txt")
    assert str(caught.value).startswith(words)


def test_words_are_held_to_their_keys_and_names() -> None:
    for content, words in (
        ("severity.hihg: x", "did you mean severity.high?"),
        ("severity.high", "a key, a colon and a text"),
        ("item: {nothinga}", "there is nothing called"),
    ):
        with pytest.raises(ConfigError, match=words.replace("?", r"\?")):
            parse_words(content, "words.txt")


def write(folder: Path, name: str, content: str | bytes) -> None:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())


def test_a_folder_replaces_single_files_and_words(tmp_path: Path) -> None:
    write(tmp_path, "de/placeholder.txt", "Weg. {incidents}")
    write(tmp_path, "de/words.txt", "severity.high: Schlimm")
    texts = Texts(tmp_path)
    assert texts.template("de", "placeholder").text({"incidents": "inc_1"}) == "Weg. inc_1"
    assert texts.template("de", "author") == Texts().template("de", "author")
    assert texts.word("de", "severity.high") == "Schlimm"
    assert texts.word("de", "severity.low") == Texts().word("de", "severity.low")
    assert not list(texts.faults())


def test_a_folder_may_bring_a_language_of_its_own(tmp_path: Path) -> None:
    write(tmp_path, "nl/placeholder.txt", "Weg. {incidents}")
    texts = Texts(tmp_path)
    assert texts.template("nl", "placeholder").text({}) == "Weg."
    assert texts.word("nl", "severity.high") == "high"
    with pytest.raises(ConfigError, match=r"nl/author\.txt: there is no such text"):
        texts.template("nl", "author")


def test_regions_are_their_language_and_unknown_ones_are_told() -> None:
    assert Texts().language("de-AT") == "de" and Texts().language("JA") == "ja" and Texts().language("fr_CA") == "fr"
    with pytest.raises(ConfigError, match="no texts in the language 'xx'"):
        Texts().template("xx", "author")


def test_all_faults_of_a_folder_are_told(tmp_path: Path) -> None:
    write(tmp_path, "en/author.txt", "{nobody}")
    write(tmp_path, "en/chanel.txt", "x")
    write(tmp_path, "en/words.txt", b"severity.high: \xff")
    found = [str(fault) for fault in Texts(tmp_path).faults()]
    assert [Path(one.partition(": ")[0].partition(":")[0]).name for one in found] == [
        "author.txt",
        "chanel.txt",
        "words.txt",
    ]
    assert "not UTF-8" in found[2]
    assert [str(fault) for fault in Texts(tmp_path / "none").faults()] == [
        f"{tmp_path / 'none'}: there is no such folder"
    ]
