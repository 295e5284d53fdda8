"""Submitting a task, waiting for its outcome, and cancelling its session."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.client import Client, Handle
from orchestrator.errors import OrchestratorError
from orchestrator.messages.base import SessionEvent
from orchestrator.messages.types import Limits
from orchestrator.messages.usage import micro_usd
from orchestrator.operations.errors import NotDoneError
from orchestrator.operations.lookup import FoundSession
from orchestrator.sessions.projection import ENDED, PHASES


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task in plain fields: durations in milliseconds, times in Unix microseconds, cost in US dollars.

    None stands for a limit that the agent's profile decides.
    """

    goal: str
    context: Mapping[str, Any] | None = None
    agent: str = "default"
    playbook: str = ""
    tenant: str = "default"
    key: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    deadline_ms: int | None = None
    step_timeout_ms: int | None = None
    tool_calls: int | None = None
    tokens: int | None = None
    cost_usd: float | None = None
    parallel_steps: int | None = None
    turns: int | None = None
    not_before: int | None = None
    not_after: int | None = None

    def limits(self) -> Limits | None:
        """The limits that were given; None without any."""
        limits = Limits(
            deadline_ms=self.deadline_ms,
            step_timeout_ms=self.step_timeout_ms,
            tool_calls=self.tool_calls,
            tokens=self.tokens,
            cost_micro_usd=None if self.cost_usd is None else micro_usd(self.cost_usd),
            parallel_steps=self.parallel_steps,
            turns=self.turns,
        )
        return None if limits == Limits() else limits


@dataclass(frozen=True)
class Outcome:
    """What a session settled with. `phase` is None before it settles, `error` says why there is no result."""

    phase: str | None = None
    result: Any = None
    error: OrchestratorError | None = None

    @property
    def is_completed(self) -> bool:
        return self.phase is not None and self.error is None


async def submit(client: Client, task: Task, *, progress: bool = False) -> Handle:
    """Submits the task; returns when Kafka has it. Raises as `Client.submit` does."""
    return await client.submit(
        task.goal,
        context=task.context,
        agent=task.agent,
        playbook=task.playbook,
        key=task.key,
        tenant=task.tenant,
        limits=task.limits(),
        labels=task.labels,
        not_before=task.not_before,
        not_after=task.not_after,
        progress=progress,
    )


async def outcome_of(handle: Handle) -> Outcome:
    """Waits until the session settles. Raises `UnavailableError` if it cannot be followed."""
    end = await handle.settled()
    phase = PHASES.get(type(end), "refused") if isinstance(end, SessionEvent) else None
    try:
        return Outcome(phase, await handle.result())
    except OrchestratorError as error:
        return Outcome(phase, error=error)


async def cancel(client: Client, found: FoundSession, reason: str) -> None:
    """Requests the session's cancellation; returns when Kafka has the request.

    Raises `NotDoneError` if the session has ended.
    """
    if found.phase in ENDED:
        raise NotDoneError(
            f"session {found.correlation_id} has already ended ({found.phase}): there is nothing to cancel"
        )
    await client.cancel(found.correlation_id, reason, found.tenant)
