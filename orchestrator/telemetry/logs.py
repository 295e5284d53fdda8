"""Logging: JSON for machines, short lines for people in a terminal, and secrets redacted."""

import json
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

from orchestrator.telemetry.plain_text import indented, json_safe, one_line
from orchestrator.telemetry.redaction import HIDDEN, SECRET_NAME, Redaction

Format = Literal["auto", "human", "json"]

LONGEST_STACK: Final = 20_000
"""Characters of the stack in one line."""
_session: Final[ContextVar[str]] = ContextVar("session", default="")
_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


@contextmanager
def session(correlation_id: str) -> Iterator[None]:
    """Inside, log lines of this thread or task name the session."""
    token = _session.set(correlation_id)
    try:
        yield
    finally:
        _session.reset(token)


def configure(
    level: str = "info",
    format: Format = "auto",  # noqa: A002 - the name of the setting
    secrets: Iterable[str] = (),
    stream: TextIO | None = None,
) -> None:
    """Sends all logs of the process to standard error, or to `stream`.

    `secrets` are values to redact wherever they occur; text that looks like a secret is redacted anyway.
    """
    stream = stream or sys.stderr
    human = format == "human" or (format == "auto" and stream.isatty())
    handler = _human_handler(stream) if human else logging.StreamHandler(stream)
    handler.setFormatter(PlainFormatter(secrets) if human else JsonFormatter(secrets))
    root = logging.getLogger()
    for old in tuple(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    # Below WARNING these log every request.
    for chatty in ("httpx", "httpx2", "httpcore", "httpcore2", "asyncio", "grpc"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, session and trace, fields of `extra`, the error."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._redact = Redaction(secrets)

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._redact(record.getMessage()),
        }
        correlation_id = session_of(record)
        if correlation_id:
            line["correlation_id"] = correlation_id
            line["trace_id"] = correlation_id.replace("-", "")
        for name, value in vars(record).items():
            if name not in _OWN and name not in line:
                line[name] = HIDDEN if SECRET_NAME.search(name) else self._plain(value)
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
            line["stack"] = bounded_stack(self.formatException(record.exc_info), self._redact)
        return json_safe(json.dumps(line, ensure_ascii=False))

    def _plain(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        return self._redact(str(value))


class PlainFormatter(logging.Formatter):
    """Lines for people: one for each message, and those of an error below it."""

    def __init__(self, secrets: Iterable[str] = (), form: str = "%(message)s") -> None:
        super().__init__(form)
        self._redact = Redaction(secrets)

    def format(self, record: logging.LogRecord) -> str:
        correlation_id = session_of(record)
        tail = f"  ({correlation_id})" if correlation_id else ""
        record.message = record.getMessage()
        message = one_line(self._redact(f"{self.formatMessage(record)}{tail}"))
        if not record.exc_info:
            return message
        return indented(f"{message}\n{bounded_stack(self.formatException(record.exc_info), self._redact)}")


def bounded_stack(stack: str, redact: Callable[[str], str]) -> str:
    """A stack without secrets, of a length that a log can take: the messages of its exceptions may have any."""
    # Cut twice, so that no half of a secret is left where the first cut was.
    return _cut(redact(_cut(stack, 10 * LONGEST_STACK)), LONGEST_STACK)


def _cut(text: str, longest: int) -> str:
    """The text without its middle, if it is too long: where it happened is at the end."""
    left_out = len(text) - longest
    if left_out <= 0:
        return text
    half = longest // 2
    return f"{text[:half]}\n… {left_out} characters …\n{text[-half:]}"


def session_of(record: logging.LogRecord) -> str:
    """The session of a log line: from `extra`, or else from the enclosing `session` block."""
    return str(getattr(record, "correlation_id", "") or _session.get())


def _human_handler(stream: TextIO) -> logging.Handler:
    from rich.console import Console
    from rich.logging import RichHandler

    console = Console(file=stream, soft_wrap=True)
    return RichHandler(console=console, show_path=False, markup=False, log_time_format="%H:%M:%S")
