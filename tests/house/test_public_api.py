"""The front door: `keysentry.__all__` is sorted, complete, and all that it offers."""

from __future__ import annotations

import ast
import subprocess
import sys
import types
from pathlib import Path

import pytest

import keysentry


def test_all_is_sorted_without_doubles() -> None:
    assert list(keysentry.__all__) == sorted(set(keysentry.__all__))


def test_all_is_what_can_be_imported() -> None:
    for name in keysentry.__all__:
        assert getattr(keysentry, name) is not None, name
    public = {
        name
        for name, value in vars(keysentry).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType) and name != "annotations"
    }
    assert public <= set(keysentry.__all__), public - set(keysentry.__all__)


def test_type_checkers_are_told_the_same_names_from_the_same_modules() -> None:
    tree = ast.parse(Path(keysentry.__file__).read_text(encoding="utf-8"))
    told = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert told == keysentry._HOMES
    assert told.keys() | {"__version__"} == set(keysentry.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Scaner'"):
        _ = keysentry.Scaner


def test_dir_offers_every_name() -> None:
    assert set(keysentry.__all__) <= set(dir(keysentry))


def test_importing_the_package_stays_cheap() -> None:
    """What a program pays that only imports keysentry: none of the heavy libraries."""
    code = "import sys, keysentry; print(' '.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {
        "numpy",
        "rich",
        "cryptography",
        "zipfile",
        "tarfile",
        "csv",
        "stdnum",
        "hyperscan",
        "msgspec",
        "sqlalchemy",
        "asyncio",
    }
    assert not heavy & set(loaded)


def test_every_error_is_of_the_package() -> None:
    names = [name for name in keysentry.__all__ if name.endswith("Error")]
    assert "KeysentryError" in names
    for name in names:
        assert issubclass(getattr(keysentry, name), keysentry.KeysentryError)
