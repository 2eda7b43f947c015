"""Compiled Programs are kept between runs, and a cache that cannot be used is a notice and never a failure."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from zlib import crc32

import pytest

from keysentry.engine import cache
from keysentry.engine.cache import load_program, read_program
from keysentry.engine.program import Program, choose_engine, compile_program
from keysentry.errors import CacheError, ConfigError, RulePackError
from keysentry.rules.forge import forge
from keysentry.rules.load import Source, decode
from keysentry.scan.scanner import Scanner
from tests.engine import compiled

RULE = """
[provider]
id = "acme"
name = "Acme"

[[rule]]
id = "acme.key"
title = "Acme key"
pattern = '''\\b(?P<secret>acme_[0-9a-f]{32})\\b'''
"""
TEXT = "use acme_" + forge("{hex:32}", random.Random(1))


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("KEYSENTRY_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(params=compiled.ENGINES)
def engine(request):
    return request.param


def sources(text: str = RULE, name: str = "acme") -> list[Source]:
    return [Source(f"/some/where/{name}.toml", name, text.encode())]


def load(engine: str, **changes) -> tuple[Program, list[str]]:
    told: list[str] = []
    return load_program(changes.pop("sources", sources()), engine, notice=told.append, **changes), told


def stored(folder: Path) -> Path:
    [path] = folder.glob("*.program")
    return path


def test_the_second_time_nothing_is_compiled(folder, engine):
    first, told = load(engine)
    assert [line.partition(" ")[0] for line in told] == ["compiling"]
    second, told = load(engine)
    assert told == []
    assert second == first
    assert sorted(path.name for path in folder.iterdir()) == [stored(folder).name]


def test_other_rules_or_another_engine_are_another_program(folder, engine):
    load(engine)
    assert load(engine, sources=sources(RULE.replace("Acme key", "Acme token")))[1]
    assert load(engine, sources=sources(name="other"))[1]
    assert len(list(folder.glob("*.program"))) == 3
    other = next(name for name in compiled.ENGINES if name != engine)
    assert load(other)[1]


def test_the_path_of_a_file_does_not_matter(folder, engine):
    load(engine)
    assert load(engine, sources=[Source("/else/where.toml", "acme", RULE.encode())])[1] == []


def test_another_version_of_keysentry_compiles_again(folder, engine, monkeypatch):
    load(engine)
    monkeypatch.setattr(cache, "VERSION", "99.0")
    assert load(engine)[1]


def damage_flip(content: bytes) -> bytes:
    return content[:-9] + bytes((content[-9] ^ 1,)) + content[-8:]


DAMAGE = {
    "a bit": (damage_flip, "do not match their checksum"),
    "cut short": (lambda content: content[: len(content) // 2], "do not match their checksum"),
    "cut very short": (lambda content: content[:10], "not a stored program"),
    "empty": (lambda _content: b"", "not a stored program"),
    "something else": (lambda _content: b"hello" * 100, "not a stored program"),
    "another form": (
        lambda content: content.replace(b"keysentry program", b"keysentry engraph"),
        "not a stored program",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_file_is_told_and_made_again(folder, engine, name):
    change, told_of_it = DAMAGE[name]
    first, _ = load(engine)
    path = stored(folder)
    path.write_bytes(change(path.read_bytes()))
    again, told = load(engine)
    assert again == first
    assert [line.partition(" ")[0] for line in told] == ["program", "compiling"]
    assert told_of_it in told[0]
    assert str(path) in told[0]
    assert load(engine)[1] == []


def test_a_file_with_a_right_checksum_and_wrong_contents(folder, engine, monkeypatch):

    load(engine)
    for payload in (b"\x93\x01\x02\x03", b"not msgpack at all", b"\x80"):
        path = stored(folder)
        path.write_bytes(cache._MAGIC + crc32(payload).to_bytes(4, "big") + payload)
        with pytest.raises(CacheError):
            read_program(path)
        assert [line.partition(" ")[0] for line in load(engine)[1]] == ["program", "compiling"]


def test_a_database_that_the_library_does_not_take(folder):
    program, _ = load("vectorscan")
    path = stored(folder)
    import msgspec

    cache.write_program(path, msgspec.structs.replace(program, database=b"no database" * 9))
    again, told = load("vectorscan")
    assert "Vectorscan database cannot be used" in told[0]
    assert again.prefilter().events(TEXT.encode())


def test_a_folder_that_cannot_be_made(tmp_path, engine, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("KEYSENTRY_CACHE_DIR", str(tmp_path / "file" / "cache"))
    program, told = load(engine)
    assert [line.partition(":")[0] for line in told][1:] == ["program cache not written"]
    assert str(tmp_path / "file" / "cache") in told[1]
    assert program.prefilter().events(TEXT.encode())


def test_a_folder_in_the_place_of_the_file(folder, engine):
    load(engine)
    path = stored(folder)
    path.unlink()
    path.mkdir()
    program, told = load(engine)
    assert [line.partition(" ")[0] for line in told] == ["program", "compiling", "program"]
    assert program.rules
    assert list(folder.iterdir()) == [path], "nothing half written is left behind"


@pytest.mark.skipif(os.name != "posix", reason="needs users and permissions")
def test_a_folder_that_this_user_may_not_enter(folder, tmp_path):
    """Run as a user who owns nothing, where this is root; otherwise as this one."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000)
    # A user who owns nothing may not be allowed to read the interpreter's packages: everything is used once before.
    script = f"""
import os, pathlib, hashlib
from keysentry.engine.cache import load_program
from keysentry.rules.load import Source
sources = [Source("acme", "acme", {RULE!r}.encode())]
load_program(sources, "ahocorasick", cached=False)
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
os.environ["KEYSENTRY_CACHE_DIR"] = {str(closed / "cache")!r}
told = []
program = load_program(sources, "ahocorasick", notice=told.append)
print(len(program.rules), told[-1])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    closed.chmod(0o700)
    assert done.stderr == ""
    assert done.stdout.startswith("1 program cache not written")


@pytest.fixture
def packs(tmp_path, monkeypatch) -> Path:
    root = tmp_path / "packs"
    root.mkdir()
    (root / "packs.toml").write_text('[default]\ntitle = "all"\ninclude = ["*"]\n')
    (root / "acme.toml").write_text(RULE)
    monkeypatch.setattr(cache, "built_in_root", lambda: str(root))
    monkeypatch.setattr("keysentry.rules.load.built_in_root", lambda: str(root))
    return root


def test_built_in_rules_are_not_read_again_until_a_file_changes(folder, engine, packs, monkeypatch):
    first = cache.load_built_in("default", engine)
    monkeypatch.setattr(cache, "built_in_sources", lambda _pack: pytest.fail("the files were read"))
    assert cache.load_built_in("default", engine) == first
    monkeypatch.undo()
    monkeypatch.setenv("KEYSENTRY_CACHE_DIR", str(folder))
    monkeypatch.setattr(cache, "built_in_root", lambda: str(packs))
    monkeypatch.setattr("keysentry.rules.load.built_in_root", lambda: str(packs))
    changes = (
        lambda: (packs / "acme.toml").write_text(RULE.replace("Acme key", "Acme kay")),
        lambda: (packs / "more.toml").write_text(RULE.replace("acme", "emca")),
        lambda: (packs / "packs.toml").write_text('[default]\ntitle = "all"\ninclude = ["more"]\n'),
    )
    titles = []
    for change in changes:
        change()
        titles.append(sorted(rule.rule.id + rule.rule.title for rule in cache.load_built_in("default", engine).rules))
    assert titles == [
        ["acme.keyAcme kay"],
        ["acme.keyAcme kay", "emca.keyAcme key"],
        ["emca.keyAcme key"],
    ]


def test_an_index_that_leads_nowhere_is_made_again(folder, engine, packs):
    first = cache.load_built_in("default", engine)
    stored(folder).unlink()
    assert cache.load_built_in("default", engine) == first
    [index] = folder.glob("*.index")
    index.write_bytes(b"\xff\xfe")
    assert cache.load_built_in("default", engine) == first


def test_without_a_cache(folder, engine):
    assert load(engine, cached=False)[1] == ["compiling 1 rules ..."]
    assert not folder.exists()


def test_faults_in_rules_are_raised(folder, engine):
    with pytest.raises(RulePackError, match=r"acme\.key"):
        load(engine, sources=sources(RULE.replace("(?P<secret>", "(")))
    assert not folder.exists()


def test_only_the_newest_are_kept(folder):
    for number in range(cache._KEEP + 4):
        load("ahocorasick", sources=sources(name=f"n{number}"))
        for path in folder.glob("*.program"):  # each older than the next, whatever the clock's steps
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 10))
    assert len(list(folder.iterdir())) == cache._KEEP
    assert load("ahocorasick", sources=sources(name=f"n{cache._KEEP + 3}"))[1] == []
    assert load("ahocorasick", sources=sources(name="n0"))[1] != []


def test_processes_at_once(folder):
    script = f"""
