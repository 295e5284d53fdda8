"""A session with a step whose inputs fit into no record, so that they go through the value store."""

from typing import Any, Final

from msgspec.structs import replace

from orchestrator.messages import commands, events
from orchestrator.messages.base import Message
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.values import json_value
from orchestrator.testing.scenario import plan, step
from tests.support.saga_lab import Running, SagaLab
from tests.support.workers import until

RECORD_BYTES: Final = 20_000
"""For the loop, as its limit of a record."""
_PART: Final = "x" * 12_000
"""One fits into a record, two do not."""


def begin(lab: SagaLab, *names: str, **fields: Any) -> None:
    """Submits tasks, and waits until their plans are requested."""
    lab.submit(*names, **fields)
    for name in names:
        lab.until_history(name, "PlanRequested")


def plan_with_large_inputs(lab: SagaLab, session: str) -> None:
    """Two steps, and a third whose inputs are what both return. The last record of the session is the second reply."""
    [command] = [each for each in lab.outputs(session) if isinstance(each, commands.CreatePlan)]
    [created] = lab.replies(command)
    lab.send(replace(created, plan=plan("a", "b", step("c", uses={"x": "a", "y": "b"}))))
    for index, name in enumerate("ab"):
        lab.until_history(session, "PlanStepReady", count=index + 1)
        selected, completed = lab.replies(ready(lab, session, name))
        lab.send(selected, replace(completed, output=json_value(_PART)))


def ready(lab: SagaLab, session: str, step_id: str) -> Message:
    found = [event for event in lab.history(session) if isinstance(event, events.PlanStepReady)]
    return next(event for event in found if event.step.step_id == step_id)


def until_waiting(running: Running, what: str) -> None:
    until(lambda: f"{what} wait" in (running.loop.problem or ""), f"{what} wait for the store")


def last_event(lab: SagaLab, partition: int) -> int:
    """The offset of the last record of a partition of the events that is no marker of a transaction."""
    found = [record.offset for record in lab.installation.read(Topic.EVENTS) if record.partition == partition]
    return max(found)
