"""How a plug-in says that its call failed, and how that failure may be answered."""

from typing import ClassVar

from orchestrator.errors import OrchestratorError
from orchestrator.messages.types import Failure, FailureKind


class HandlerError(OrchestratorError):
    """A plug-in's way to say how its call failed; becomes the `Failure` of the reply.

    `code` is a stable short name for programs, the text is for people.
    """

    kind: ClassVar[FailureKind] = FailureKind.UNKNOWN

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code or self.kind.lower()

    @property
    def failure(self) -> Failure:
        return Failure(kind=self.kind, code=self.code, message=str(self))


class TransientError(HandlerError):
    """The same call may succeed later."""

    kind = FailureKind.TRANSIENT


class PermanentError(HandlerError):
    """The same call will not succeed."""

    kind = FailureKind.PERMANENT


class InvalidInput(HandlerError):  # noqa: N818 - named after its failure kind
    """The caller has to change something."""

    kind = FailureKind.INVALID_INPUT


class UnknownOutcome(HandlerError):  # noqa: N818 - named after its failure kind
    """It may have happened; nobody can tell."""

    kind = FailureKind.UNKNOWN_OUTCOME