import sys
from keysentry.engine.cache import load_program
from keysentry.rules.load import Source
for n in range(12):
    program = load_program([Source("a", f"n{{n % 3}}", {RULE!r}.encode())], "vectorscan", notice=None)
    assert program.prefilter().events({TEXT!r}.encode())
"""
    running = [subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE) for _ in range(3)]
    errors = [process.communicate(timeout=60)[1] for process in running]
    assert errors == [b"", b"", b""]
    assert [path.suffix for path in folder.iterdir()] == [".program"] * 3


def test_the_scanner_uses_it(folder, tmp_path):
    (tmp_path / "acme.toml").write_text(RULE)
    told: list[str] = []
    for _ in range(2):
        scanner = Scanner.load(pack=None, rule_files=[tmp_path / "acme.toml"], key=compiled.KEY, notice=told.append)
        assert [finding.rule for finding in scanner.scan_text(TEXT)] == ["acme.key"]
    assert len(told) == 1


def test_a_scanner_without_rules():
    with pytest.raises(ConfigError, match="no rules to scan with"):
        Scanner.load(pack=None)


def test_an_engine_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "hyperscan", None)
    assert choose_engine("auto") == "ahocorasick"
    assert choose_engine("ahocorasick") == "ahocorasick"
    with pytest.raises(ConfigError, match="pip install hyperscan"):
        choose_engine("vectorscan")


def test_a_rule_that_cannot_be_looked_for(engine):
    for pattern in ("(?P<secret>[0-9a-f]{32})", "(?P<secret>.{4,9})"):
        rules = decode(sources(RULE.replace("\\b(?P<secret>acme_[0-9a-f]{32})\\b", pattern)))
        with pytest.raises(RulePackError, match=r"acme\.key: pattern: no literal of two characters.*add anchors"):
            compile_program(rules, engine)


def test_anchors_where_the_expression_says_nothing(engine):
    """Syntax that only the confirming library knows is looked for by the rule's own anchors."""
    text = RULE.replace("\\b(?P<secret>acme_[0-9a-f]{32})\\b", "(?|acme|ACME)_(?P<secret>[0-9a-f]{32})")
    scanner = compiled.own(text + 'anchors = ["acme"]\n', engine)
    assert [finding.rule for finding in scanner.scan_text(TEXT)] == ["acme.key"]
