"""An unreachable broker does not fill the disk with the log lines of its clients."""

import logging

import pytest

from orchestrator.bus.kafka import logs as kafka_logs
from orchestrator.bus.kafka.logs import kafka_logger

REFUSED = "FAIL [rdkafka#consumer-1] [thrd:x]: Connect to ipv4#127.0.0.1:1 failed: Connection refused"


@pytest.fixture
def logger(caplog: pytest.LogCaptureFixture) -> logging.Logger:
    made = kafka_logger()
    made.filters.clear()
    caplog.set_level(logging.INFO, logger=made.name)
    return kafka_logger()


def test_lines_of_one_kind_are_limited_and_say_how_many_were_suppressed(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("orchestrator.bus.kafka.logs.time.monotonic", lambda: now)
    for _ in range(200):
        logger.error(REFUSED)
    logger.warning("GETPID [rdkafka#producer-1]: something else")
    now += kafka_logs.QUIET_S
    logger.error(REFUSED)
    assert [record.getMessage() for record in caplog.records] == [
        REFUSED,
        "GETPID [rdkafka#producer-1]: something else",
        f"{REFUSED} (199 similar lines suppressed)",
    ]


def test_the_answers_of_a_starting_cluster_are_not_logged(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    logger.warning("GETPID [x]: Failed to acquire PID: Broker: Coordinator load in progress: retrying")
    assert not caplog.records
