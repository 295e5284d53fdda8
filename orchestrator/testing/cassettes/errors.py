"""The error of a request that no recording answers."""

from typing import Final

from orchestrator.sdk import PermanentError

RECORD: Final = "ORCHESTRATOR_RECORD"
"""The variable that has tests record instead of replaying."""


class NotRecordedError(PermanentError):
    """A request that the recording does not answer. Sent again, it is not answered either."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="not_recorded")
