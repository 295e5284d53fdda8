"""Files of users into tables: rows in are rows out, or a refusal that names the line."""

import csv
import io
import json
import re
import tempfile
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, Final

import duckdb
from orchestrator_services.tools.csv_rows import Dialect, dialect_of, records, shape_problem
from orchestrator_services.tools.duck import connect
from orchestrator_services.tools.json_rows import problem_of, records_in
from orchestrator_services.tools.settings import ToolSettings
from orchestrator_services.tools.sql import select
from orchestrator_services.tools.tables import Reading, load_tables
from orchestrator_services.tools.text_files import TextFile, UnreadableError, Wrong

from orchestrator.sdk import HandlerError, InvalidInput
from tests.fuzz.mutators.bodies import change_bytes
from tests.fuzz.mutators.grammar import pieces_of, text_of
from tests.fuzz.mutators.texts import PIECES, change_text
from tests.fuzz.target import Target, promise

_LINE: Final = re.compile(r"\bline \d+\b")
_WITHOUT_LINE: Final = re.compile(
    r"empty|separate its columns equally well|UTF-16|unpacked|columns|records|text throughout"
)
_LONGEST: Final = 3_000
_GRAMMARS: Final = {
    "csv": {
        "start": (
            "<header>\n<rows>",
            "\ufeff<header>\r\n<rows>",
            "<rows>",
            "<header>",
            "name;city\n1;<cell>\n",
        ),
        "header": (
            "a,b,c",
            "name,city",
            '"a","b"',
            "2024,2025,2026",
            "a;b",
            "a\tb",
            "a, b, c",
            "a,A",
            "a,",
            "x",
        ),
        "rows": ("<row>\n", "<row>\n<rows>", "<row>\r\n<rows>", "<row>\n\n<rows>", "<row>"),
        "row": (
            "<cell>,<cell>,<cell>",
            "<cell>,<cell>",
            "<cell>;<cell>",
            "<cell>\t<cell>",
            "<cell>",
            "<cell>, <cell>",
        ),
        "cell": (
            *(
                "1",
                "a",
                "",
                '"<cell>"',
                '"a""b"',
                '"a\nb"',
                "1.5",
                "007",
                "2024-01-01",
                "true",
                "null",
                "NaN",
                "1e400",
            ),
            *(
                "12345678901234567890",
                "é",
                "\0",
                '"a" b',
                'a"b',
                "'x'",
                " ",
                "12:30",
                "2024-13-45",
                "-",
                "0x10",
            ),
        ),
    },
    "json": {
        "start": ("[<items>]", "<lines>", "<value>", "\ufeff[<items>]", " [<items>] x"),
        "items": ("<value>", "<value>, <items>", "<value>,\n<items>", ""),
        "lines": ("<value>\n", "<value>\n<lines>", "<value> <lines>"),
        "value": (
            '{"a": <leaf>}',
            '{"a": <leaf>, "b": <value>}',
            "<leaf>",
            "[<items>]",
            "{<leaf>}",
            '{"a": 1, "a": 2}',
        ),
        "leaf": (
            *(
                "1",
                '"x"',
                "null",
                "true",
                "1e999",
                "NaN",
                "-0",
                "1.50",
                '"\\ud800"',
                '"\\ud83d\\ude00"',
                "{}",
                "[]",
            ),
            *("18446744073709551616", "0123", '"\n"', '"é"', "-Infinity", "'x'", "1" * 30, '"2024-01-01"'),
        ),
    },
    "log": {
        "start": ("<line>\n", "<line>\n<start>", "<line>\r\n<start>", "<line>"),
        "line": (
            '<host> - - [<time>] "<method> <path> HTTP/1.1" <status> <bytes> <latency>',
            '<host> - - [<time>] "<method> <path> HTTP/1.1" <status> <bytes> "-" "agent \\" x" <latency>',
            '{"time": "<time>", "path": "<path>", "status": <status>, "latency_ms": <latency>}',
            '{"ts": "<time>", "url": "<path>", "status": "<status>", "duration_ms": <latency>, "bytes": <bytes>}',
            "",
            "garbage",
        ),
        "host": ("127.0.0.1", "::1", "a"),
        "time": (
            "2026-11-02T10:15:30.123Z",
            "10/Oct/2000:13:55:36 -0700",
            "infinity",
            "0000-00-00",
            "9999-12-31",
            "x",
        ),
        "method": ("GET", "POST", "get"),
        "path": (
            "/a",
            "/a/1?b=c",
            "/\ud800",
            "/%00",
            "//",
            "/a b",
            "",
            "/0190b2c4-7f3a-7c1e-9d2b-3f4a5b6c7d8e",
        ),
        "status": ("200", "99999999999", "-1", "404"),
        "bytes": ("-", "0", "99999999999999999999", "5120"),
        "latency": ("1.5", "-1", "1e400", "NaN", "0", '"x"'),
    },
}
_SUFFIXES: Final = {"csv": ".csv", "json": ".json", "log": ".log"}


