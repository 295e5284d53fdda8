"""The log of librdkafka, filtered: every client repeats every problem, and some lines report none."""

import logging
import time
from threading import Lock
from typing import Final

LOGGER: Final = "orchestrator.kafka"
QUIET_S: Final = 10.0
"""Each client reports an unreachable broker several times a second; one line in this time is enough."""
_EXPECTED: Final = ("Coordinator load in progress",)
"""Replies of a cluster that is starting; the client retries."""


class _RateLimit(logging.Filter):
    """Passes one line of a kind (librdkafka's facility, such as FAIL) in `QUIET_S` seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = Lock()
        self._passed: dict[str, float] = {}
        self._suppressed: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if any(expected in message for expected in _EXPECTED):
            return False
        facility, now = message.partition(" ")[0], time.monotonic()
        with self._lock:
            if now - self._passed.get(facility, -QUIET_S) < QUIET_S:
                self._suppressed[facility] = self._suppressed.get(facility, 0) + 1
                return False
            self._passed[facility] = now
            suppressed = self._suppressed.pop(facility, 0)
        if suppressed:
            record.msg, record.args = f"{message} ({suppressed} similar lines suppressed)", ()
        return True


def kafka_logger() -> logging.Logger:
    """The logger of all clients."""
    logger = logging.getLogger(LOGGER)
    if not any(isinstance(one, _RateLimit) for one in logger.filters):
        logger.addFilter(_RateLimit())
    return logger
