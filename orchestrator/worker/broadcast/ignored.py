"""Records of a broadcast topic that cannot be read: the first ones are logged, and then their number."""

import logging
from collections import Counter
from typing import Final

from orchestrator.bus.errors import SchemaUnresolved
from orchestrator.bus.ports import Received

logger: Final = logging.getLogger(__name__)

LOGGED: Final = 5
"""How many are logged one by one. Then a line follows each time that their number has doubled: whoever may write to
the topic costs every process a few lines at each start, however many records stay in it."""


class IgnoredRecords:
    """Counts and logs them, for one reader."""

    def __init__(self, what: str) -> None:
        """`what` is a record of the topic, such as `definition`."""
        self._what = what
        self._counts: Counter[int] = Counter()
        """By level: records that nobody can read hide none of those that somebody must act on."""

    def add(self, received: Received, error: Exception) -> None:
        level, why = (
            (logging.ERROR, "until this process restarts")
            if isinstance(error, SchemaUnresolved)
            else (logging.WARNING, "which cannot be decoded")
        )
        self._counts[level] += 1
        count = self._counts[level]
        if count <= LOGGED or (count % LOGGED == 0 and (count // LOGGED).bit_count() == 1):
            total = f" ({count:,} so far)" if count > LOGGED else ""
            logger.log(
                level, "ignored the %s at offset %d, %s%s: %s", self._what, received.offset, why, total, error
            )
