"""Exit codes."""

from enum import IntEnum

from orchestrator.cli.output import ResultLostError
from orchestrator.errors import ConfigurationError, UnavailableError
from orchestrator.operations.errors import UsageError


class ExitCode(IntEnum):
    """The exit codes of commands. 2 and 130 are what Typer and shells use for usage errors and Ctrl-C."""

    OK = 0
    NOT_DONE = 1
    """The task has no result, a session or dead letter was not found, or a check found a difference."""
    USAGE = 2
    CONFIGURATION = 3
    """Settings, a document or the installation (topics, schemas, rights) must be changed."""
    UNAVAILABLE = 4
    """A server does not respond; the same command may work later."""
    TIMEOUT = 5
    """The session did not settle in time."""
    RESULT_LOST = 6
    """It is done, and standard output did not take what it has to say: do not repeat it."""
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    """Nobody reads the output any more. What a shell reports of a program that SIGPIPE ended."""


def exit_code_of(error: Exception) -> ExitCode:
    match error:
        case ResultLostError(is_unread=True):
            return ExitCode.BROKEN_PIPE
        case ResultLostError():
            return ExitCode.RESULT_LOST
        case UsageError():
            return ExitCode.USAGE
        case ConfigurationError():
            return ExitCode.CONFIGURATION
        case UnavailableError():
            return ExitCode.UNAVAILABLE
        case TimeoutError():
            return ExitCode.TIMEOUT
        case _:
            return ExitCode.NOT_DONE
