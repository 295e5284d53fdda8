"""What a command has done is said, and not done again, where its result cannot be written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import Installation
from tests.unit.cli.streams import Streams, full, unread
from tests.unit.cli.test_following import answering, completed, failed, task_of

SESSION = "0190b5a4-1111-7abc-8def-0123456789ab"
DOING = {
    ("submit", "why?"): "was submitted",
    ("cancel", SESSION, "--force"): f"cancellation was requested for session {SESSION}",
    ("agents", "apply", "kitchen"): "the agents and playbooks are defined",
    ("topics", "apply"): "the topics match the catalogue",
    ("schemas", "apply"): "the schemas are registered",
    ("acls", "apply", "submitter"): "the principals have the rights that they need",
}
"""Commands that change something, and how they say it."""
FULL = "standard output cannot be written: No space left on device"


@pytest.fixture(autouse=True)
def servers(installation: Installation, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the embedded cluster has not: it takes schemas and rights, and has its topics."""
    place.joinpath("kitchen").mkdir()
    place.joinpath("kitchen/cook.yaml").write_text("agent: cook\n")

    def nothing(*_given: Any, **_more: Any) -> tuple[()]:
        return ()

    monkeypatch.setattr("orchestrator.operations.schemas.apply_schemas", nothing)
    monkeypatch.setattr("orchestrator.operations.topics.apply_topics", nothing)
    monkeypatch.setattr("orchestrator.operations.acls.plan_acls", nothing)
    monkeypatch.setattr("orchestrator.operations.acls.apply_acls", nothing)


@pytest.mark.parametrize("words", DOING, ids=" ".join)
@pytest.mark.parametrize(("out", "code", "why"), [(full, 6, FULL), (unread, 141, "nobody reads")])
class TestDone:
    def test_it_is_said_on_stderr(
        self, streams: Streams, out: Callable[[], int], code: int, why: str, words: tuple[str, ...]
    ) -> None:
        ended, errors = streams.ends(out(), *words)

        (line,) = errors.splitlines()
        assert ended == code
        assert f"{DOING[words]}, but {why}" in line

    def test_programs_get_the_result_with_the_error(
        self, streams: Streams, out: Callable[[], int], code: int, why: str, words: tuple[str, ...]
    ) -> None:
        ended, errors = streams.ends(out(), *words, "-o", "json")

        error = json.loads(errors)["error"]
        assert (ended, error["type"]) == (code, "result_lost")
        assert why in error["message"]
        assert "result" in error


def test_the_id_of_a_submitted_task_is_not_lost(streams: Streams, installation: Installation) -> None:
    _, errors = streams.ends(full(), "submit", "not lost", "-o", "json")

    error = json.loads(errors)["error"]
    session = task_of(installation, "not lost").correlation_id
    assert error["result"] == {"correlation_id": session}
    assert f"session {session} was submitted" in error["message"]


def test_a_task_that_has_completed_is_not_taken_for_one_that_failed(
    streams: Streams, installation: Installation
) -> None:
    with answering(installation, "completes", completed):
        code, errors = streams.ends(
            full(), "submit", "completes", "--wait", "--timeout", "60s", "--no-progress"
        )

    session = task_of(installation, "completes").correlation_id
    assert code == 6
    assert (
        f"session {session} has completed (`orchestrator sessions show {session}` shows its result)" in errors
    )


def test_a_task_that_failed_has_failed_whoever_hears_of_it(
    streams: Streams, installation: Installation
) -> None:
    with answering(installation, "fails", failed):
        code, errors = streams.ends(full(), "submit", "fails", "--wait", "-o", "json")

    warning, error = errors.splitlines()
    assert code == 1
    assert FULL in warning
    assert json.loads(error)["error"]["type"] == "task_failed"
