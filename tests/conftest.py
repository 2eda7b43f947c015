"""What every test shares."""

from __future__ import annotations

import os

import pytest


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI nothing may be skipped: a test that did not run proves nothing."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") != "true" or reporter is None:
        return
    skipped = reporter.stats.get("skipped", [])
    if skipped and session.exitstatus == pytest.ExitCode.OK:
        names = "\n  ".join(sorted({report.nodeid for report in skipped}))
        reporter.write_line(f"CI=true and {len(skipped)} skipped:\n  {names}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
