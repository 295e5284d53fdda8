"""Writing results: tables and text for people, JSON for programs. Errors and progress go to stderr."""

import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console


class Output(StrEnum):
    """For whom a command writes."""

    TEXT = "text"
    JSON = "json"


def write_json(content: Any) -> None:
    """One JSON document on stdout."""
    import msgspec

    sys.stdout.write(msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n")


def write_json_line(content: Any) -> None:
    """One line of a stream of JSON documents, there at once."""
    import msgspec

    sys.stdout.write(msgspec.json.encode(content).decode() + "\n")
    sys.stdout.flush()


def write_line(text: str, *, stream: TextIO | None = None) -> None:
    """One line for people, there at once."""
    stream = stream or sys.stdout
    stream.write((printable(text) if stream.isatty() else text) + "\n")
    stream.flush()


def write_note(text: str) -> None:
    """A line beside the result: it is not part of what a pipe gets."""
    write_line(text, stream=sys.stderr)


def write_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    folded: Sequence[str] = (),
    cut: Sequence[str] = (),
) -> None:
    """A table. Where the terminal is too narrow, columns of `folded` take several lines and those of `cut` lose
    their ends; the others, and all columns where there is no terminal, are shown whole.
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
    """Names and values, one a line; empty values are left out."""
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
    """The text without what a terminal would take for a command: goals and results are strangers' words."""
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else f"\\x{ord(letter):02x}" for letter in text
    )


def _console() -> "Console":
    from rich.console import Console

    # Rich takes 80 columns for whatever is no terminal, and would cut what a program reads.
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else 10_000, highlight=False)
