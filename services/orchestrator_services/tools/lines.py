"""Lines of a text file as a table, whatever bytes they have."""

import codecs
from collections.abc import Iterator
from typing import Final

import duckdb

from orchestrator_services.tools.text_files import TextFile

LONGEST: Final = 1 << 20
"""Bytes of a line. A longer one is not kept: none that is read for its words is so long."""
BLOCK_BYTES: Final = 4 << 20
UNREADABLE: Final = "\0"
"""Stands for a line that is not text. No line that is read for its words has this character."""


def load_lines(connection: duckdb.DuckDBPyConnection, file: TextFile) -> None:
    """Loads the lines into the table `raw_lines`, with `number` from 1 and `line`, null for one that is not UTF-8 or
    too long. Line feeds end lines; one at the end of the file begins no line.

    Raises `UnreadableError` for a packed file that is cut off.
    """
    connection.execute("CREATE TABLE raw_lines (number BIGINT, line VARCHAR)")
    number = 1
    for block in _blocks(file):
        connection.execute(
            """
            INSERT INTO raw_lines
            SELECT $number + place - 1, CASE WHEN strlen(line) <= $longest THEN nullif(line, chr(0)) END
            FROM (SELECT unnest(lines) AS line, generate_subscripts(lines, 1) AS place
                  FROM (SELECT string_split($block, chr(10)) AS lines))
            """,
            {"number": number, "longest": LONGEST, "block": _text(block)},
        )
        number += block.count(b"\n") + 1


def _blocks(file: TextFile) -> Iterator[bytes]:
    """The file in blocks of whole lines, without the line feed at the end of each block."""
    rest = b""
    with file.bytes() as content:
        rest = content.read(len(codecs.BOM_UTF8)).removeprefix(codecs.BOM_UTF8)
        while block := content.read(BLOCK_BYTES):
            rest += block
            end = rest.rfind(b"\n")
            if end >= 0:
                yield rest[:end]
                rest = rest[end + 1 :]
            elif len(rest) > LONGEST:
                # Enough to be too long.
                rest = rest[: LONGEST + 1]
    if rest:
        yield rest.removesuffix(b"\n")


def _text(block: bytes) -> str:
    try:
        return block.decode()
    except UnicodeDecodeError:
        return "\n".join(map(_line, block.split(b"\n")))


def _line(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return UNREADABLE
