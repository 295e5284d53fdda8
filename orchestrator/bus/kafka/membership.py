"""Whether a group has taken a member back after an outage."""

import time
from typing import Final

from confluent_kafka import Consumer, KafkaException

LOOK_S: Final = 5.0
"""Between two looks: each waits for the client's thread."""
LONGEST_AWAY_S: Final = 30.0
"""Several times what joining takes; a member that was silent for its session, 10 s, joins again by itself."""
_ANSWER_S: Final = 1.0


class Membership:
    """Looks now and then whether a subscribed client is a member.

    librdkafka 2.16 may lose its way when the coordinator comes back after an outage: the client goes on being
    polled, and joins no more. A new one does.
    """

    def __init__(self) -> None:
        self._look_at = 0.0
        self._away_since: float | None = None
        """The first look that did not find it a member; nobody looks while records come, or partitions."""

    def is_lost(self, client: Consumer, topic: str) -> bool:
        """Whether the group has not taken the client back for long, though the cluster answers it."""
        now = time.monotonic()
        if now < self._look_at:
            return False
        self._look_at = now + LOOK_S
        if client.memberid():
            self._away_since = None
            return False
        if self._away_since is None:
            self._away_since = now
        if now - self._away_since < LONGEST_AWAY_S or not _answers(client, topic):
            return False
        self._away_since = None
        return True


def _answers(client: Consumer, topic: str) -> bool:
    try:
        client.list_topics(topic, timeout=_ANSWER_S)
    except KafkaException:
        return False
    return True
