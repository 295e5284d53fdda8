"""The file of a SQLite store: whoever has it open goes on with it after it was removed or replaced."""

from pathlib import Path

import sqlalchemy as sa

from orchestrator.errors import ConfigurationError


class StoreFile:
    """Remembers which file is at the store's path. Other databases than SQLite, and those in memory, have none."""

    def __init__(self, url: sa.URL) -> None:
        """Call it once the file exists."""
        is_file = url.get_backend_name() == "sqlite" and url.database
        self._path = Path(url.database or "") if is_file else None
        self._opened = self._identity()
        if self._opened is None:
            self._path = None

    def require_same(self) -> None:
        """Raises `ConfigurationError` if the file is no longer at its path: what is written to it is lost."""
        if self._path is not None and self._identity() != self._opened:
            raise ConfigurationError(
                f"the file of the session store {self._path} was removed or replaced while it was open: start the "
                "process again, and it is filled from the topics"
            )

    def _identity(self) -> tuple[int, int] | None:
        """Device and inode; None without a file."""
        if self._path is None:
            return None
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino
