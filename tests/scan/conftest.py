"""What the tests of the engine share: the compiled built-in rules, one Scanner an engine."""

from __future__ import annotations

import pytest

from tests.engine import compiled


@pytest.fixture(scope="session")
def scanner():
    return compiled.scanner()


@pytest.fixture(scope="session", params=compiled.ENGINES)
def each_scanner(request):
    """The Scanner of every engine."""
    return compiled.scanner(request.param)
