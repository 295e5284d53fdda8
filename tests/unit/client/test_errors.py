"""How a settled session is reported: with an error of its own kind, but for a completed task."""

from typing import Any

import pytest

from orchestrator.client.errors import TaskError, error_of
from orchestrator.messages import events
from orchestrator.saga import SETTLING
from tests.support.samples import sample_of


@pytest.mark.parametrize("kind", [kind for kind in SETTLING if kind is not events.TaskCompleted])
def test_every_other_end_is_an_error(kind: type[Any]) -> None:
    assert isinstance(error_of(sample_of(kind)), TaskError)


def test_a_completed_task_is_no_error() -> None:
    assert error_of(sample_of(events.TaskCompleted)) is None


def test_an_event_that_settles_nothing_is_refused() -> None:
    with pytest.raises(TypeError, match="PlanRequested does not settle a session"):
        error_of(sample_of(events.PlanRequested))
