"""What errors of an MCP server and its client mean."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from pydantic import ValidationError

from orchestrator.sdk import HandlerError, PermanentError, TransientError, described, readable
from orchestrator_services.models.errors import without_secrets

# Codes of the protocol, and those that the client uses for what it reports in place of an answer. Servers may use the
# same ones for errors of their own, so the client is known by its words.
_GONE: Final = frozenset({(-32000, "Connection closed"), (-32600, "Session terminated")})
"""The second: a server over HTTP has been started again."""
_TIMED_OUT: Final = -32001
_NOTHING_DONE: Final = frozenset({-32601, -32602})
"""No such method, and parameters that do not fit."""
_REFUSING: Final = {
    400: "check its URL, and what its headers say",
    401: "check its credentials, which the agent's code gives",
    403: "its credentials do not allow that",
    404: "check its URL",
}
"""Statuses of HTTP with which connecting fails again, and what to do."""


class AnswerKind(Enum):
    CLOSED = auto()
    """There is no connection any more, or the server knows nothing of it."""
    LATE = auto()
    REFUSED = auto()
    """The server did nothing: it does not have that, or the arguments do not fit."""
    FAILED = auto()
    """Anything else: the server's own error, or something between that answered in its place."""


@dataclass(frozen=True)
class Answer:
    """An error of the protocol."""

    code: int
    message: str

    @property
    def kind(self) -> AnswerKind:
        if (self.code, self.message) in _GONE:
            return AnswerKind.CLOSED
        if self.code == _TIMED_OUT and "timed out" in self.message.lower():
            return AnswerKind.LATE
        return AnswerKind.REFUSED if self.code in _NOTHING_DONE else AnswerKind.FAILED

    def __str__(self) -> str:
        return f"{without_secrets(readable(self.message))} ({self.code})"


def answer_of(error: BaseException) -> Answer | None:
    """The error of the protocol behind an error; None if there is none."""
    for one in causes(error):
        data = getattr(one, "error", None)
        if isinstance(code := getattr(data, "code", None), int):
            return Answer(code, str(getattr(data, "message", "")))
    return None


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what it was raised from, and what is in groups of them."""
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for one in error.exceptions:
                yield from causes(one)
        error = error.__cause__


def described_safely(error: BaseException) -> str:
    return without_secrets(described(error))


def no_answer(error: Exception) -> str | None:
    """Why what a server sent is nothing that the protocol has there; None for other errors."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "all of it"
        return without_secrets(readable(f"{where}: {first['msg']}"))
    return None


class Statuses:
    """The statuses that a server over HTTP answers with: the client does not tell them."""

    def __init__(self) -> None:
        self.last: int | None = None

    @classmethod
    def of(cls, transport: Any) -> "Statuses":
        """Those of a transport; none come from one that is not streamable HTTP."""
        statuses = cls()
        heard = getattr(transport, "_capture_session_id", None)
        if heard is not None:

            async def hears(response: Any) -> None:
                statuses.last = response.status_code
                await heard(response)

            # Nothing public hears all responses, whatever makes the transport's HTTP client.
            transport._capture_session_id = hears  # noqa: SLF001
        return statuses


class NotOpenedError(Exception):
    """A connection could not be opened; the cause says why."""

    def __init__(self, status: int | None = None) -> None:
        """`status` is what a server over HTTP answered last."""
        super().__init__(status)
        self.status = status


def not_opened(server: str, error: NotOpenedError) -> HandlerError:
    """Why there is no connection, and what to do."""
    found = list(causes(error.__cause__ or error))
    if missing := next((one for one in found if isinstance(one, FileNotFoundError | PermissionError)), None):
        return PermanentError(
            f"the server {server} cannot be started: {described_safely(missing)}; install it where tools run and "
            "agents plan",
            code="server_cannot_start",
        )
    answer = next((one for one in map(answer_of, found) if one), None)
    status = _status(found) or (error.status if answer else None)
    if status in _REFUSING:
        return PermanentError(
            f"the server {server} refuses the connection with HTTP status {status}: {_REFUSING[status]}",
            code="server_refused",
        )
    if any(isinstance(one, TimeoutError) for one in found):
        text = "it did not answer in time; init_timeout of its toolset is how long it may take"
    elif status is not None and status >= 400:
        text = f"HTTP status {status}"
    elif answer is not None and answer.kind is AnswerKind.CLOSED:
        text = "it ended before it answered; what it wrote to standard error is in this process's"
    else:
        text = described_safely(found[0])
    return TransientError(f"the server {server} cannot be reached: {text}", code="server_unavailable")


def _status(found: list[BaseException]) -> int | None:
    """The status that an error of the HTTP client names."""
    statuses = (getattr(getattr(one, "response", None), "status_code", None) for one in found)
    return next((one for one in statuses if isinstance(one, int)), None)
