"""What a session can be told: commands, services' events, and that time has passed."""

from typing import TypeAlias

import msgspec

from orchestrator.messages import commands, events
from orchestrator.messages.types import AgentProfile, Failure, OriginalMessage


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """A task as it arrived, and the agent it names as it is now; `refusal` where it cannot be accepted."""

    task: commands.SubmitTask
    profile: AgentProfile | None
    original: OriginalMessage
    refusal: Failure | None = None

    @property
    def message_id(self) -> str:
        return self.task.command_id


class TimePassed(msgspec.Struct, frozen=True, kw_only=True):
    """Something may be due."""

    message_id: str
    until: int
    """Time-outs up to this time (Unix, microseconds) may be acted on: whatever was written before it has been
    read, so a reply that waits behind an outage wins over its time-out."""


Reply: TypeAlias = (
    events.PlanCreated
    | events.PlanningFailed
    | events.PlanReviewed
    | events.ToolSelected
    | events.SelectionFailed
    | events.ToolCompleted
    | events.ToolFailed
    | events.RetryScheduled
    | events.FallbackChosen
    | events.RecoveryExhausted
    | events.TaskEvaluated
    | events.EvaluationFailed
)

Input: TypeAlias = Submission | commands.CancelTask | Reply | TimePassed
