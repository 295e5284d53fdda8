"""Tells at the end of a run what each target came to."""

from typing import Any, Final

from tests.fuzz.runs import line

FUZZED: Final = "fuzzed"
"""The property of a test that holds the report of its run: it reaches this process from those that run tests."""


def pytest_terminal_summary(terminalreporter: Any) -> None:
    tests = [test for outcome in ("passed", "failed") for test in terminalreporter.stats.get(outcome, [])]
    found = [report for test in tests for name, report in test.user_properties if name == FUZZED]
    if found:
        terminalreporter.section("fuzzing")
        for report in found:
            terminalreporter.write_line(line(report))
        terminalreporter.write_line(f"{sum(each['inputs'] for each in found):,} inputs in all")
