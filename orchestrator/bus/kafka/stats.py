"""librdkafka's statistics and errors as metrics."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from confluent_kafka import KafkaError

from orchestrator.telemetry.lags import Lags
from orchestrator.telemetry.metrics import KAFKA_ERRORS, ProcessMetrics

INTERVAL_MS: Final = 10_000
_NOT_FETCHED: Final = frozenset({"none", "stopping", "stopped"})
"""States of partitions that a client knows but does not read."""


def observed(config: Mapping[str, Any], metrics: ProcessMetrics, prefix: str) -> dict[str, Any]:
    """A client's settings with its errors counted and, for a consumer, its lag reported every ten seconds: by
    group and topic without the installation's prefix, as everywhere."""
    group = str(config.get("group.id", "")).removeprefix(prefix)
    reported = Lags(metrics, group)

    def count_error(error: KafkaError) -> None:
        metrics.count(KAFKA_ERRORS, error=error.name())

    def report_lag(statistics: str) -> None:
        found = lags(json.loads(statistics))
        reported.report({(topic.removeprefix(prefix), partition): lag for topic, partition, lag in found})

    watched: dict[str, Any] = {**config, "error_cb": count_error}
    if group:
        watched |= {"statistics.interval.ms": INTERVAL_MS, "stats_cb": report_lag}
    return watched


def lags(statistics: Mapping[str, Any]) -> Iterator[tuple[str, str, int]]:
    """Topic, partition and the number of committed records between the last one read and the end.

    librdkafka's own `consumer_lag` counts from the offset that this client committed, and does not see offsets
    that are committed in a transaction.
    """
    for name, topic in statistics["topics"].items():
        for number, partition in topic["partitions"].items():
            end, read = partition["ls_offset"], partition["app_offset"]
            if end >= 0 and read >= 0 and partition["fetch_state"] not in _NOT_FETCHED:
                yield name, number, max(0, end - read)
