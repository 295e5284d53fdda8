"""How far a reader is behind, by partition."""

from collections.abc import Mapping

from orchestrator.telemetry.metrics import CONSUMER_LAG, ProcessMetrics


class Lags:
    """The lag of one reader. A partition that it reads no more is no longer told of: another process tells of it
    now, and whatever stood here last would hide that."""

    def __init__(self, metrics: ProcessMetrics, group: str) -> None:
        self._metrics = metrics
        self._group = group
        self._reported: set[tuple[str, str]] = set()

    def report(self, lags: Mapping[tuple[str, str], int]) -> None:
        """All lags that there are, by topic and partition."""
        for topic, partition in self._reported - lags.keys():
            self._metrics.forget(CONSUMER_LAG, group=self._group, topic=topic, partition=partition)
        for (topic, partition), lag in lags.items():
            self._metrics.set(CONSUMER_LAG, lag, group=self._group, topic=topic, partition=partition)
        self._reported = set(lags)
