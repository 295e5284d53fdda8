"""Planners: they make the plan that a session asks for."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from orchestrator.messages import types
from orchestrator.sdk.context import Context
from orchestrator.sdk.conversations import NEW, Conversation
from orchestrator.sdk.planning import Plan
from orchestrator.sdk.roles.functions import RoleFunction, with_context


@dataclass(frozen=True)
class PlanRequest:
    """What a planner plans for. `context` and `memory` are the task's JSON, loaded."""

    goal: str
    context: dict[str, Any]
    memory: Any
    playbook: str
    tools: types.ToolPolicy
    revision: int
    previous: types.Plan | None
    evaluation: types.Evaluation | None
    feedback: str
    limits: types.Limits
    """What is left of the session's limits."""
    turn: int = 1
    """Number of the turn. A revision of the same turn corrects its plan."""
    outcomes: Sequence[types.StepOutcome] = ()
    """What the steps of the plan before came to. Outputs are loaded with `context.values.load`."""
    conversation: Conversation = NEW
    """What the planner has said and was told up to now: the messages of its plans."""
    model: types.ModelPolicy | None = None
    """How the agent thinks, where its profile says so."""


@dataclass(frozen=True)
class Planner:
    """A named planner: `await make(request, context)`."""

    role: ClassVar[str] = "planner"

    name: str
    make: Callable[[PlanRequest, Context], Awaitable[Plan]]
    profile: types.AgentProfile | None = None
    """The agent that comes with it, planned by this planner whatever the profile says. It is announced when the
    planner service starts, unless somebody applied an agent of that name."""
    check: Callable[[str], object] | None = None
    """Takes the YAML of a playbook and raises `ConfigurationError` for what the planner would refuse in it. It is
    asked before playbooks are applied."""


def planner(
    name: str,
    *,
    profile: types.AgentProfile | None = None,
    check: Callable[[str], object] | None = None,
) -> Callable[[RoleFunction[PlanRequest, Plan]], Planner]:
    """Declares `async def f(request) -> Plan`, or `f(request, context)`, as a planner.

    `profile` is an agent that comes with it, so that nobody needs to apply one. `check` says what is wrong with the
    YAML of a playbook, for planners that use playbooks.
    """
    return lambda function: Planner(name, with_context(function), profile, check)
