"""The replies of services, for benchmarks of the orchestrator alone."""

from typing import Any, Final

from orchestrator.clock import unix_micros
from orchestrator.messages import commands, events
from orchestrator.messages.identity import derived_id
from orchestrator.messages.types import Document, Plan, Step
from orchestrator.messages.values import json_value

STEPS: Final = 2
_PLAN: Final = Plan(
    steps=tuple(
        Step(
            step_id=table,
            tool="benchmark.lookup",
            arguments=Document(body=json_value({"item": 1, "table": table})),
        )
        for table in ("prices", "stock")
    )
)


def planned(command: commands.CreatePlan) -> events.PlanCreated:
    """A plan of `STEPS` parallel steps."""
    return events.PlanCreated(**_head(command), plan=_PLAN)


def selected(ready: events.PlanStepReady) -> events.ToolSelected:
    """The tool that the plan names."""
    return events.ToolSelected(**_head(ready), tool=ready.step.tool, timeout_ms=3_600_000)


def cancel(correlation_id: str) -> commands.CancelTask:
    return commands.CancelTask(
        command_id=derived_id("cancel", correlation_id),
        correlation_id=correlation_id,
        occurred_at=unix_micros(),
    )


def _head(request: Any) -> dict[str, Any]:
    """The fields that every reply to a call has."""
    return {
        "event_id": derived_id("answer", request.message_id),
        "correlation_id": request.correlation_id,
        "causation_id": request.message_id,
        "occurred_at": unix_micros(),
        "agent": request.agent,
        "tenant": request.tenant,
        "call": request.call,
    }
