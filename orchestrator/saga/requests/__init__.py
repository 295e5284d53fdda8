"""Requests: what users and operators ask of a session. A table of handlers, one module per concern.

A request may come before its session's task, so its handler gets a session that may be None.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias, TypeVar

from orchestrator.messages import commands
from orchestrator.saga.outputs import Draft
from orchestrator.saga.requests import cancel, intake
from orchestrator.saga.requests.intake import Submission
from orchestrator.saga.state import Session

__all__ = ["REQUESTS", "Control", "Request", "Submission"]

Control: TypeAlias = commands.CancelTask
"""Commands of topic `control`: inputs as they are decoded."""

Request: TypeAlias = Submission | Control
"""What is asked of a session: a `SubmitTask` with its agent's profile, or a command of topic `control`."""

R = TypeVar("R", bound=Request)
Handler: TypeAlias = Callable[[Session | None, Any, int], Iterable[Draft]]


def _row(
    kind: type[R], handler: Callable[[Session | None, R, int], Iterable[Draft]]
) -> tuple[type[object], Handler]:
    return kind, handler


REQUESTS: Final[Mapping[type[object], Handler]] = dict(
    (
        _row(Submission, intake.submit_task),
        _row(commands.CancelTask, cancel.cancel_task),
    )
)
"""Handlers of requests, by the request's type. A row pairs a type with a handler of that very type."""
