"""Compiled Programs, kept between runs.

Algorithm. A Program is stored under the hash of everything it was made from: the rule files, this package's version,
the engine and the matching library's version. The file is a head of fixed size (magic, checksum of the rest) and the
Program in MessagePack. For the built-in rules an index beside it remembers the files' names, sizes and times, so that
they need not be read at every start.

Invariants. A file is written beside its place and renamed into it, so that it is whole or not there. What does not
match its checksum is never decoded. A cache that cannot be read or written is only a warning: the Program is compiled
again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING
from zlib import crc32

import msgspec

from keysentry.__about__ import VERSION
from keysentry.engine.program import EngineName, Program, choose_engine, compile_program
from keysentry.errors import CacheError
from keysentry.installation import cache_folder
from keysentry.rules.load import Source, built_in_root, built_in_sources, content_hash, decode

if TYPE_CHECKING:
    from pathlib import Path

_MAGIC = b"keysentry program 3\n"
_DIGEST = 4
_KEEP = 8
"""How many Programs are kept; of more, those written longest ago are removed."""

Notice = Callable[[str], None]


def load_built_in(
    pack: str, engine: EngineName = "auto", *, cached: bool = True, notice: Notice | None = None
) -> Program:
    """The Program of a named set of the built-in rules; as `load_program`, but their files are only read if one of
    them has changed. Raises `ConfigError` for a set that does not exist.
    """
    if not cached:
        return load_program(built_in_sources(pack), engine, cached=False, notice=notice)
    chosen = choose_engine(engine)
    folder = cache_folder()
    index = f"{folder}/{pack}.{chosen}.index"
    state = _state(built_in_root(), chosen)
    try:
        with open(index, encoding="utf-8") as file:  # noqa: PTH123  at every start: pathlib would take longer
            name, _, stored = file.read().partition("\n")
        if stored == state:
            return read_program(f"{folder}/{name}")
    except (OSError, UnicodeDecodeError, CacheError):
        pass  # what is wrong with a Program is told by the long way
    sources = built_in_sources(pack)
    program = load_program(sources, engine, notice=notice)
    name = f"{content_hash(sources, _salt(chosen))}.program"
    draft = f"{index}.{os.getpid()}"
    try:
        with open(draft, "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write(f"{name}\n{state}")
        os.replace(draft, index)  # noqa: PTH105
    except OSError:
        pass  # it was told that the cache cannot be written
    return program


def _state(root: str, engine: str) -> str:
    """What the built-in rules' files look like from outside: it changes when one of them does."""
    return f"{_salt(engine)}\n{root}\n{sorted(_stats(root, '.toml'))!r}"


def load_program(
    sources: Sequence[Source], engine: EngineName = "auto", *, cached: bool = True, notice: Notice | None = None
) -> Program:
    """The Program of some rule files: from the cache, or compiled (and then kept, if `cached`).

    `notice` gets a line for a person when compiling begins and when a cache cannot be used. Raises `RulePackError`
    for faults in the rules.
    """
    tell = notice or (lambda _line: None)
    chosen = choose_engine(engine)
    path = f"{cache_folder()}/{content_hash(sources, _salt(chosen))}.program"
    if cached and os.path.exists(path):  # noqa: PTH110  pathlib's raises where a folder may not be entered
        try:
            return read_program(path)
        except CacheError as error:
            tell(f"program cache ignored: {error}")
    rule_set = decode(sources)
    kept = f", once (the result is kept in {cache_folder()})" if cached else ""
    tell(f"compiling {len(rule_set.rules)} rules{kept} ...")
    program = compile_program(rule_set, chosen)
    if cached:
        try:
            write_program(path, program)
        except OSError as error:
            tell(f"program cache not written: {cache_folder()}: {error.strerror}")
    return program


def _salt(engine: str) -> str:
    version = VERSION
    if engine == "vectorscan":
        from keysentry.engine.prefilter import vectorscan

        version += " " + vectorscan.VERSION
    return f"{engine} {version} {_code_digest()}"


def _code_digest() -> str:
    """Changes when the compiler's own code does, so that a changed checkout never runs a stale Program."""
    folder = os.path.dirname(__file__)  # noqa: PTH120  at every start: pathlib would take longer
    return f"{crc32(repr(sorted(_stats(folder, '.py'))).encode()):08x}"


def _stats(folder: str, ending: str) -> Iterator[tuple[str, int, int]]:
    """Name, size and time of the files with an ending in a folder and below it."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(ending):
                    status = entry.stat()
                    yield entry.path, status.st_size, status.st_mtime_ns
                elif entry.is_dir() and entry.name != "__pycache__":
                    yield from _stats(entry.path, ending)
    except OSError:
        return  # code that cannot be listed is installed code: the version names it


def read_program(path: str | Path) -> Program:
    """Read a stored Program. Raises `CacheError` if it is corrupt, of another version, or cannot be read."""
    place = str(path)
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            content = file.read()
    except OSError as error:
        raise CacheError(error.strerror or str(error), place=place) from None
    head, digest = content[: len(_MAGIC)], content[len(_MAGIC) : len(_MAGIC) + _DIGEST]
    payload = memoryview(content)[len(_MAGIC) + _DIGEST :]
    if head != _MAGIC:
        raise CacheError("not a stored program of this version", place=place)
    if crc32(payload).to_bytes(_DIGEST, "big") != digest:
        raise CacheError("damaged: its contents do not match their checksum", place=place)
    try:
        program = msgspec.msgpack.decode(payload, type=Program)
        program.prefilter()
    except msgspec.DecodeError as error:
        raise CacheError(str(error), place=place) from None
    return program


def write_program(place: str | Path, program: Program) -> None:
    """Store a Program, whole or not at all. Raises `OSError` if the folder cannot be written."""
    from pathlib import Path

    path = Path(place)
    path.parent.mkdir(parents=True, exist_ok=True)
    payload = msgspec.msgpack.encode(program)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    try:
        draft.write_bytes(_MAGIC + crc32(payload).to_bytes(_DIGEST, "big") + payload)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    _prune(path.parent)


def _prune(folder: Path) -> None:
    stored = sorted(folder.glob("*.program"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in stored[_KEEP:]:
        path.unlink(missing_ok=True)
