"""The front door: `keysentry.__all__` is sorted, complete, and all that it offers."""

from __future__ import annotations

import subprocess
import sys
import types

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
        "sqlalchemy",
        "asyncio",
    }
    assert not heavy & set(loaded)


def test_every_error_is_of_the_package() -> None:
    names = [name for name in keysentry.__all__ if name.endswith("Error")]
    assert "KeysentryError" in names
    for name in names:
        assert issubclass(getattr(keysentry, name), keysentry.KeysentryError)
