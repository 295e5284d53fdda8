"""The errors with which a plug-in says how its call failed."""

from typing import ClassVar

from orchestrator.errors import OrchestratorError
from orchestrator.messages.types import Failure, FailureKind


class HandlerError(OrchestratorError):
    """Says how a call failed; becomes the `Failure` of the reply. Raise one of the subclasses.

    `code` is a stable short name for programs (the kind in lower case by default), the message is for people.
    `retry_after_ms` is how long to wait before the next attempt, where the other side said so.
    """

    kind: ClassVar[FailureKind] = FailureKind.UNKNOWN

    def __init__(self, message: str, *, code: str = "", retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.code = code or self.kind.lower()
        self.retry_after_ms = retry_after_ms

    @property
    def failure(self) -> Failure:
        return Failure(kind=self.kind, code=self.code, message=str(self), retry_after_ms=self.retry_after_ms)


class TransientError(HandlerError):
    """The same call may succeed later."""

    kind = FailureKind.TRANSIENT


class PermanentError(HandlerError):
    """The same call will not succeed."""

    kind = FailureKind.PERMANENT


class InvalidInput(HandlerError):  # noqa: N818 - named after its failure kind
    """The call fails until the caller changes its input."""

    kind = FailureKind.INVALID_INPUT


class UnknownOutcome(HandlerError):  # noqa: N818 - named after its failure kind
    """The call may or may not have had its effect."""

    kind = FailureKind.UNKNOWN_OUTCOME


class RunFailedError(OrchestratorError):
    """A run in a process of its own failed: its function raised what is no `HandlerError`, or its process died.

    Its `failure` is what the run comes to, unless the run must not happen twice: it may have had its effect.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure
