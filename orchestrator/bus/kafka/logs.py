"""What librdkafka logs: some of it is no trouble, and trouble is told over and over by every client."""

import logging
import time
from threading import Lock
from typing import Final

LOGGER: Final = "orchestrator.kafka"
QUIET_S: Final = 10.0
"""A broker that is away is told of by each client several times a second: once in this time is enough."""
_EXPECTED: Final = ("Coordinator load in progress",)
"""Answers of a cluster that is starting; the client asks again by itself."""


class _Seldom(logging.Filter):
    """Lets one line of a kind (librdkafka's facility, such as FAIL) pass in `QUIET_S` seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = Lock()
        self._passed: dict[str, float] = {}
        self._held: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if any(expected in message for expected in _EXPECTED):
            return False
        facility, now = message.partition(" ")[0], time.monotonic()
        with self._lock:
            if now - self._passed.get(facility, -QUIET_S) < QUIET_S:
                self._held[facility] = self._held.get(facility, 0) + 1
                return False
            self._passed[facility] = now
            held = self._held.pop(facility, 0)
        if held:
            record.msg, record.args = f"{message} (and {held} more such lines before)", ()
        return True


def kafka_logger() -> logging.Logger:
    """The logger that clients are given."""
    logger = logging.getLogger(LOGGER)
    if not any(isinstance(one, _Seldom) for one in logger.filters):
        logger.addFilter(_Seldom())
    return logger
