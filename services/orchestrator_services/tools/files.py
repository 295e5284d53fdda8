"""Reading and listing files below the allowed folder."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, BinaryIO

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.sdk import PermanentError, tool
from orchestrator_services.tools.paths import files_folder, is_text
from orchestrator_services.tools.settings import PREFIX, tool_settings

# Of the years 1 and 9999.
FIRST_SECOND = -62_135_596_800
LAST_SECOND = 253_402_300_799
_BLOCK = 1 << 16


class Result(BaseModel):
    model_config = ConfigDict(frozen=True)


class FileText(Result):
    """Lines of a text file, numbered from 1."""

    path: str
    text: str
    first_line: int
    lines: int = Field(description="Lines returned.")
    next_line: int | None = Field(description="Where to continue; null at the end of the file.")
    size: int = Field(description="Bytes of the whole file.")


class FileEntry(Result):
    path: str
    size: int = Field(description="Bytes.")
    modified: str = Field(description="ISO 8601, UTC.")


class FileList(Result):
    files: list[FileEntry]
    truncated: bool
    unnamed: int = Field(default=0, description="Files left out: their names are not UTF-8 text.")


@tool("files.read", capability="file-read", timeout="10s")
def read(
    path: str,
    first_line: Annotated[int, Field(ge=1)] = 1,
    max_lines: Annotated[int, Field(ge=1)] = 10_000,
) -> FileText:
    """Reads lines of a UTF-8 text file; `next_line` says where to continue."""
    settings = tool_settings()
    folder = files_folder(settings)
    taken: list[bytes] = []
    room = settings.max_result_bytes
    next_line = None
    with folder.open(path, settings.max_file_bytes) as file:
        _skip_lines(file, first_line - 1)
        for number, line in enumerate(_lines(file, settings.max_result_bytes), start=first_line):
            room -= len(line)
            if room < 0 or len(taken) == max_lines:
                next_line = number
                break
            taken.append(line)
        size = file.seek(0, 2)
    if next_line is not None and not taken:
        raise PermanentError(
            f"line {next_line} of {path!r} alone is larger than {settings.max_result_bytes} bytes; "
            f"raise {PREFIX}MAX_RESULT_BYTES"
        )
    text = utf8(b"".join(taken))
    if text is None:
        raise PermanentError(f"{path!r} is not UTF-8 text and cannot be read as lines")
    return FileText(
        path=path, text=text, first_line=first_line, lines=len(taken), next_line=next_line, size=size
    )


def _skip_lines(file: BinaryIO, count: int) -> None:
    """Moves behind so many line ends, or to the end. By blocks: a file may have hundreds of millions of lines."""
    while count > 0 and (block := file.read(_BLOCK)):
        ends = block.count(b"\n")
        if ends >= count:
            end = -1
            for _ in range(count):
                end = block.index(b"\n", end + 1)
            file.seek(end + 1 - len(block), os.SEEK_CUR)
        count -= ends


def _lines(file: BinaryIO, longest: int) -> Iterator[bytes]:
    """Lines; of one that is longer than that only its beginning, and more than `longest` bytes of it. A file of one
    line must not be in memory whole."""
    while line := file.readline(longest + 1):
        part = line
        while not part.endswith(b"\n") and (part := file.readline(longest + 1)):
            pass
        yield line


@tool("files.list", capability="file-list", timeout="10s")
def list_files(
    path: Annotated[str, Field(description="A folder.")] = ".",
    pattern: Annotated[
        str, Field(description="*.log at any depth, 2026/**/*.csv from the folder down")
    ] = "**",
    max_results: Annotated[int, Field(ge=1, le=10_000)] = 1_000,
) -> FileList:
    """Lists the files at or below a folder whose name matches a shell pattern."""
    folder = files_folder(tool_settings())
    entries: list[FileEntry] = []
    unnamed = 0
    for place in folder.walk(path, pattern):
        if not is_text(str(place)):
            unnamed += 1
            continue
        if len(entries) == max_results:
            return FileList(files=entries, truncated=True, unnamed=unnamed)
        try:
            status = place.stat()
        except OSError:
            # Deleted meanwhile.
            continue
        entries.append(
            FileEntry(path=folder.name(place), size=status.st_size, modified=_modified(status.st_mtime))
        )
    return FileList(files=entries, truncated=False, unnamed=unnamed)


def _modified(seconds: float) -> str:
    """A file's time; the nearest that a calendar has, because a file system holds any."""
    moment = datetime.fromtimestamp(min(max(int(seconds), FIRST_SECOND), LAST_SECOND), UTC)
    return moment.isoformat().replace("+00:00", "Z")


def utf8(content: bytes) -> str | None:
    """The text; None if the bytes are not UTF-8."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None
