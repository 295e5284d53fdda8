"""Reviews of the safety monitor, by rules of a file."""

from pathlib import Path
from typing import Any

from orchestrator_services import safety_monitor

from orchestrator.messages import events
from orchestrator.messages.types import CallKind, ToolDefinition
from orchestrator.sdk import Plan, PlanStep, Plugins
from tests.unit.services.support import World, call, event

RULES = """
max_steps: 3
forbid_tools: ["shell.*", files.delete]
reject:
  - when: step.arguments.path.startsWith("/etc")
    reason: system files are none of an agent's business
  - when: size(plan.steps.filter(s, s.tool == "http.get")) > 1
"""


def write(file: Path, text: str | None) -> None:
    """The file's new text; None takes it away."""
    if text is None:
        file.unlink()
    else:
        file.write_text(text)


async def review(*steps: PlanStep, tools: dict[str, ToolDefinition] | None = None) -> Any:
    service = Plugins.of(safety_monitor).every_service()["safety-monitor"]
    created = event(
        events.PlanCreated,
        call=call(CallKind.PLAN, call_id="plan-call", revision=2),
        plan=Plan(steps).plan,
    )
    return await World(safety_monitor, tools=tools).reply(service, created)
