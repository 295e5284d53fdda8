"""How runs end that do not reply: what happened to their process, for people."""

import os
import signal
from typing import Any, Final

from msgspec.structs import replace

from orchestrator.messages.encodable import encodable
from orchestrator.messages.types import Failure, FailureKind
from orchestrator.sdk.errors import (
    HandlerError,
    InvalidInput,
    PermanentError,
    RunFailedError,
    TransientError,
    UnknownOutcome,
)
from orchestrator.sdk.failures import LONGEST_CODE, bounded_wait, readable
from orchestrator.sdk.isolation.limits import Limits
from orchestrator.sdk.result_bounds import more_values

MEMORY_LIMIT: Final = "memory_limit"
CPU_LIMIT: Final = "cpu_limit"
OUTPUT_LIMIT: Final = "output_limit"
TIMEOUT: Final = "timeout"
DIED: Final = "process_died"
NOT_STARTED: Final = "process_not_started"
_ERRORS: Final[dict[str, type[HandlerError]]] = {
    error.kind.value: error for error in (TransientError, PermanentError, InvalidInput, UnknownOutcome)
}
_CRASHES: Final = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGSYS)


class ProcessEndedError(RunFailedError):
    """The process of a run ended without a reply of its function, or beyond its limits."""


def ended(what: str, status: int, limits: Limits, said: str) -> ProcessEndedError:
    """The error for a process that ended with this status of `wait`. `said` is the last that it printed."""
    hint = f"; it printed: {said}" if said else ""
    if not os.WIFSIGNALED(status):
        code = os.waitstatus_to_exitcode(status)
        return _permanent(f"{what} ended its process with exit status {code}{hint}", DIED)
    number = os.WTERMSIG(status)
    if number == signal.SIGXCPU:
        return _permanent(f"{what} used more than {limits.cpu_s} s of CPU time, and was killed", CPU_LIMIT)
    if number in _CRASHES:
        name = signal.Signals(number).name
        memory = "" if number != signal.SIGABRT else f" (its limit of memory is {limits.memory >> 20} MB)"
        return _permanent(f"{what} crashed its process with {name}{memory}{hint}", DIED)
    return _error(
        f"the process of {what} was killed by signal {number}: by an operator, or because the machine or the "
        f"container had no memory left{hint}",
        DIED,
        FailureKind.TRANSIENT,
    )


def overdue(what: str, limits: Limits) -> ProcessEndedError:
    return _error(
        f"{what} did not end within {limits.wall_s:g} s, and was killed", TIMEOUT, FailureKind.TRANSIENT
    )


def out_of_memory(what: str, limits: Limits) -> ProcessEndedError:
    megabytes = limits.memory >> 20
    return _permanent(
        f"{what} needs more than its {megabytes} MB of memory; give it less to do", MEMORY_LIMIT
    )


def too_much_output(what: str, size: int, limits: Limits) -> ProcessEndedError:
    return _permanent(f"{what} returned {size} bytes, more than its limit of {limits.output}", OUTPUT_LIMIT)


def too_many_values(what: str, most: int) -> ProcessEndedError:
    return _permanent(f"what {what} returned is too large: {more_values(most)}", OUTPUT_LIMIT)


def no_reply(what: str, reason: str) -> ProcessEndedError:
    return _permanent(f"the process of {what} sent what is no reply: {reason}", DIED)


def not_started(what: str, reason: str) -> TransientError:
    return TransientError(f"no process could be started for {what}: {reason}", code=NOT_STARTED)


def not_loaded(what: str, reason: str) -> PermanentError:
    return PermanentError(f"{what} cannot be loaded in a process of its own: {reason}", code=NOT_STARTED)


def raised(failure: dict[str, Any]) -> Exception:
    """The error for a failure that the function of a run reported. What does not look like one is a failure too."""
    found = Failure(
        kind=FailureKind.PERMANENT,
        code=encodable(str(failure.get("code")), LONGEST_CODE),
        message=readable(str(failure.get("message"))),
        retry_after_ms=bounded_wait(failure.get("retry_after_ms")),
    )
    error = _ERRORS.get(str(failure.get("kind")), PermanentError)
    if failure.get("is_own"):
        return error(found.message, code=found.code, retry_after_ms=found.retry_after_ms)
    return RunFailedError(replace(found, kind=error.kind))


def _permanent(message: str, code: str) -> ProcessEndedError:
    return _error(message, code, FailureKind.PERMANENT)


def _error(message: str, code: str, kind: FailureKind) -> ProcessEndedError:
    return ProcessEndedError(Failure(kind=kind, code=code, message=readable(message)))
