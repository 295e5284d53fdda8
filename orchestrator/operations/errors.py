"""Errors of operations, and how programs see any error: a kind and a document."""

from typing import TYPE_CHECKING, Any

from orchestrator.errors import ConfigurationError, OrchestratorError

if TYPE_CHECKING:
    from orchestrator.messages.types import Failure


class UsageError(OrchestratorError):
    """A request that is malformed; it cannot succeed as it is written."""


class NotFoundError(OrchestratorError):
    """A session, a conversation or a dead letter that does not exist, or a prefix that matches several."""


class NotDoneError(OrchestratorError):
    """A request that cannot be fulfilled in the current state."""


def kind_of(error: Exception) -> str:
    """The stable name by which programs distinguish errors, such as `configuration` or `task_refused`."""
    if isinstance(error, TimeoutError):
        return "timeout"
    name = type(error).__name__.removesuffix("Error")
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name).lstrip("_")


def error_document(error: Exception) -> dict[str, Any]:
    """The JSON form of an error.

    `type` and `message` always; `problems` for a `ConfigurationError`; `correlation_id` and `failure` for the
    errors of a task.
    """
    document: dict[str, Any] = {"type": kind_of(error), "message": str(error)}
    if isinstance(error, ConfigurationError):
        document["problems"] = list(error.problems)
    if failure := getattr(error, "failure", None):
        document["correlation_id"] = getattr(error, "correlation_id", "")
        document["failure"] = failure_document(failure)
    return document


def failure_document(failure: "Failure") -> dict[str, Any]:
    """The JSON form of a failure; `retry_after_ms` where the other side said how long to wait."""
    document = {"kind": failure.kind, "code": failure.code, "message": failure.message}
    return (
        document if failure.retry_after_ms is None else document | {"retry_after_ms": failure.retry_after_ms}
    )