@cache
def folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="fuzz-tables-"))


@cache
def settings() -> ToolSettings:
    return ToolSettings(files_root=folder(), sql_memory="256MB", sql_threads=1)


def _file(kind: str, content: bytes) -> TextFile:
    place = folder() / f"data{_SUFFIXES[kind]}"
    place.write_bytes(content)
    return TextFile(place.name, place, 1 << 20)


# -- rows: without a database, so that many files can be tried


def check_csv(content: bytes) -> None:
    file = _file("csv", content)
    try:
        dialect = dialect_of(file)
        found = list(records(file, dialect, "strict", _refuse))
    except (UnreadableError, InvalidInput) as error:
        _named(str(error))
        return
    text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    promise([row for _, row in found] == _rows(text, dialect), "records are those of the file")
    for _, row in found:
        problem = shape_problem(row, len(row))
        promise(not problem or "NUL" in problem, f"a row of text is one: {problem}")
    lines = [line for line, _ in found]
    promise(lines == sorted(lines), "records are in order")
    # What is between separators and quotes is in some field.
    kept = "".join("".join(row) for _, row in found)
    promise(_letters(kept) == _letters(text), "no letter is lost")


def _rows(text: str, dialect: Dialect) -> list[list[str]]:
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=dialect.separator,
        strict=True,
        skipinitialspace=dialect.spaced,
    )
    return list(reader)


def _letters(text: str) -> str:
    return "".join(char for char in text if char.isalnum())


def check_json(content: bytes) -> None:
    text = content.decode("utf-8", "surrogateescape")
    if not problem_of(text, ("status",)):
        promise(isinstance(json.loads(text), dict), "what is to be one object and has no problem is one")
    left_out: list[Wrong] = []
    try:
        _, strict = records_in(text, _refuse)
    except UnreadableError as error:
        _named(str(error))
        strict = None
    try:
        in_array, found = records_in(text, left_out.append)
    except UnreadableError as error:
        _named(str(error))
        promise(strict is None, "what is strictly read is leniently read")
        return
    promise((strict is None) == bool(left_out), "strictly is leniently without anything left out")
    for one in found:
        json.loads(text[one.begin : one.end])
    for earlier, later in pairwise(found):
        promise(earlier.end <= later.begin, "records are one after the other")
    if in_array and not left_out:
        promise(len(json.loads(text.strip(" \t\r\n"))) == len(found), "every item is a record")


def _refuse(wrong: Wrong) -> None:
    raise UnreadableError(str(wrong))


# -- tables: with the database that holds them


