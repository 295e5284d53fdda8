"""A value store in a folder that can be away: full, or hanging."""

import threading
from pathlib import Path

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.values.folder import FolderValues
from orchestrator.errors import ConfigurationError, UnavailableError

FULL = UnavailableError("the value store is full")
FORBIDDEN = ConfigurationError("the value store may not be written to: check the credentials")


class AwayValues:
    """Writes raise `failure` while there is one, and do not return while `may_return` is not set."""

    def __init__(self, folder: Path) -> None:
        self.failure: Exception | None = None
        self.may_return = threading.Event()
        self.may_return.set()
        self.writes = 0
        """How many began."""
        self._store = FolderValues(folder)

    def write(self, content: bytes) -> str:
        self.writes += 1
        self.may_return.wait()
        if self.failure is not None:
            raise self.failure
        return self._store.write(content)

    def read(self, uri: str, most: int, deadline: Deadline) -> bytes:
        return self._store.read(uri, most, deadline)
