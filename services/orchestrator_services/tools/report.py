"""Reports in Markdown, made from what earlier steps returned."""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from orchestrator.sdk import InvalidInput, PermanentError, TransientError, tool
from orchestrator_services.tools.markdown import block, heading, titled
from orchestrator_services.tools.paths import Folder, output_folder
from orchestrator_services.tools.settings import tool_settings


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    heading: str
    body: JsonValue


class Report(BaseModel):
    model_config = ConfigDict(frozen=True)

    title: str
    markdown: str
    path: str | None = Field(
        description="Where it was written, relative to the output folder; null if nowhere."
    )


@tool("report.markdown", capability="report", timeout="10s")
def markdown(
    title: Annotated[str, Field(min_length=1)] = "Report",
    sections: list[Section] | None = None,
    path: str | None = None,
    **figures: JsonValue,
) -> Report:
    """Makes a Markdown report of a title, sections, and every other argument as a section of its own.

    Text is taken as Markdown, in which HTML is shown as text and images become links. Lists of objects and query
    results become tables, other lists bullets, objects bullets and tables. With `path` (ending in .md) the report is
    also written below the output folder, whole or not at all; the same arguments give the same bytes, so writing it
    twice changes nothing.
    """
    parts = [heading(1, title)]
    for section in sections or ():
        parts += [heading(2, section.heading), block(section.body, level=3)]
    for name, value in figures.items():
        parts += [heading(2, titled(name)), block(value, level=3)]
    text = "\n\n".join(parts) + "\n"
    written = None if path is None else _write(output_folder(tool_settings()), path, text)
    return Report(title=title, markdown=text, path=written)


def _write(folder: Folder, path: str, text: str) -> str:
    place = folder.locate(path)
    if place.suffix != ".md":
        raise InvalidInput(f"{path!r} is not a report's name; it must end in .md")
    name = folder.name(place)
    if place.is_dir():
        raise InvalidInput(f"{path!r} is a folder; name a file")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        _replace(place, text.encode())
    except (FileExistsError, NotADirectoryError):
        raise InvalidInput(f"a folder of {path!r} is a file; choose another path") from None
    except PermissionError:
        raise PermanentError(
            f"this service has no permission to write {path!r}; change the folder's permissions"
        ) from None
    except OSError as error:
        raise TransientError(f"{path!r} could not be written: {error.strerror}") from None
    return name


def _replace(place: Path, content: bytes) -> None:
    """Readers see the old file or the new one, never a part of it: it is written next to the old one, synced, and
    renamed."""
    descriptor, temporary = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(place)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
