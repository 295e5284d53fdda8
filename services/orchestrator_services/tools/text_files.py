"""Text files of unknown encoding, plain or packed, with the line of what is wrong with them."""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal, TextIO

from orchestrator.sdk import InvalidInput
from orchestrator_services.tools.settings import PREFIX

Encoding = Literal["utf-8", "utf-16", "windows-1252", "latin-1"]
MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
"""Byte order marks. That of UTF-8 is dropped with the encoding `utf-8-sig`."""
MAX_NAMED = 20
"""Rows that are named of those that were left out."""


@dataclass(frozen=True)
class Wrong:
    """What is wrong with a file, and in which line, from 1."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line} {self.reason}"


@dataclass
class LeftOut:
    """Rows that were left out of a table: how many, and the first of them."""

    count: int = 0
    first: list[Wrong] = field(default_factory=list)

    def add(self, wrong: Wrong) -> None:
        self.count += 1
        if len(self.first) < MAX_NAMED:
            self.first.append(wrong)


class UnreadableError(Exception):
    """A file that is not what its suffix says. The text says why, and names the line if there is one."""


class UnreadableRowError(UnreadableError):
    """A row that cannot be read, in a file whose other rows may be: a lenient reading leaves it out."""


@dataclass(frozen=True)
class TextFile:
    """A text file: `path` as the caller named it, `place` where it is, and the most bytes that may come out of it."""

    path: str
    place: Path
    max_bytes: int
    encoding: Encoding | None = None
    """None: UTF-16 if it has a byte order mark of it, UTF-8 otherwise."""

    @contextmanager
    def opened(self, errors: str = "strict") -> Iterator[TextIO]:
        """The text, without a byte order mark, line ends as they are.

        Raises `UnreadableError` inside for bytes that are no text in this encoding and for a file that is cut off,
        `InvalidInput` for one that unpacks to more than `max_bytes`.
        """
        with self.bytes() as content:
            try:
                yield io.TextIOWrapper(content, self._codec(), errors, newline="")
            except UnicodeDecodeError:
                raise self._undecodable() from None

    @property
    def is_marked(self) -> bool:
        """Whether a byte order mark comes before the text."""
        with self.bytes() as content:
            return content.read(3).startswith((*MARKS, codecs.BOM_UTF8))

    @contextmanager
    def bytes(self) -> Iterator[BinaryIO]:
        """What is in the file, unpacked. Raises as `opened` does."""
        with self.place.open("rb") as raw:
            if not self.path.endswith(".gz"):
                yield raw
                return
            try:
                yield io.BufferedReader(_Bounded(gzip.GzipFile(fileobj=raw), self))
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise UnreadableError(f"it cannot be unpacked: {error}") from None

    def _codec(self) -> str:
        if self.encoding not in (None, "utf-8", "utf-16"):
            return str(self.encoding)
        with self.bytes() as content:
            mark = content.read(2)
        unmarked = "utf-16-le" if self.encoding == "utf-16" else "utf-8-sig"
        return MARKS.get(mark, unmarked)

    def _undecodable(self) -> UnreadableError:
        """Says which line is not text. Decoders tell only that a block of the file is not."""
        codec = self._codec()
        if codec.startswith("utf-16"):
            return UnreadableError("it is not UTF-16 text throughout")
        with self.bytes() as content:
            is_first = True
            for number, line in enumerate(content, start=1):
                try:
                    is_first = not line.decode(codec).strip() and is_first
                except UnicodeDecodeError as error:
                    bad = line[error.start : error.start + 1].hex()
                    # Without its first line, which may be the header, a file has nothing.
                    kind = UnreadableError if is_first else UnreadableRowError
                    return kind(
                        f"line {number} is not {codec.removesuffix('-sig').upper()} text (byte {bad} in column "
                        f"{error.start + 1}): name the file's encoding, or convert it"
                    )
        return UnreadableError(f"it is not {codec} text throughout")


class _Bounded(io.RawIOBase):
    """What is unpacked, up to the file's limit: a small archive may hold any amount."""

    def __init__(self, content: gzip.GzipFile, file: TextFile) -> None:
        self._content = content
        self._file = file
        self._left = file.max_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        found = self._content.read(len(buffer))
        self._left -= len(found)
        if self._left < 0:
            raise InvalidInput(
                f"{self._file.path!r} unpacks to more than the limit of {self._file.max_bytes} bytes; "
                f"use a smaller file or raise {PREFIX}MAX_FILE_BYTES"
            )
        buffer[: len(found)] = found
        return len(found)
