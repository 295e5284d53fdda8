"""A clock that moves only when a test moves it."""

from typing import Final

from orchestrator.sdk.durations import milliseconds

START: Final = 1_767_225_600_000_000
"""2026-01-01T00:00:00Z in microseconds of Unix time."""


class Clock:
    """Unix time in microseconds. `read` is what services get as `now`; it may be called from any thread."""

    def __init__(self, start: int = START) -> None:
        self.now = start

    def read(self) -> int:
        return self.now

    def after(self, duration: str | int) -> int:
        """The time a duration from now; a bare number is milliseconds."""
        return self.now + milliseconds(duration) * 1_000

    def move_to(self, time: int) -> None:
        """Never moves back."""
        self.now = max(self.now, time)
