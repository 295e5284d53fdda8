"""Writing to stdout and stderr: JSON, lines, tables and fields. Errors and progress go to stderr.

`Shell.show` and `Shell.show_item` decide whether a result is written as JSON or as text.
"""

import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console


class Output(StrEnum):
    """The format of results."""

    TEXT = "text"
    JSON = "json"


def write_json(content: Any) -> None:
    """One JSON document on stdout, indented."""
    import msgspec

    sys.stdout.write(msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n")


def write_json_line(content: Any) -> None:
    """One JSON document on one line of stdout, flushed."""
    import msgspec

    sys.stdout.write(msgspec.json.encode(content).decode() + "\n")
    sys.stdout.flush()


def write_json_error(document: dict[str, Any]) -> None:
    """An error document on one line of stderr."""
    import msgspec

    sys.stderr.write(msgspec.json.encode({"error": document}).decode() + "\n")


def write_line(text: str, *, stream: TextIO | None = None) -> None:
    """One line of text, flushed. A terminal gets it without control characters."""
    stream = stream or sys.stdout
    stream.write((printable(text) if stream.isatty() else text) + "\n")
    stream.flush()


def write_note(text: str) -> None:
    """A line on stderr: it accompanies the result and is not part of it."""
    write_line(text, stream=sys.stderr)


def write_warnings(warnings: Iterable[str]) -> None:
    for warning in warnings:
        write_note(f"warning: {warning}")


def write_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    folded: Sequence[str] = (),
    cut: Sequence[str] = (),
) -> None:
    """A table. If it is too wide for the terminal, columns in `folded` wrap and columns in `cut` are truncated.

    Other columns, and all columns without a terminal, are written in full.
    """
    from rich.table import Table
    from rich.text import Text

    shown = [[printable(cell) for cell in row] for row in rows]
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for number, heading in enumerate(headings):
        if heading in folded:
            table.add_column(heading, overflow="fold")
        elif heading in cut:
            table.add_column(heading, overflow="ellipsis", no_wrap=True)
        else:
            width = max((len(row[number]) for row in shown), default=0)
            table.add_column(heading, no_wrap=True, min_width=max(width, len(heading)))
    for row in shown:
        table.add_row(*map(Text, row))
    console = _console()
    with console.capture() as lines:
        console.print(table)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in lines.get().splitlines()))


def write_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Names and values, one pair per line; empty values are omitted."""
    present = [(name, value) for name, value in fields if value]
    width = max((len(name) for name, _ in present), default=0)
    for name, value in present:
        write_line(f"{name.ljust(width)}  {value}")


def write_result(result: Any) -> None:
    """A task's result: text as it is, anything else as JSON."""
    if isinstance(result, str):
        write_line(result.removesuffix("\n"))
    else:
        write_json(result)


def printable(text: str) -> str:
    """The text with control characters escaped: goals and results come from others and must not control the
    terminal."""
    return "".join(char if char.isprintable() or char in "\n\t" else f"\\x{ord(char):02x}" for char in text)


def _console() -> "Console":
    from rich.console import Console

    # Without a terminal Rich assumes 80 columns and would cut what a program reads.
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else 10_000, highlight=False)
