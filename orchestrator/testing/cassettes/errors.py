"""The error of what is not recorded."""

from typing import Final

from orchestrator.sdk import PermanentError

RECORD: Final = "ORCHESTRATOR_RECORD"
"""The variable that has tests record instead of replaying."""


class NotRecordedError(PermanentError):
    """A request that the recording does not answer, or a response that cannot be recorded. Sent again, the request
    fails again."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="not_recorded")
