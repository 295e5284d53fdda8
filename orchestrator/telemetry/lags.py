"""The lag of consumers, by partition."""

from collections.abc import Mapping

from orchestrator.telemetry.metrics import CONSUMER_LAG, ProcessMetrics


class Lags:
    """Exports the lag of one consumer. Stops exporting that of a partition it no longer reads: another process
    exports it now, and a stale value here would hide it."""

    def __init__(self, metrics: ProcessMetrics, group: str) -> None:
        self._metrics = metrics
        self._group = group
        self._reported: set[tuple[str, str]] = set()

    def report(self, lags: Mapping[tuple[str, str], int]) -> None:
        """Replaces all lags, in records by topic and partition."""
        for topic, partition in self._reported - lags.keys():
            self._metrics.forget(CONSUMER_LAG, group=self._group, topic=topic, partition=partition)
        for (topic, partition), lag in lags.items():
            self._metrics.set(CONSUMER_LAG, lag, group=self._group, topic=topic, partition=partition)
        self._reported = set(lags)
