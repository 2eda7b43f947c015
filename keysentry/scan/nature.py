"""What kind of place a file is, from its name and its first bytes; asked only where something was found."""

from __future__ import annotations

import re
from functools import lru_cache

from keysentry.engine.score import Nature, Place

_JSON = frozenset(("json", "jsonl", "ndjson", "ipynb", "har", "geojson", "webmanifest", "map", "tfstate"))
_CODE = """
    py pyi pyx js jsx ts tsx mjs cjs java kt kts scala groovy go rs c h cc cpp hpp cxx m mm cs vb fs rb php swift pl pm
    lua r jl dart ex exs erl hs clj vue svelte sol sql psql asm s f90 pas ps1 psm1 gradle
"""
_CONFIG = """
    env yaml yml toml ini cfg conf config properties xml plist tf tfvars hcl sh bash zsh fish bat cmd dockerfile json
    jsonc service netrc npmrc pypirc pgpass htpasswd rc cnf reg nix
"""
_PLACES: dict[Place, str] = {"code": _CODE, "config": _CONFIG, "cell": "csv tsv"}
_EXTENSIONS = {extension: place for place, extensions in _PLACES.items() for extension in extensions.split()}
_TEST = re.compile(
    r"(?:^|[/\\_.-])(?:tests?|testdata|spec|specs|fixtures?|mocks?|examples?|samples?|docs?|demo|e2e|__tests__)(?:[/\\_.-]|$)",
    re.IGNORECASE,
)

_NULS = 200
"""One NUL in so many bytes makes a file binary; a stray one in a log does not."""


@lru_cache(1024)
def _of_name(name: str) -> tuple[str, Place, bool]:
    last = name.replace("\\", "/").rpartition("/")[2].lower()
    extension = last.rpartition(".")[2]
    place = _EXTENSIONS.get(extension, "text")
    if last.startswith((".env", "dockerfile", "makefile")):
        place = "config"
    return extension, place, _TEST.search(name) is not None


def nature_of(name: str, head: bytes) -> Nature:
    """The nature of a file, from its name (the part below what the user named) and its first bytes."""
    extension, place, test = _of_name(name)
    if head.count(b"\x00") * _NULS > len(head):
        return Nature(place="binary", test=test)
    json = extension in _JSON or (place == "text" and head.lstrip()[:1] in (b"{", b"["))
    return Nature(json=json, place=place, test=test)


def is_lines_of_json(name: str) -> bool:
    """Whether each line of a file is a JSON document of its own, by its name."""
    return _of_name(name)[0] in ("jsonl", "ndjson")