def check_tables(content: bytes) -> None:
    """The first byte says what kind of file it is, and whether rows may be left out."""
    kind = tuple(_SUFFIXES)[content[0] % 3] if content else "csv"
    lenient = bool(content[:1] >= b"\x80")
    file = _file(kind, content[1:])
    with connect(settings()) as connection:
        try:
            left_out = load_tables(connection, {"data": file.path}, settings(), Reading(lenient=lenient))
        except HandlerError as error:
            _told(error)
            return
        promise(lenient or not any(one.count for one in left_out.values()), "strictly nothing is left out")
        rows = _count(connection)
        if not lenient:
            promise(rows == _expected(kind, content[1:], rows), f"{rows} rows of the file are in its table")
        try:
            json.dumps(select(connection, "SELECT * FROM data", 100, settings()).model_dump()).encode()
        except HandlerError as error:
            _told(error)


def _count(connection: duckdb.DuckDBPyConnection) -> int:
    (rows,) = connection.execute("SELECT count(*) FROM data").fetchone() or (0,)
    return int(rows)


def _expected(kind: str, content: bytes, rows: int) -> int:
    """How many rows a file has that was read strictly."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return rows
    if kind == "log":
        text = content.decode("utf-8-sig")
        return sum(bool(line.strip("\r ")) for line in text.split("\n"))
    if kind == "json":
        return len(records_in(content.decode("utf-8-sig"), _refuse)[1])
    found = _rows(content.decode("utf-8-sig"), dialect_of(_file("csv", content)))
    first = next(number for number, row in enumerate(found) if row)
    width = len(found[first])
    body = found[first + 1 :]
    while width == 1 and body and not body[-1]:
        body.pop()
    return len(body) if width == 1 else sum(bool(row) for row in body)


def _named(text: str) -> None:
    promise(bool(_LINE.search(text) or _WITHOUT_LINE.search(text)), f"a refusal names the line: {text}")
    text.encode()


def _told(error: HandlerError) -> None:
    promise(bool(str(error)) and "INTERNAL" not in str(error), f"a refusal says why: {error}")
    promise(str(folder()) not in str(error), "a refusal does not name our folders")


def _target(
    name: str, kinds: tuple[str, ...], check: Any, modules: tuple[str, ...], **options: Any
) -> Target:
    grammars = [_GRAMMARS[kind] for kind in kinds]
    pieces = (*PIECES, *sorted({piece for grammar in grammars for piece in pieces_of(grammar)}))

    def make(random: Random) -> bytes:
        at = random.randrange(len(kinds))
        text = text_of(grammars[at], random)
        prefix = bytes([at + 3 * random.choice((0, 0, 60))]) if len(kinds) > 1 else b""
        encoding = random.choice(("utf-8", "utf-8", "utf-8", "utf-8", "utf-16", "latin-1"))
        return (
            prefix + text.encode(encoding, "surrogatepass" if encoding != "latin-1" else "replace")[:_LONGEST]
        )

    def change(content: bytes, random: Random, other: bytes) -> bytes:
        if random.random() < 0.15:
            return change_bytes(content, random, other)[:_LONGEST]
        text, donor = (one.decode("utf-8", "surrogateescape") for one in (content, other))
        changed = change_text(text, random, donor, pieces)
        return changed.encode("utf-8", "surrogatepass" if random.random() < 0.05 else "replace")[:_LONGEST]

    def kept(content: bytes) -> bytes:
        return content

    return Target(name, modules, make, change, kept, kept, check, suffix="bin", **options)


_TOOLS: Final = "orchestrator_services.tools."
TARGETS: Final = (
    _target(
        "csv", ("csv",), check_csv, (f"{_TOOLS}csv_rows", f"{_TOOLS}text_files"), inputs=8_000, reaches=0.70
    ),
    _target("json", ("json",), check_json, (f"{_TOOLS}json_rows",), inputs=20_000, reaches=0.94),
    _target(
        "tables",
        ("csv", "json", "log"),
        check_tables,
        (
            f"{_TOOLS}access_log",
            f"{_TOOLS}csv_rows",
            f"{_TOOLS}csv_tables",
            f"{_TOOLS}json_tables",
            f"{_TOOLS}lines",
            f"{_TOOLS}tables",
            f"{_TOOLS}text_files",
        ),
        inputs=120,
        reaches=0.74,
    ),
)
