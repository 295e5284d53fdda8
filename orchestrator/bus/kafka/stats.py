"""What librdkafka's statistics and errors say, as metrics."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from confluent_kafka import KafkaError

from orchestrator.telemetry.lags import Lags
from orchestrator.telemetry.metrics import KAFKA_ERRORS, ProcessMetrics

INTERVAL_MS: Final = 10_000
_GIVEN_UP: Final = frozenset({"none", "stopping", "stopped"})
"""States of partitions that a client knows of and does not read."""


def observed(config: Mapping[str, Any], metrics: ProcessMetrics, prefix: str) -> dict[str, Any]:
    """A client's settings with its errors counted and, for a consumer, its lag told every ten seconds: by group
    and topic without the installation's prefix, as everything of ours names them."""
    group = str(config.get("group.id", "")).removeprefix(prefix)
    told = Lags(metrics, group)

    def count_error(error: KafkaError) -> None:
        metrics.count(KAFKA_ERRORS, error=error.name())

    def tell_lag(statistics: str) -> None:
        found = lags(json.loads(statistics))
        told.report({(topic.removeprefix(prefix), partition): lag for topic, partition, lag in found})

    watched: dict[str, Any] = {**config, "error_cb": count_error}
    if group:
        watched |= {"statistics.interval.ms": INTERVAL_MS, "stats_cb": tell_lag}
    return watched


def lags(statistics: Mapping[str, Any]) -> Iterator[tuple[str, str, int]]:
    """Topic, partition and the number of committed records between the last one read and the end.

    librdkafka's own `consumer_lag` counts from the offset that this client committed, and offsets that go
    through a transaction are not.
    """
    for name, topic in statistics["topics"].items():
        for number, partition in topic["partitions"].items():
            end, read = partition["ls_offset"], partition["app_offset"]
            if end >= 0 and read >= 0 and partition["fetch_state"] not in _GIVEN_UP:
                yield name, number, max(0, end - read)
