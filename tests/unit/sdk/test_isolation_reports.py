"""Reports of an isolated run, of which there may be any number."""

from typing import Any

import pytest

from orchestrator.sdk.isolation import run
from orchestrator.sdk.isolation.run import _Reports


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited after each report."""
    waited: list[float] = []
    monkeypatch.setattr("orchestrator.sdk.isolation.run.time.sleep", waited.append)
    return waited


def test_who_reports_without_end_waits(pauses: list[float]) -> None:
    reports = _Reports(lambda _: None)
    for _ in range(run._MOST_REPORTS + 3):
        reports.take({"note": "again", "fraction": None})

    assert pauses == [run._PAUSE_S] * 3


@pytest.mark.parametrize("content", [[{}] * 100, {"note": [{}] * 100}, "note", None])
def test_what_is_no_report_is_not_passed_on(content: Any) -> None:
    passed: list[Any] = []

    _Reports(passed.append).take(content)

    assert passed == []


def test_beyond_a_number_the_last_report_of_each_kind_is_passed_on_at_the_end() -> None:
    passed: list[Any] = []
    reports = _Reports(passed.append)
    for number in range(run._MOST_REPORTS + 5):
        reports.take({"note": str(number), "fraction": None})
    reports.take({"used": {"model_requests": 1}})
    reports.take({"used": {"model_requests": 2}})
    assert len(passed) == run._MOST_REPORTS

    reports.end()

    assert passed[run._MOST_REPORTS :] == [
        {"note": str(run._MOST_REPORTS + 4), "fraction": None},
        {"used": {"model_requests": 2}},
    ]


def test_kinds_of_reports_that_are_kept_are_few() -> None:
    passed: list[Any] = []
    reports = _Reports(passed.append)
    for number in range(run._MOST_REPORTS + 1_000):
        reports.take({f"kind {number}": 1})

    reports.end()

    assert len(passed) == run._MOST_REPORTS + run._MOST_KINDS
