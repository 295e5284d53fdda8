"""Looks at something again and again, in a thread of its own."""

import threading
from abc import ABC, abstractmethod


class Watch(ABC):
    """Calls `look_again` until it has seen enough, or the process stops."""

    def __init__(self, name: str) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @abstractmethod
    def look_again(self) -> float | None:
        """Returns in how many seconds it is to be called again; None ends the thread."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Does not wait for a look that is under way."""
        self._stop.set()

    def _run(self) -> None:
        while (pause_s := self.look_again()) is not None:
            if self._stop.wait(pause_s):
                return
