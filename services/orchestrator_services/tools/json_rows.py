"""JSON files as records: every record of the file is one, or it is named.

A file is an array of records, or records one after the other, as in JSON Lines.
"""

import json
import math
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.sdk.messages import keeps_digits
from orchestrator_services.tools.text_files import UnreadableError, Wrong

LARGEST_INTEGER: Final = (1 << 64) - 1
SMALLEST_INTEGER: Final = -(1 << 63)
"""Beyond them DuckDB reads a number as a DOUBLE, without its last digits."""
SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
HALF_CHARACTER: Final = "has a lone surrogate: half of a character"
SPACE: Final = re.compile(r"[ \t\r\n]*")


class _UnfitError(Exception):
    """A value that is valid to the parser, and that a table cannot hold."""


@dataclass(frozen=True)
class Record:
    """A record's place in the text, its first line, and whether it is an object."""

    begin: int
    end: int
    line: int
    is_object: bool


Report = Callable[[Wrong], None]
"""Gets what cannot be a record. It may raise, to end the reading."""


def records_in(text: str, wrong: Report) -> tuple[bool, list[Record]]:
    """Whether the text is one array, and its records.

    Raises `UnreadableError` where it cannot go on: in an array that is no JSON.
    """
    start = _after_space(text, 0)
    if text.startswith("[", start):
        problems: list[Wrong] = []
        records, end = _in_array(text, start, problems.append)
        if _after_space(text, end) == len(text):
            for problem in problems:
                wrong(problem)
            return True, records
    return False, list(_in_sequence(text, start, wrong))


def _in_array(text: str, start: int, wrong: Report) -> tuple[list[Record], int]:
    """The records of an array, and where it ends."""
    records: list[Record] = []
    position, line = _after_space(text, start + 1), _Lines(text)
    if text.startswith("]", position):
        return records, position + 1
    while True:
        record, position = _read(text, position, line(position), wrong, must_go_on=True)
        if record is not None:
            records.append(record)
        position = _after_space(text, position)
        if text.startswith("]", position):
            return records, position + 1
        if not text.startswith(",", position):
            cut = " (the file is cut off)" if position == len(text) else ""
            raise UnreadableError(
                f"line {line(position)} is not JSON: a comma or the array's end is missing{cut}"
            )
        position = _after_space(text, position + 1)


def _in_sequence(text: str, position: int, wrong: Report) -> Iterator[Record]:
    line = _Lines(text)
    while position < len(text):
        record, position = _read(text, position, line(position), wrong, must_go_on=False)
        if record is not None:
            yield record
        position = _after_space(text, position)


def _read(text: str, begin: int, line: int, wrong: Report, *, must_go_on: bool) -> tuple[Record | None, int]:
    """The record at `begin`, None if it cannot be one, and where to continue."""
    try:
        value, end = _STRICT.raw_decode(text, begin)
        _encodable(text, begin, end)
        return Record(begin, end, line, value is _OBJECT), end
    except (_UnfitError, json.JSONDecodeError, RecursionError) as error:
        unfit = str(error)
    try:
        # Behind a value that does not fit, the record may still turn out to be no JSON.
        end = _SCANNER.raw_decode(text, begin)[1]
    except json.JSONDecodeError as error:
        # In an array it is the place that helps, in JSON Lines the record.
        at = line + (text.count("\n", begin, error.pos) if must_go_on else 0)
        cut = " (the file is cut off)" if _after_space(text, error.pos) == len(text) else ""
        problem = Wrong(at, f"is not JSON: {error.msg}{cut}")
    except RecursionError:
        problem = Wrong(line, "is nested too deeply")
    else:
        wrong(Wrong(line, unfit))
        return None, end
    if must_go_on:
        raise UnreadableError(str(problem))
    wrong(problem)
    following = text.find("\n", begin)
    return None, len(text) if following < 0 else following + 1


def _encodable(text: str, begin: int, end: int) -> None:
    part = text[begin:end]
    try:
        if not part.isascii():
            part.encode()
    except UnicodeEncodeError:
        raise _UnfitError("is not UTF-8 text") from None
    if SURROGATE.search(part):
        try:
            json.dumps(json.loads(part), ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise _UnfitError(HALF_CHARACTER) from None


class _Lines:
    """Numbers of lines at positions that only grow."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._line = 1

    def __call__(self, position: int) -> int:
        self._line += self._text.count("\n", self._position, position)
        self._position = position
        return self._line


def _after_space(text: str, position: int) -> int:
    found = SPACE.match(text, position)
    return found.end() if found else position


def problem_of(text: str, exact: Collection[str]) -> str:
    """What is wrong with a text that is to be one object; empty if nothing. Its numbers under the keys `exact` have
    to keep their digits in SQL; others do not count."""
    try:
        record, end = _DIGITS.raw_decode(text)
        if SURROGATE.search(text):
            json.dumps(record, ensure_ascii=False).encode()
    except _UnfitError as error:
        return str(error)
    except json.JSONDecodeError as error:
        return f"is not JSON: {error.msg}"
    except UnicodeEncodeError:
        return HALF_CHARACTER
    except RecursionError:
        return "is nested too deeply"
    if not isinstance(record, dict):
        return "is no object"
    if _after_space(text, end) != len(text):
        return "has something behind its record"
    numbers = (record[key] for key in exact if isinstance(record.get(key), _Digits))
    return next((_lossy(number) for number in numbers if not keeps_digits(number)), "")


_OBJECT: Final = object()
"""Stands for every object: its content is checked, and not kept."""


class _Digits(str):
    """A number as it is written."""

    __slots__ = ()


def _object(pairs: list[tuple[str, Any]]) -> object:
    _refuse_twice(pairs)
    return _OBJECT


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _refuse_twice(pairs)
    return dict(pairs)


def _refuse_twice(pairs: list[tuple[str, Any]]) -> None:
    names = {name for name, _ in pairs}
    if len(names) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise _UnfitError(f"has the key {twice!r} twice in one object")


def _integer(digits: str) -> int:
    if len(digits) >= 19 and (len(digits) > 21 or not SMALLEST_INTEGER <= int(digits) <= LARGEST_INTEGER):
        raise _UnfitError(
            f"has an integer of {len(digits)} characters, which numbers of SQL do not keep: write it as text"
        )
    return 0


def _float(digits: str) -> float:
    if math.isinf(float(digits)):
        raise _UnfitError(f"has the number {digits[:30]}, which is too large")
    if not keeps_digits(digits):
        raise _UnfitError(f"{_lossy(digits)}: write it as text")
    return 0.0


def _lossy(digits: str) -> str:
    return f"has the number {digits[:30]}, whose digits SQL does not keep"


def _constant(name: str) -> float:
    raise _UnfitError(f"has {name}, which is not JSON: write null")


_STRICT: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
_DIGITS: Final = json.JSONDecoder(
    object_pairs_hook=_mapping, parse_int=_Digits, parse_float=_Digits, parse_constant=_constant
)
_SCANNER: Final = json.JSONDecoder(
    object_pairs_hook=lambda _pairs: None,
    parse_int=lambda _digits: 0,
    parse_float=lambda _digits: 0.0,
    parse_constant=lambda _name: 0,
)
"""Finds where a value ends."""
