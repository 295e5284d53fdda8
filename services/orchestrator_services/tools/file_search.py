"""Searching the lines of text files below the allowed folder."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Annotated

import duckdb
from pydantic import Field

from orchestrator.sdk import InvalidInput, PermanentError, tool
from orchestrator_services.tools.duck import connect, refusal
from orchestrator_services.tools.files import Result, utf8
from orchestrator_services.tools.heavy import HEAVY
from orchestrator_services.tools.paths import Folder, files_folder, is_text
from orchestrator_services.tools.settings import ToolSettings, tool_settings

MAX_MATCH_CHARACTERS = 500
MAX_SKIPPED = 100

# RE2 takes linear time for any pattern; Python's `re` can block the whole process for hours.
MATCHING_LINES = """
    SELECT number, line FROM (
        SELECT unnest(lines) AS line, generate_subscripts(lines, 1) AS number
        FROM (SELECT string_split($text, chr(10)) AS lines))
    WHERE regexp_matches(line, $pattern) ORDER BY number LIMIT $limit
"""


class Match(Result):
    path: str
    line: int
    text: str = Field(description=f"The line, cut after {MAX_MATCH_CHARACTERS} characters.")


class SearchResult(Result):
    matches: list[Match]
    files_searched: int
    skipped: list[str] = Field(
        description="Files left out: they or their names are not UTF-8, or too large. At most 100."
    )
    truncated: bool = Field(description="Whether `max_results` or the limit on bytes ended the search.")


@tool("files.search", capability="file-search", timeout="30s", isolation=HEAVY)
def search(
    path: Annotated[str, Field(description="A file or a folder.")] = ".",
    pattern: Annotated[str, Field(description="Text to find; empty: every line.")] = "",
    regex: Annotated[bool, Field(description="Whether the pattern is a regular expression (RE2).")] = False,
    ignore_case: bool = False,
    glob: Annotated[str, Field(description="Which files of a folder: *.log, 2026/**/*.csv")] = "**",
    max_results: Annotated[int, Field(ge=1, le=10_000)] = 1_000,
) -> SearchResult:
    """Finds the lines that contain a text or match a regular expression, in a file or a folder.

    Without a pattern every line is found. `glob` chooses a folder's files, as the pattern of files.list does.
    """
    settings = tool_settings()
    folder = files_folder(settings)
    matches: list[Match] = []
    skipped: list[str] = []
    searched = 0
    room = settings.max_file_bytes
    result_room = settings.max_result_bytes
    with _finder(settings, pattern, regex, ignore_case) as find:
        for place in folder.walk(path, glob):
            if not is_text(str(place)):
                skipped.append(ascii(place.name))
                continue
            name = folder.name(place)
            alone = folder.locate(path) == place
            content = _content(folder, name, settings, alone)
            if content is None:
                skipped.append(name)
                continue
            room -= len(content)
            if room < 0:
                return _found(matches, searched, skipped, truncated=True)
            searched += 1
            for number, line in find(content, max_results - len(matches) + 1):
                match = Match(path=name, line=number, text=line[:MAX_MATCH_CHARACTERS])
                result_room -= len(match.text) + len(name)
                if len(matches) == max_results or result_room < 0:
                    return _found(matches, searched, skipped, truncated=True)
                matches.append(match)
    return _found(matches, searched, skipped, truncated=False)


Find = Callable[[str, int], list[tuple[int, str]]]
"""Takes a text and a limit, returns that many matching lines at most, with their numbers."""


@contextmanager
def _finder(settings: ToolSettings, pattern: str, regex: bool, ignore_case: bool) -> Iterator[Find]:
    if regex:
        with connect(settings) as connection:
            yield partial(_matching, connection, settings, f"(?i){pattern}" if ignore_case else pattern)
    else:
        yield partial(_containing, pattern, ignore_case)


def _matching(
    connection: duckdb.DuckDBPyConnection, settings: ToolSettings, pattern: str, text: str, limit: int
) -> list[tuple[int, str]]:
    parameters = {"text": text, "pattern": pattern, "limit": limit}
    try:
        found = connection.execute(MATCHING_LINES, parameters).fetchall()
    except duckdb.Error as error:
        raise refusal(error, f"searching for {pattern!r} failed", settings) from None
    return [(int(number), str(line)) for number, line in found]


def _containing(wanted: str, ignore_case: bool, text: str, limit: int) -> list[tuple[int, str]]:
    if ignore_case:
        wanted = wanted.lower()
    if wanted not in (text.lower() if ignore_case else text):
        return []
    numbered = enumerate(text.split("\n"), start=1)
    found = ((number, line) for number, line in numbered if wanted in (line.lower() if ignore_case else line))
    return list(islice(found, limit))


def _content(folder: Folder, name: str, settings: ToolSettings, alone: bool) -> str | None:
    """The text of a file; None if it is to be skipped. A file that the call names is never skipped."""
    try:
        with folder.open(name, settings.max_file_bytes) as file:
            content = utf8(file.read())
    except InvalidInput:
        if alone:
            raise
        return None
    if content is None and alone:
        raise PermanentError(f"{name!r} is not UTF-8 text and cannot be searched")
    # Line ends are not part of a line, including those of Windows and of the last line.
    return content and content.replace("\r\n", "\n").removesuffix("\n")


def _found(matches: list[Match], searched: int, skipped: list[str], truncated: bool) -> SearchResult:
    return SearchResult(
        matches=matches, files_searched=searched, skipped=skipped[:MAX_SKIPPED], truncated=truncated
    )
