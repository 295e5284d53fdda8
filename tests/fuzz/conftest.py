"""Tells at the end of a run what each target came to."""

from typing import Any

import pytest

from tests.fuzz.runs import line

REPORTS: pytest.StashKey[list[dict[str, Any]]] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[REPORTS] = []


@pytest.fixture
def reports(pytestconfig: pytest.Config) -> list[dict[str, Any]]:
    """What the runs have reported so far: a test adds its own."""
    return pytestconfig.stash[REPORTS]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    found = config.stash.get(REPORTS, [])
    if found:
        terminalreporter.section("fuzzing")
        for report in found:
            terminalreporter.write_line(line(report))
        terminalreporter.write_line(f"{sum(each['inputs'] for each in found):,} inputs in all")
