"""What holds for all tests."""

import pytest
from hypothesis import settings

# The same examples in every run, and no time limit an example: a busy machine must not fail a test.
settings.register_profile("same-everywhere", deadline=None, derandomize=True)
settings.load_profile("same-everywhere")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """No test may be skipped: one that did not run must not look like one that passed."""
    reporter = session.config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
