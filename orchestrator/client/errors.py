"""Errors with which a task settles."""

from orchestrator.errors import OrchestratorError
from orchestrator.messages import events
from orchestrator.messages.base import Event
from orchestrator.messages.types import Failure, FailureKind


class TaskError(OrchestratorError):
    """The task settled without a result. `failure` has the reason."""

    def __init__(self, correlation_id: str, what: str, failure: Failure) -> None:
        super().__init__(f"session {correlation_id} {what}: {failure.message or failure.code}")
        self.correlation_id = correlation_id
        self.failure = failure


class TaskFailedError(TaskError):
    """The task failed."""


class TaskRefusedError(TaskError):
    """The task was not accepted: something in it must change."""


class TaskCancelledError(TaskError):
    """The task was cancelled."""


class TaskEscalatedError(TaskError):
    """The session was escalated and waits for a person; it may still continue."""


def error_of(event: Event) -> TaskError | None:
    """The error to raise for the event that settled a session; None for a completed task."""
    session = event.correlation_id
    match event:
        case events.TaskFailed():
            return TaskFailedError(session, "failed", event.failure)
        case events.TaskRefused():
            return TaskRefusedError(session, "was refused", event.failure)
        case events.RequestRefused():
            return TaskRefusedError(session, "was refused", _named("refused", event.reason))
        case events.TaskCancelled():
            return TaskCancelledError(session, "was cancelled", _named("cancelled", event.reason))
        case events.TaskEscalated():
            return TaskEscalatedError(session, "waits for a person", event.failure)
        case events.TaskCompleted():
            return None
        case _:
            raise TypeError(f"{type(event).__name__} does not settle a session")


def _named(code: str, message: str) -> Failure:
    return Failure(kind=FailureKind.PERMANENT, code=code, message=message)
