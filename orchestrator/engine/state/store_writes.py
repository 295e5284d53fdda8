"""How the loop writes into the value store, which may be away: without holding up what does not need it."""

import logging
import time
from collections.abc import Callable
from typing import Final

from orchestrator.bus.values.message_values import MessageValues
from orchestrator.errors import ConfigurationError, UnavailableError
from orchestrator.messages.types import Value

logger: Final = logging.getLogger(__name__)

WRITE_S: Final = 2.0
"""How long the loop waits for one write: all sessions of its partitions wait with it."""
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
"""So a store that hangs takes at most a fifteenth of the loop's time."""


class StoreAway(UnavailableError):  # noqa: N818 - named after what is wrong with the store
    """The value store does not take a value now: it is full, read-only, refuses us, or does not respond."""


class StoreWrites:
    """Writes values, and leaves a store that has failed alone for a while. Used by one thread; any may read `problem`.

    A write that fails or hangs raises `StoreAway`. So does every write after it, at once, until the store is tried
    again, after a pause that doubles each time. What hung may still end: its value is there when it is tried again.
    """

    def __init__(self, values: MessageValues, clock: Callable[[], float] = time.monotonic) -> None:
        self.problem = ""
        """Why the store did not take the last value; empty if it did."""
        self._values = values
        self._clock = clock
        self._next_pause_s = FIRST_PAUSE_S
        self._again_at = 0.0

    @property
    def pause_s(self) -> float:
        """Seconds until the store is tried again."""
        return max(0.0, self._again_at - self._clock()) if self.problem else 0.0

    def placed(self, value: Value) -> Value:
        """As `MessageValues.placed`. Raises `StoreAway`."""
        return self.stored(value) if self._values.belongs_in_store(value) else value

    def stored(self, value: Value) -> Value:
        """As `MessageValues.stored`. Raises `StoreAway`."""
        if value.inline is None or not self._values.can_keep:
            return value
        if self.pause_s > 0:
            raise StoreAway(self.problem)
        try:
            stored = self._values.stored(value, WRITE_S)
        except (UnavailableError, ConfigurationError) as error:
            self._pause(str(error))
            raise StoreAway(self.problem) from error
        self._resume()
        return stored

    def _pause(self, problem: str) -> None:
        if not self.problem:
            logger.warning(
                "%s; what needs it waits with what is behind it in its partition, and is tried again; all else goes on",
                problem,
            )
        self.problem = problem
        self._again_at = self._clock() + self._next_pause_s
        self._next_pause_s = min(2 * self._next_pause_s, LONGEST_PAUSE_S)

    def _resume(self) -> None:
        if self.problem:
            logger.info("the value store takes values again")
        self.problem = ""
        self._next_pause_s = FIRST_PAUSE_S
