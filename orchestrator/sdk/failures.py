"""Exceptions of plug-ins, as the failures that replies report."""

import errno
import re
import socket
from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from orchestrator.errors import ContractError, UnavailableError
from orchestrator.messages.types import Failure, FailureKind
from orchestrator.sdk.errors import HandlerError, RunFailedError

LONGEST_MESSAGE: Final = 2_000
_NETWORK_ERRNOS: Final = frozenset(
    {errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ETIMEDOUT}
)
_CREDENTIALS: Final = re.compile(r"://[^/\s@]+@")


def failure_of(error: BaseException, code: str) -> Failure:
    """The failure that an exception stands for.

    A `HandlerError` brings its own, as does the error of a run in a process of its own. Timeouts and network
    errors, also as the declared cause of another exception (HTTP clients raise them so), are TRANSIENT with the
    code `unavailable`. A value that is damaged or does not fit is PERMANENT with `contract`. Everything else is
    PERMANENT with `code`. The message has the exception's type and message, never its stack.
    """
    if isinstance(error, HandlerError | RunFailedError):
        return replace(error.failure, message=readable(str(error)))
    if any(_is_transient(cause) for cause in _causes(error)):
        return Failure(kind=FailureKind.TRANSIENT, code="unavailable", message=described(error))
    if isinstance(error, ContractError):
        return Failure(kind=FailureKind.PERMANENT, code="contract", message=readable(str(error)))
    return Failure(kind=FailureKind.PERMANENT, code=code, message=described(error))


def described(error: BaseException) -> str:
    """Type and message of an exception, for people; bounded and without credentials."""
    text = str(error)
    return readable(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def readable(text: str) -> str:
    """The text, cut after `LONGEST_MESSAGE` characters and without the credentials in URLs."""
    clean = _CREDENTIALS.sub("://***@", text)
    return clean if len(clean) <= LONGEST_MESSAGE else clean[: LONGEST_MESSAGE - 1] + "…"


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, TimeoutError | ConnectionError | UnavailableError | socket.gaierror):
        return True
    return isinstance(error, OSError) and error.errno in _NETWORK_ERRNOS


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__
