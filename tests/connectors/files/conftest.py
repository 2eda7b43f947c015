"""What the tests of files share: one Scanner."""

from __future__ import annotations

import pytest

from keysentry.scan.scanner import Scanner
from tests.engine import compiled


@pytest.fixture(scope="session")
def scanner() -> Scanner:
    return compiled.scanner()
