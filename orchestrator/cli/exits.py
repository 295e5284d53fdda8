"""Exit codes, and the errors that only a command line has."""

from enum import IntEnum

from orchestrator.errors import ConfigurationError, OrchestratorError, UnavailableError


class ExitCode(IntEnum):
    """What a command ends with. 2 and 130 are what shells and Typer have for usage and Ctrl-C."""

    OK = 0
    NOT_DONE = 1
    """The task has no result, what was named is not there, or a check found a difference."""
    USAGE = 2
    CONFIGURATION = 3
    """Settings, a document or the installation (topics, schemas, rights) have to be changed."""
    UNAVAILABLE = 4
    """A server does not answer; the same command may work later."""
    TIMEOUT = 5
    """What was waited for has not happened in time."""
    INTERRUPTED = 130


class NotFoundError(OrchestratorError):
    """What was named is not there."""


class NotDoneError(OrchestratorError):
    """What was asked for cannot be done as things are."""


def exit_code_of(error: Exception) -> ExitCode:
    match error:
        case ConfigurationError():
            return ExitCode.CONFIGURATION
        case UnavailableError():
            return ExitCode.UNAVAILABLE
        case TimeoutError():
            return ExitCode.TIMEOUT
        case _:
            return ExitCode.NOT_DONE


def kind_of(error: Exception) -> str:
    """What programs tell errors apart by, such as `configuration` or `task_refused`."""
    if isinstance(error, TimeoutError):
        return "timeout"
    name = type(error).__name__.removesuffix("Error")
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
