"""Watches for records that nobody reads because a transaction before them stays open.

Whoever may write in transactions hides what others write after his first record, until he ends it or brokers do. No
lag shows it: to a consumer, what is not stable has not been written. A partition counts where what was in the log at
one look can still not be read at the next, whether behind one long transaction or behind many that overlap.
"""

import logging
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Final

from orchestrator.app.watch import Watch
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import Bus, Position
from orchestrator.bus.standalone import all_partitions
from orchestrator.errors import OrchestratorError
from orchestrator.messages.catalogue import Topic
from orchestrator.telemetry.metrics import RECORDS_HIDDEN, ProcessMetrics

logger: Final = logging.getLogger(__name__)

EVERY_S: Final = 15.0
"""Between two looks: longer than a transaction of ours takes, and shorter than brokers let one be open."""
_READING_S: Final = 10.0


class HiddenRecords(Watch):
    """Reports them in the log, once when they begin and once when they end, and as a gauge of each topic."""

    def __init__(
        self, bus: Bus, topics: Collection[Topic], metrics: ProcessMetrics, every_s: float = EVERY_S
    ) -> None:
        """`every_s`: for how long a record that is written has to be hidden to count."""
        super().__init__("hidden-records")
        self._bus = bus
        self._topics = topics
        self._metrics = metrics
        self._every_s = every_s
        self._written: Mapping[Position, int] = {}
        """Where each log ended at the last look."""
        self._hidden: frozenset[Topic] = frozenset()

    def look(self) -> None:
        """Compares once. Raises what the bus raises."""
        positions = [position for topic in self._topics for position in all_partitions(self._bus, topic)]
        deadline = Deadline.after(_READING_S)
        stable = _ends(self._bus.watermarks(positions, deadline))
        written = _ends(self._bus.watermarks(positions, deadline, read_uncommitted=True))
        waiting = Counter(dict.fromkeys(self._topics, 0))
        for position, before in self._written.items():
            if stable[position] < before:
                waiting[position[0]] += written[position] - stable[position]
        self._written = written
        for topic, records in waiting.items():
            self._metrics.set(RECORDS_HIDDEN, records, topic=topic)
        self._report(waiting)

    def _report(self, waiting: Mapping[Topic, int]) -> None:
        hidden = frozenset(topic for topic, records in waiting.items() if records)
        for topic in sorted(hidden - self._hidden):
            logger.warning(
                "%d records of %s wait behind transactions that have been open for %.0f s or longer, and are read "
                "when these end. Find them with `kafka-transactions.sh find-hanging`",
                waiting[topic],
                topic,
                self._every_s,
            )
        for topic in sorted(self._hidden - hidden):
            logger.info("no record of %s waits behind a transaction any more", topic)
        self._hidden = hidden

    def look_again(self) -> float:
        try:
            self.look()
        except OrchestratorError as error:
            logger.debug("cannot compare what is written with what can be read: %s", error)
        return self._every_s


def _ends(watermarks: Mapping[Position, tuple[int, int]]) -> dict[Position, int]:
    return {position: end for position, (_, end) in watermarks.items()}
