"""CSV files as rows: every record of the file is a row, or it is named.

RFC 4180 with the liberties that files take: the separator and the spaces after it are those of the whole file, any line
end ends a record, blank lines are none. Python's reader is the only one that reads a file: two readers would disagree.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from orchestrator_services.tools.text_files import TextFile, UnreadableError, Wrong

SEPARATORS: Final = (",", "\t", ";", "|")
MAX_FIELD_CHARACTERS: Final = 1 << 20
MAX_COLUMNS: Final = 4_096
Row = list[str]


@dataclass(frozen=True)
class Dialect:
    separator: str
    spaced: bool = False
    """Whether a space follows each separator, as in `name, city`."""


def dialect_of(file: TextFile) -> Dialect:
    """The separator that divides all records alike: among those of the first record, the one with the fewest records
    of another width, then with the most columns.

    Raises `UnreadableError` if two would do equally well, and for an empty file.
    """
    first = _first_line(file)
    candidates = [one for one in SEPARATORS if one in first]
    if not candidates:
        return Dialect(",")
    dialects = [Dialect(one, spaced=_is_spaced(first, one)) for one in candidates]
    if len(dialects) == 1:
        return dialects[0]
    found = sorted(((*_fit(file, one), one) for one in dialects), key=lambda fit: fit[:2])
    best, second = found[:2]
    if best[:2] == second[:2]:
        raise UnreadableError(
            f"{best[2].separator!r} and {second[2].separator!r} separate its columns equally well: say which, as "
            "`csv.separator`"
        )
    return best[2]


def records(
    file: TextFile, dialect: Dialect, errors: str, wrong: Callable[[Wrong], None]
) -> Iterator[tuple[int, Row]]:
    """The records with the number of their first line; a blank line is an empty one. Calls `wrong` with each that
    cannot be read as one."""
    csv.field_size_limit(max(csv.field_size_limit(), MAX_FIELD_CHARACTERS))
    with file.opened(errors) as text:
        reader = csv.reader(text, delimiter=dialect.separator, strict=True, skipinitialspace=dialect.spaced)
        while True:
            begun = reader.line_num + 1
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                wrong(Wrong(begun, _explained(str(error), begun, reader.line_num)))
            else:
                yield begun, row


def shape_problem(row: Sequence[str], width: int) -> str:
    """What is wrong with a row below a header of that many columns; empty if nothing."""
    if len(row) != width:
        return f"has {len(row)} fields where the header has {width}"
    for field in row:
        if "\0" in field:
            return "has a NUL character: the file is not text, or has another encoding"
        try:
            field.encode()
        except UnicodeEncodeError:
            return "is not UTF-8 text"
    return ""


def _first_line(file: TextFile) -> str:
    with file.opened("surrogateescape") as text:
        for line in text:
            if line.strip():
                return line
    raise UnreadableError("it is empty: the first line names the columns")


def _is_spaced(line: str, separator: str) -> bool:
    """Whether each separator of the header is followed by a space."""
    parts = line.split(separator)
    return all(part.startswith(" ") for part in parts[1:])


def _fit(file: TextFile, dialect: Dialect) -> tuple[int, int]:
    """How many records have another width than the first, and its width, negative."""
    others = 0

    def count(_wrong: Wrong) -> None:
        nonlocal others
        others += 1

    width = 0
    for _, row in records(file, dialect, "surrogateescape", count):
        if not row:
            continue
        width = width or len(row)
        others += len(row) != width
    return others, -width


def _explained(error: str, begun: int, ended: int) -> str:
    if "unexpected end of data" in error:
        return "opens a quote that is never closed"
    if "field larger" in error:
        return f"has a field of more than {MAX_FIELD_CHARACTERS} characters, or a quote that is not closed"
    if "expected after" in error:
        lines = f" (in a record that ends in line {ended})" if ended > begun else ""
        return f"has text after a closing quote{lines}: a quote inside of quotes is written twice"
    return f"cannot be read: {error}"
