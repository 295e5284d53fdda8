"""What a history says by itself, and that a runtime without one says so."""

import pytest

from orchestrator.messages import events
from orchestrator.messages.types import Plan
from orchestrator.sdk import ConfigurationError, History, ServiceContext
from tests.support.samples import sample_of
from tests.unit.services.support import World


def test_the_plan_is_the_one_accepted_last() -> None:
    first, second = Plan(rationale="first"), Plan(rationale="second")
    happened = (
        sample_of(events.PlanAccepted, plan=first),
        sample_of(events.PlanAccepted, plan=second),
        sample_of(events.PlanRequested),
    )

    assert History(happened, ()).plan == second


def test_before_a_plan_is_accepted_there_is_none() -> None:
    assert History((sample_of(events.PlanRequested),), ()).plan is None


async def test_a_runtime_that_cannot_read_says_what_can() -> None:
    context = ServiceContext("alerts", sample_of(events.ToolFailed), World().platform)

    with pytest.raises(ConfigurationError, match="run the plug-in with `orchestrator run` or in a Harness"):
        await context.history()
