"""What can go wrong with a request, as providers of OpenAI's protocol report it."""

from dataclasses import asdict, dataclass, fields
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class ApiError:
    """An error response."""

    status: int
    code: str | None
    kind: str
    message: str
    headers: tuple[tuple[str, str], ...] = ()

    def body(self) -> dict[str, Any]:
        return {"error": {"message": self.message, "type": self.kind, "param": None, "code": self.code}}


@dataclass(frozen=True, slots=True)
class TooManyRequests:
    """429. `retry_after` is in seconds; None leaves the header out."""

    retry_after: float | None = None

    def error(self) -> ApiError:
        headers = (
            () if self.retry_after is None else (("retry-after-ms", str(round(self.retry_after * 1000))),)
        )
        return ApiError(
            429, "rate_limit_exceeded", "requests", "Rate limit reached: requests per min.", headers
        )


@dataclass(frozen=True, slots=True)
class QuotaExceeded:
    """429, but no waiting helps: the account has no money left."""

    def error(self) -> ApiError:
        return ApiError(429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota.")


@dataclass(frozen=True, slots=True)
class Overloaded:
    """503."""

    def error(self) -> ApiError:
        return ApiError(503, None, "server_error", "The model is currently overloaded.")


@dataclass(frozen=True, slots=True)
class ServerError:
    """500."""

    def error(self) -> ApiError:
        return ApiError(500, None, "server_error", "The server had an error while processing the request.")


@dataclass(frozen=True, slots=True)
class ContextTooLong:
    """400: the messages do not fit into the model's context."""

    def error(self) -> ApiError:
        message = "This model's maximum context length is 8192 tokens."
        return ApiError(400, "context_length_exceeded", "invalid_request_error", message)


@dataclass(frozen=True, slots=True)
class BadCredentials:
    """401. `key` is repeated in the error, as careless servers do."""

    key: str = ""

    def error(self) -> ApiError:
        message = f"Incorrect API key provided: {self.key}" if self.key else "Incorrect API key provided."
        return ApiError(401, "invalid_api_key", "invalid_request_error", message)


@dataclass(frozen=True, slots=True)
class BreakStream:
    """Closes the connection in mid-reply: after so many chunks of a stream, or in the middle of a whole body.

    With the name of a gate, it is closed when that gate is open.
    """

    after_chunks: int = 1
    gate: str = ""


@dataclass(frozen=True, slots=True)
class Hang:
    """Sends no more, after so many chunks of a stream, until the gate of this name is open or the client has gone."""

    gate: str
    after_chunks: int = 0


Refusal: TypeAlias = (
    TooManyRequests | QuotaExceeded | Overloaded | ServerError | ContextTooLong | BadCredentials
)
"""Answered by an error. Nothing is charged."""
Obstacle: TypeAlias = BreakStream | Hang
"""Stands in the way of a reply, which is charged."""
Fault: TypeAlias = Refusal | Obstacle

_FAULTS: dict[str, type[Fault]] = {
    fault.__name__: fault
    for fault in (
        TooManyRequests,
        QuotaExceeded,
        Overloaded,
        ServerError,
        ContextTooLong,
        BadCredentials,
        BreakStream,
        Hang,
    )
}


def to_json(fault: Fault) -> dict[str, Any]:
    return {"kind": type(fault).__name__, **asdict(fault)}


def from_json(document: dict[str, Any]) -> Fault:
    """Raises `ValueError` if there is no such fault, or it has no such fields."""
    values = {name: value for name, value in document.items() if name != "kind"}
    kind = _FAULTS.get(document["kind"])
    if kind is None or not values.keys() <= {field.name for field in fields(kind)}:
        raise ValueError(f"{document} is no fault: use one of {', '.join(_FAULTS)} with its own fields")
    return kind(**values)


@dataclass(slots=True)
class Planted:
    """A fault that befalls a request the first `times` times that it comes, in each conversation that it is for."""

    fault: Fault
    about: str = ""
    """A text that the first user message contains."""
    model: str | None = None
    turn: int | None = None
    times: int = 1
