"""The one hierarchy of errors: configuration, contract, retryable and terminal.

Refusals inside a session are events on the log, not exceptions; these are for failing systems and faulty code.
"""


class OrchestratorError(Exception):
    """Base of every error that the platform raises on purpose; its text says what to do."""


class ConfigurationError(OrchestratorError):
    """Settings that cannot work. `problems` holds every mistake found, not only the first."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class ContractError(OrchestratorError):
    """Bytes or a message that do not fit their schema or their topic. Never retried."""


class UnavailableError(OrchestratorError):
    """A broker, registry or store does not respond. May be retried."""


def unforeseen(error: BaseException | None) -> BaseException | None:
    """The error if a log is to show its stack; None for one that was raised on purpose, whose text says what to do."""
    return None if isinstance(error, OrchestratorError) else error
