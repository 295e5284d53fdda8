"""Text files that others name or send: only regular ones, of bounded size, are read."""

import errno
import os
import stat
from pathlib import Path
from typing import Final

MOST_BYTES: Final = 1_200_000
"""Of a file of definitions, and of one that it names: what its text may have in characters, four bytes each."""

# Opening a named pipe, or a device that is not ready, would wait.
_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)


class FileRefusedError(ValueError):
    """A file that is not read; the message says why and what to do, without the file's name and content."""


def read_text_file(path: Path, most_bytes: int = MOST_BYTES) -> str:
    """The UTF-8 text of a regular file of at most `most_bytes`, with line ends as `\\n`. Raises `FileRefusedError`."""
    try:
        # What it is comes first: opening a device may do something by itself.
        _check(path.stat(), most_bytes)
        with os.fdopen(os.open(path, _FLAGS), "rb") as file:
            _check(os.fstat(file.fileno()), most_bytes)
            content = file.read(most_bytes + 1)
    except OSError as error:
        raise FileRefusedError(f"cannot be read: {error.strerror or type(error).__name__}") from None
    except ValueError as error:
        if isinstance(error, FileRefusedError):
            raise
        raise FileRefusedError("cannot be read: its name is no path") from None
    if len(content) > most_bytes:
        raise FileRefusedError(_too_large(most_bytes))
    try:
        return content.decode().replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise FileRefusedError(f"is no UTF-8 text: see its byte {error.start}") from None


def read_text_below(folder: Path, name: str, most_bytes: int = MOST_BYTES) -> str:
    """The text of a file that a document in `folder` names: `read_text_file`, below the folder once all links are
    followed. Raises `FileRefusedError`."""
    try:
        root, place = folder.resolve(), (folder / name).resolve()
    except RuntimeError:
        # Python before 3.13 says so; later ones leave it to the system.
        raise FileRefusedError(f"cannot be read: {os.strerror(errno.ELOOP)}") from None
    except OSError as error:
        raise FileRefusedError(f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise FileRefusedError("cannot be read: its name is no path") from None
    if not place.is_relative_to(root):
        raise FileRefusedError(
            "is outside the folder of the document that names it: put it beside the document, or below"
        )
    return read_text_file(place, most_bytes)


def _check(status: os.stat_result, most_bytes: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise FileRefusedError("is no regular file")
    if status.st_size > most_bytes:
        raise FileRefusedError(_too_large(most_bytes))


def _too_large(most_bytes: int) -> str:
    return f"has more than {most_bytes} bytes, which are allowed; make it shorter"
