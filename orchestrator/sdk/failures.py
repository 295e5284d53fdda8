"""Exceptions of plug-ins, as the failures that replies report."""

import errno
import re
import socket
from asyncio import CancelledError
from collections.abc import Iterator
from math import isnan
from typing import Any, Final

from msgspec.structs import replace

from orchestrator.errors import ContractError, UnavailableError
from orchestrator.messages.bounds import LONGEST_WAIT_MS
from orchestrator.messages.encodable import encodable
from orchestrator.messages.types import Failure, FailureKind
from orchestrator.sdk.containment import PluginRaised
from orchestrator.sdk.errors import HandlerError, RunFailedError

LONGEST_MESSAGE: Final = 2_000
LONGEST_CODE: Final = 100
_MOST_LEAVES: Final = 100
"""Members of an exception group that are looked at."""
_NETWORK_ERRNOS: Final = frozenset(
    {errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ETIMEDOUT}
)
_CREDENTIALS: Final = re.compile(r"://[^/\s@]+@")


def failure_of(error: BaseException, code: str) -> Failure:
    """The failure that an exception stands for, whatever the exception is made of.

    A `HandlerError` brings its own, as does the error of a run in a process of its own. Timeouts and network
    errors, also as the declared cause of another exception (HTTP clients raise them so), are TRANSIENT with the
    code `unavailable`. A value that is damaged or does not fit is PERMANENT with `contract`. A group is what its
    members are, the worst of them if they differ. Everything else is PERMANENT with `code`. The message has the
    exception's type and message, never its stack.
    """
    try:
        return _failure_of(error, code)
    except Exception:  # noqa: BLE001 - code of a plug-in again: properties of its exception
        return Failure(kind=FailureKind.PERMANENT, code=code, message=type(error).__name__)


def _failure_of(error: BaseException, code: str) -> Failure:
    if isinstance(error, PluginRaised) and error.__cause__ is not None:
        return _failure_of(error.__cause__, code)
    if isinstance(error, BaseExceptionGroup):
        return _failure_of_group(error, code)
    if isinstance(error, RunFailedError):
        return replace(error.failure, message=readable(_text(error)))
    if isinstance(error, HandlerError):
        return _said(error)
    if any(_is_transient(cause) for cause in _causes(error)):
        return Failure(kind=FailureKind.TRANSIENT, code="unavailable", message=described(error))
    if isinstance(error, ContractError):
        return Failure(kind=FailureKind.PERMANENT, code="contract", message=readable(_text(error)))
    return Failure(kind=FailureKind.PERMANENT, code=code, message=described(error))


def _said(error: HandlerError) -> Failure:
    """What a plug-in says itself, as far as it can be sent: its subclasses may have anything in these places."""
    kind: Any = error.kind
    wait: Any = getattr(error, "retry_after_ms", None)
    said: Any = getattr(error, "code", "")
    known = kind if isinstance(kind, FailureKind) else FailureKind.UNKNOWN
    return Failure(
        kind=known,
        code=encodable(said, LONGEST_CODE) if said and isinstance(said, str) else known.lower(),
        message=readable(_text(error)) or type(error).__name__,
        retry_after_ms=bounded_wait(wait),
    )


def bounded_wait(wait: Any) -> int | None:
    """Milliseconds that a reply may carry; None for what is no number."""
    if not isinstance(wait, int | float) or (isinstance(wait, float) and isnan(wait)):
        return None
    return int(min(max(wait, 0), LONGEST_WAIT_MS))


def _failure_of_group(group: BaseExceptionGroup[Any], code: str) -> Failure:
    leaves = list(_leaves(group))
    failures = [_failure_of(leaf, code) for leaf in leaves]
    worst = min(failures, key=lambda failure: _SEVERITY.index(failure.kind))
    if len(failures) == 1:
        return worst
    members = "; ".join(described(leaf) for leaf in leaves)
    return Failure(
        kind=worst.kind,
        code=worst.code,
        message=readable(f"{type(group).__name__}: {_text(group)}: {members}"),
        retry_after_ms=worst.retry_after_ms,
    )


_SEVERITY: Final = (
    FailureKind.UNKNOWN_OUTCOME,
    FailureKind.PERMANENT,
    FailureKind.UNKNOWN,
    FailureKind.INVALID_INPUT,
    FailureKind.TRANSIENT,
)
"""The kinds, the worst first: a group of errors is only transient if all of them are."""


def _leaves(group: BaseExceptionGroup[Any]) -> Iterator[BaseException]:
    """The exceptions in a group and in its groups, without recursion: they may be nested deeper than the stack."""
    found = 0
    waiting: list[BaseException] = [group]
    while waiting and found < _MOST_LEAVES:
        error = waiting.pop()
        if isinstance(error, BaseExceptionGroup):
            waiting.extend(reversed(error.exceptions))
        else:
            found += 1
            yield error


def described(error: BaseException) -> str:
    """Type and message of an exception, for people; bounded, without credentials, and always text that can be sent."""
    if isinstance(error, PluginRaised) and error.__cause__ is not None:
        error = error.__cause__
    text = _text(error)
    return readable(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def readable(text: str) -> str:
    """The text, cut after `LONGEST_MESSAGE` characters, without the credentials in URLs and without halves of
    characters (lone surrogates), which UTF-8 cannot hold."""
    return encodable(_CREDENTIALS.sub("://***@", text), LONGEST_MESSAGE)


def _text(error: BaseException) -> str:
    """The message of an exception; its `__str__` may raise, and anything."""
    try:
        text = str(error)
        return text or ("it cancelled itself" if isinstance(error, CancelledError) else "")
    except BaseException as failed:  # noqa: BLE001 - of a plug-in
        return f"(its message cannot be read: __str__ raised {type(failed).__name__})"


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
