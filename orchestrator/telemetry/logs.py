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

LONGEST: Final = 20_000
"""Characters of a message, a field or a stack."""
_MARGIN: Final = 4_000
"""Characters of the longest secret that is sure to be hidden where a text is cut: tokens have up to 2,000."""
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
            "message": bounded(record.getMessage(), self._redact),
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
            line["stack"] = bounded(self.formatException(record.exc_info), self._redact)
        return json_safe(json.dumps(line, ensure_ascii=False))

    def _plain(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        return bounded(str(value), self._redact)


class PlainFormatter(logging.Formatter):
    """Lines for people: one for each message, and those of an error below it."""

    def __init__(self, secrets: Iterable[str] = (), form: str = "%(message)s") -> None:
        super().__init__(form)
        self._redact = Redaction(secrets)

    def format(self, record: logging.LogRecord) -> str:
        correlation_id = session_of(record)
        tail = f"  ({correlation_id})" if correlation_id else ""
        record.message = record.getMessage()
        message = one_line(bounded(f"{self.formatMessage(record)}{tail}", self._redact))
        if not record.exc_info:
            return message
        return indented(f"{message}\n{bounded(self.formatException(record.exc_info), self._redact)}")


def bounded(text: str, redact: Callable[[str], str]) -> str:
    """The text without secrets, and without its middle if it is too long for a log: messages of exceptions may have
    any length. Where it happened is at the end of a stack.

    What is left out is not searched for secrets, but for a margin: a secret that is cut in two is in the margin, which
    is not shown.
    """
    left_out = len(text) - LONGEST
    if left_out <= 2 * _MARGIN:
        return redact(text)
    half = LONGEST // 2
    begin, end = redact(text[: half + _MARGIN])[:-_MARGIN], redact(text[-half - _MARGIN :])[_MARGIN:]
    return f"{begin}\n… {left_out} characters …\n{end}"


def session_of(record: logging.LogRecord) -> str:
    """The session of a log line: from `extra`, or else from the enclosing `session` block."""
    return str(getattr(record, "correlation_id", "") or _session.get())


def _human_handler(stream: TextIO) -> logging.Handler:
    from rich.console import Console
    from rich.highlighter import NullHighlighter
    from rich.logging import RichHandler

    console = Console(file=stream, soft_wrap=True)
    # Its own highlighter takes half a minute for some messages.
    return RichHandler(
        console=console,
        show_path=False,
        markup=False,
        log_time_format="%H:%M:%S",
        highlighter=NullHighlighter(),
        keywords=[],
    )
