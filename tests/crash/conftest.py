"""The servers of the crash tests."""

from __future__ import annotations

from tests.servers.postgres import postgres

__all__ = ["postgres"]
