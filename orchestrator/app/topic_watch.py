"""Watches the topics that a process reads: one that is deleted, or deleted and created again, ends the process.

Clients of Kafka do not report it. They go on with the offsets of the old topic, so they read nothing of the new one,
or begin in its middle. A process that starts again reads the new topic as any other.
"""

import logging
from collections.abc import Callable, Collection, Mapping
from typing import Final

from orchestrator.app.watch import Watch
from orchestrator.bus.errors import FatalError
from orchestrator.errors import OrchestratorError
from orchestrator.messages.catalogue import Topic

logger: Final = logging.getLogger(__name__)

EVERY_S: Final = 60.0
"""Between two looks at the topics: one request of a process to a broker."""
_AGAIN_S: Final = 5.0
"""Until a change is looked at again: a broker that has just started may not know all topics yet."""


class TopicWatch(Watch):
    """Compares the ids of topics with the first ones that it saw.

    A change counts once two looks in a row have seen it. A look that fails says nothing about topics.
    """

    def __init__(
        self,
        topic_ids: Callable[[Collection[Topic]], Mapping[Topic, str]],
        topics: Collection[Topic],
        every_s: float = EVERY_S,
    ) -> None:
        """`topic_ids` gives the ids of those topics that exist."""
        super().__init__("topic-watch")
        self.failure: FatalError | None = None
        """Why the process has to be restarted."""
        self._topic_ids = topic_ids
        self._topics = topics
        self._every_s = every_s
        self._first_seen: dict[Topic, str] = {}
        self._suspected: frozenset[Topic] = frozenset()

    def look(self) -> None:
        """Compares the topics once. Raises what `topic_ids` raises."""
        found = self._topic_ids(self._topics)
        for topic, seen in found.items():
            self._first_seen.setdefault(topic, seen)
        changed = frozenset(topic for topic, seen in self._first_seen.items() if found.get(topic) != seen)
        certain = sorted(changed & self._suspected)
        self._suspected = changed
        if certain:
            what = ", ".join(
                f"{topic} was deleted{' and created again' if topic in found else ''}" for topic in certain
            )
            self.failure = FatalError(
                f"a topic changed while this process read it: {what}. Restart the process"
            )

    def look_again(self) -> float | None:
        try:
            self.look()
        except OrchestratorError as error:
            logger.debug("cannot compare the ids of topics: %s", error)
        if self.failure is not None:
            return None
        return min(self._every_s, _AGAIN_S) if self._suspected else self._every_s
