"""Small files that are replaced as a whole: a crash or a full disk leaves the old content or the new."""

import os
from pathlib import Path
from typing import Final

from orchestrator.local.endings import naming_full_disk

_USUAL: Final = 0o666


def write_whole(path: Path, text: str, mode: int = _USUAL) -> None:
    """Replaces the file, with this mode less the umask. Raises `UnavailableError` that names the folder if its disk
    is full."""
    fresh = path.with_name(f"{path.name}.partial")
    with naming_full_disk(path.parent):
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
