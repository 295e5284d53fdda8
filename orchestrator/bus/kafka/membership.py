"""Whether a consumer has rejoined its group after an outage."""

import time
from typing import Final

from confluent_kafka import Consumer, KafkaException

CHECK_S: Final = 5.0
"""Between two checks: each waits for the client's thread."""
REJOIN_TIMEOUT_S: Final = 30.0
"""Several times what joining takes; a member that was silent for its session timeout, 10 s, rejoins on its own."""
_ANSWER_S: Final = 1.0


class Membership:
    """Checks from time to time whether a subscribed client is a member of its group.

    librdkafka 2.16 may fail to rejoin when the coordinator comes back after an outage: the client is polled on, and
    never joins again. A new client does.
    """

    def __init__(self) -> None:
        self._check_at = 0.0
        self._absent_since: float | None = None
        """The first check that did not find it a member; none is made while records or partitions come."""

    def is_lost(self, client: Consumer, topic: str) -> bool:
        """Whether the client has not rejoined for `REJOIN_TIMEOUT_S`, although the cluster responds."""
        now = time.monotonic()
        if now < self._check_at:
            return False
        self._check_at = now + CHECK_S
        if client.memberid():
            self._absent_since = None
            return False
        if self._absent_since is None:
            self._absent_since = now
        if now - self._absent_since < REJOIN_TIMEOUT_S or not _answers(client, topic):
            return False
        self._absent_since = None
        return True


def _answers(client: Consumer, topic: str) -> bool:
    try:
        client.list_topics(topic, timeout=_ANSWER_S)
    except KafkaException:
        return False
    return True
