"""What went wrong in a plug-in, as the failure that its reply reports."""

import errno
import re
import socket
from collections.abc import Iterator
from typing import Final

from orchestrator.errors import ContractError, UnavailableError
from orchestrator.messages.types import Failure, FailureKind
from orchestrator.sdk.errors import HandlerError

LONGEST_MESSAGE: Final = 2_000
_NETWORK_ERRNOS: Final = frozenset(
    {errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ETIMEDOUT}
)
_CREDENTIALS: Final = re.compile(r"://[^/\s@]+@")


def failure_of(error: BaseException, code: str) -> Failure:
    """The failure that an exception stands for.

    A `HandlerError` says it itself. Time-outs and network errors, also as the declared cause of another
    exception (as HTTP clients raise them), are TRANSIENT with the code `unavailable`; a value that is damaged
    or does not fit is PERMANENT with `contract`; everything else is PERMANENT with `code`. The text has the
    type and the message of the exception, never its stack.
    """
    if isinstance(error, HandlerError):
        return Failure(kind=error.kind, code=error.code, message=readable(str(error)))
    if any(_is_transient(cause) for cause in _causes(error)):
        return Failure(kind=FailureKind.TRANSIENT, code="unavailable", message=described(error))
    if isinstance(error, ContractError):
        return Failure(kind=FailureKind.PERMANENT, code="contract", message=readable(str(error)))
    return Failure(kind=FailureKind.PERMANENT, code=code, message=described(error))


def described(error: BaseException) -> str:
    """Type and message of an exception, for people."""
    text = str(error)
    return readable(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def readable(text: str) -> str:
    """A text short enough for a message, without the credentials that URLs may carry."""
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
