"""Compiled Programs, kept between runs.

Algorithm. A Program is stored under the hash of everything it was made from: the rule files, this package's version,
the engine and the matching library's version. The file is a head of fixed size (magic, digest of the rest) and the
Program in MessagePack.

Invariants. A file is written beside its place and renamed into it, so that it is whole or not there. What does not
match its digest is never decoded. A cache that cannot be read or written is only a warning: the Program is compiled
again.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from keysentry.__about__ import VERSION
from keysentry.engine.program import EngineName, Program, choose_engine, compile_program
from keysentry.errors import CacheError
from keysentry.installation import cache_folder
from keysentry.rules.load import Source, content_hash, decode

_MAGIC = b"keysentry program 2\n"
_DIGEST = 32
_KEEP = 8
"""How many Programs are kept; of more, those written longest ago are removed."""

Notice = Callable[[str], None]


def load_program(
    sources: Sequence[Source], engine: EngineName = "auto", *, cached: bool = True, notice: Notice | None = None
) -> Program:
    """The Program of some rule files: from the cache, or compiled (and then kept, if `cached`).

    `notice` gets a line for a person when compiling begins and when a cache cannot be used. Raises `RulePackError`
    for faults in the rules.
    """
    tell = notice or (lambda _line: None)
    chosen = choose_engine(engine)
    path = cache_folder() / f"{content_hash(sources, _salt(chosen))}.program"
    if cached and os.path.exists(path):  # noqa: PTH110  pathlib's raises where a folder may not be entered
        try:
            return read_program(path)
        except CacheError as error:
            tell(f"program cache ignored: {error}")
    rule_set = decode(sources)
    kept = f", once (the result is kept in {path.parent})" if cached else ""
    tell(f"compiling {len(rule_set.rules)} rules{kept} ...")
    program = compile_program(rule_set, chosen)
    if cached:
        try:
            write_program(path, program)
        except OSError as error:
            tell(f"program cache not written: {path.parent}: {error.strerror}")
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
    stats: list[tuple[str, int, int]] = []
    for place in (folder, os.path.join(folder, "prefilter")):  # noqa: PTH118
        try:
            with os.scandir(place) as entries:
                found = [(entry.name, entry.stat()) for entry in entries if entry.name.endswith(".py")]
        except OSError:
            continue  # code that cannot be listed is installed code: the version names it
        stats += [(name, status.st_size, status.st_mtime_ns) for name, status in found]
    return hashlib.blake2b(repr(sorted(stats)).encode(), digest_size=8).hexdigest()


def read_program(path: Path) -> Program:
    """Read a stored Program. Raises `CacheError` if it is corrupt, of another version, or cannot be read."""
    place = str(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CacheError(error.strerror or str(error), place=place) from None
    head, digest = content[: len(_MAGIC)], content[len(_MAGIC) : len(_MAGIC) + _DIGEST]
    payload = memoryview(content)[len(_MAGIC) + _DIGEST :]
    if head != _MAGIC:
        raise CacheError("not a stored program of this version", place=place)
    if hashlib.sha256(payload).digest() != digest:
        raise CacheError("damaged: its contents do not match their digest", place=place)
    try:
        program = msgspec.msgpack.decode(payload, type=Program)
        program.prefilter()
    except msgspec.DecodeError as error:
        raise CacheError(str(error), place=place) from None
    return program


def write_program(path: Path, program: Program) -> None:
    """Store a Program, whole or not at all. Raises `OSError` if the folder cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    payload = msgspec.msgpack.encode(program)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    try:
        draft.write_bytes(_MAGIC + hashlib.sha256(payload).digest() + payload)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    _prune(path.parent)


def _prune(folder: Path) -> None:
    stored = sorted(folder.glob("*.program"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in stored[_KEEP:]:
        path.unlink(missing_ok=True)
