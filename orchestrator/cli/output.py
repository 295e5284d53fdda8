"""Writing to stdout and stderr: JSON, lines, tables and fields. Errors and progress go to stderr.

`Shell.show` and `Shell.show_item` decide whether a result is written as JSON or as text.
"""

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import IO, Any, AnyStr, Final, TextIO

import typer

from orchestrator.cli.streams import discard_output
from orchestrator.cli.tables import laid_out, shortened
from orchestrator.errors import OrchestratorError
from orchestrator.telemetry.plain_text import indented, json_safe, one_line, printable

MOST_ROWS: Final = 1_000_000
"""Of one table: all of it is held in memory."""
MOST_WARNINGS: Final = 20
LONGEST_WARNING: Final = 2_000
"""Terminal cells."""


class OutputError(OrchestratorError):
    """Standard output does not take the result."""


class ResultLostError(OutputError):
    """What was asked for is done, and standard output does not take the result. The text says what was done."""

    def __init__(self, message: str, document: Any, *, is_unread: bool) -> None:
        super().__init__(message)
        self.document = document
        """The result as JSON data."""
        self.is_unread = is_unread
        """Whether nobody reads standard output any more."""


class Output(StrEnum):
    """The format of results."""

    TEXT = "text"
    JSON = "json"


def write_json(content: Any) -> None:
    """One JSON document on stdout, indented."""
    _write(sys.stdout, _json(content, indent=2) + "\n")


def write_json_line(content: Any) -> None:
    """One JSON document on one line of stdout."""
    _write(sys.stdout, _json(content) + "\n")


def write_bytes(content: bytes) -> None:
    """Bytes as they are, on stdout."""
    _write(sys.stdout.buffer, content)


def write_json_error(document: dict[str, Any]) -> None:
    """An error document on one line of stderr."""
    _write(sys.stderr, _json({"error": document}) + "\n")


def write_line(text: str, *, stream: TextIO | None = None) -> None:
    """Text and a line end. No control character of the text gets out, wherever it goes: what a file or a pipe
    holds is shown in a terminal later."""
    _write(stream or sys.stdout, printable(text) + "\n")


def write_note(text: str) -> None:
    """A line on stderr: it accompanies the result and is not part of it."""
    write_line(indented(text), stream=sys.stderr)


def write_warnings(warnings: Iterable[str]) -> None:
    """The first ones, each to a length, and how many more there are: messages of others cause them."""
    found = list(warnings)
    for warning in found[:MOST_WARNINGS]:
        write_note(f"warning: {shortened(warning, LONGEST_WARNING)}")
    if len(found) > MOST_WARNINGS:
        write_note(f"warning: and {len(found) - MOST_WARNINGS:,} more")


def write_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    folded: Sequence[str] = (),
    cut: Sequence[str] = (),
) -> None:
    """A table. In a terminal, columns in `folded` wrap and columns in `cut` are truncated to its width, and others
    to the length of the longest name.

    Without a terminal, all columns are written in full.
    """
    is_terminal = sys.stdout.isatty()
    shown = [[one_line(cell) for cell in row] for row in rows]
    width = shutil.get_terminal_size().columns if is_terminal else None
    heading, *lines = laid_out(headings, shown, width=width, folded=folded, cut=cut)
    if is_terminal and os.environ.get("TERM") != "dumb":
        heading = typer.style(heading, bold=True)
    _write(sys.stdout, "".join(f"{line}\n" for line in (heading, *lines)))


def write_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Names and values, one pair per line; empty values are omitted."""
    present = [(name, value) for name, value in fields if value]
    width = max((len(name) for name, _ in present), default=0)
    for name, value in present:
        write_line(f"{name.ljust(width)}  {one_line(value)}")


def write_result(result: Any) -> None:
    """A task's result: text as it is, anything else as JSON."""
    if isinstance(result, str):
        write_line(result.removesuffix("\n"))
    else:
        write_json(result)


def _json(content: Any, *, indent: int | None = None) -> str:
    import msgspec

    try:
        encoded = msgspec.json.encode(content)
        return json_safe(
            (encoded if indent is None else msgspec.json.format(encoded, indent=indent)).decode()
        )
    except (UnicodeError, msgspec.DecodeError):
        # Half of a character, which JSON can hold and UTF-8 cannot: msgspec neither writes nor reads it.
        import json

        return json.dumps(msgspec.to_builtins(content), indent=indent)


def _write(stream: IO[AnyStr], content: AnyStr) -> None:
    """Writes and flushes: a command knows then whether its result was taken.

    Raises `OutputError`, but for stderr: what accompanies the result fails nothing. `BrokenPipeError` is for the
    program: nobody reads on.
    """
    try:
        stream.write(content)
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        if stream is not sys.stderr:
            discard_output()
            raise OutputError(f"standard output cannot be written: {error.strerror or error}") from None
