"""The Prometheus metrics of a process. One table declares all of ours."""

import logging
from collections import Counter as Counts
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final, TypeVar, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

MESSAGES_RECEIVED: Final = "agents_messages_received"
MESSAGES_SENT: Final = "agents_messages_sent"
INPUTS_DROPPED: Final = "agents_inputs_dropped"
DEAD_LETTERS: Final = "agents_dead_letters"
TRANSACTIONS: Final = "agents_transactions"
SESSIONS_SETTLED: Final = "agents_sessions_settled"
KAFKA_ERRORS: Final = "agents_kafka_errors"
HANDLING_SECONDS: Final = "agents_handling_seconds"
TRANSACTION_SECONDS: Final = "agents_transaction_seconds"
TRANSACTION_MESSAGES: Final = "agents_transaction_messages"
SESSIONS_ACTIVE: Final = "agents_sessions_active"
IN_FLIGHT: Final = "agents_in_flight"
CONSUMER_LAG: Final = "agents_consumer_lag"
RECORDS_HIDDEN: Final = "agents_records_hidden"

_MILLISECONDS_TO_MINUTES: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)
_ONE_TO_THOUSANDS: Final = (1, 3, 10, 30, 100, 300, 1000, 3000)

Metric = Counter | Gauge | Histogram
M = TypeVar("M", Counter, Gauge, Histogram)


@dataclass(frozen=True)
class _Declared:
    kind: type[Metric]
    doc: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_DECLARED: Final = {
    MESSAGES_RECEIVED: _Declared(Counter, "Records read.", ("topic",)),
    MESSAGES_SENT: _Declared(Counter, "Records written.", ("topic",)),
    INPUTS_DROPPED: _Declared(Counter, "Duplicate, late and foreign inputs of sessions.", ("reason",)),
    DEAD_LETTERS: _Declared(Counter, "Dead letters written.", ("service", "stage")),
    TRANSACTIONS: _Declared(Counter, "Transactions by how they ended.", ("outcome",)),
    SESSIONS_SETTLED: _Declared(Counter, "Sessions that ended or were parked.", ("outcome",)),
    KAFKA_ERRORS: _Declared(Counter, "Errors that the Kafka client reported.", ("error",)),
    HANDLING_SECONDS: _Declared(
        Histogram, "Time in a handler.", ("service", "type"), _MILLISECONDS_TO_MINUTES
    ),
    TRANSACTION_SECONDS: _Declared(Histogram, "Time of a transaction.", (), _MILLISECONDS_TO_MINUTES),
    TRANSACTION_MESSAGES: _Declared(Histogram, "Inputs of a transaction.", (), _ONE_TO_THOUSANDS),
    SESSIONS_ACTIVE: _Declared(Gauge, "Active sessions.", ("partition",)),
    IN_FLIGHT: _Declared(Gauge, "Messages being handled.", ("service",)),
    CONSUMER_LAG: _Declared(Gauge, "Committed records not read yet.", ("group", "topic", "partition")),
    RECORDS_HIDDEN: _Declared(Gauge, "Records behind transactions that stay open.", ("topic",)),
}

MOST_SERIES: Final = 1_000
"""Series of one metric. Names of tenants and agents are in labels, and whoever writes tasks makes them up."""
LONGEST_LABEL: Final = 255
"""Characters of a label's value, as of the names in a task."""
OTHER: Final = "other"
"""What every label of a metric says for series beyond that, and a label whose value is too long."""

logger: Final = logging.getLogger(__name__)


class ProcessMetrics:
    """The metrics of one process: `sdk.Metrics`, and ours of `_DECLARED`. Any thread may call; no call fails.

    A name that is not declared gets the kind and the labels of its first use. A later use that does not match is
    logged once and ignored: a metric must not stop what it measures.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._lock = Lock()
        self._declared = dict(_DECLARED)
        self._metrics: dict[str, Metric] = {}
        self._children: dict[tuple[object, ...], Metric] = {}
        self._series: Counts[str] = Counts()
        """How many series each metric has."""
        self._warned: set[str] = set()

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Adds to a counter."""
        child = self._child(Counter, name, labels)
        if child is not None and amount >= 0:
            child.inc(amount)

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Adds a value, in the unit that its name gives, to a histogram."""
        child = self._child(Histogram, name, labels)
        if child is not None:
            child.observe(value)

    def set(self, name: str, value: float, **labels: str) -> None:
        """Sets a gauge."""
        child = self._child(Gauge, name, labels)
        if child is not None:
            child.set(value)

    def forget(self, name: str, **labels: str) -> None:
        """Stops exporting the series with these labels."""
        declared = self._declared[name]
        key = (declared.kind, name, *labels.items())
        with self._lock:
            if self._children.pop(key, None) is not None:
                self._metrics[name].remove(*(labels[label] for label in declared.labels))
                self._series[name] -= 1

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format, with content type `CONTENT_TYPE`."""
        return generate_latest(self._registry)

    def _child(self, kind: type[M], name: str, labels: Mapping[str, str]) -> M | None:
        key = (kind, name, *labels.items())
        child = self._children.get(key)
        if child is None:
            with self._lock:
                try:
                    if any(len(value) > LONGEST_LABEL for value in labels.values()):
                        return cast("M", self._make(kind, name, _shortened(labels)))
                    if self._is_full(name) and labels:
                        return cast("M", self._make(kind, name, dict.fromkeys(labels, OTHER)))
                    child = self._children[key] = self._make(kind, name, labels)
                    self._series[name] += 1
                except (TypeError, ValueError) as error:
                    self._warn(name, f"is ignored: {error}")
                    return None
        return cast("M", child)

    def _is_full(self, name: str) -> bool:
        if self._series[name] < MOST_SERIES:
            return False
        self._warn(name, f"has {MOST_SERIES:,} series; more are counted together, with the labels {OTHER!r}")
        return True

    def _make(self, kind: type[Metric], name: str, labels: Mapping[str, str]) -> Metric:
        declared = self._declared.setdefault(
            name, _Declared(kind, "Declared by a plug-in.", tuple(sorted(labels)))
        )
        if declared.kind is not kind or set(declared.labels) != set(labels):
            raise TypeError(f"it is a {declared.kind.__name__} with the labels {', '.join(declared.labels)}")
        metric = self._metrics.get(name)
        if metric is None:
            buckets: dict[str, Any] = {"buckets": declared.buckets} if declared.buckets else {}
            metric = kind(name, declared.doc, declared.labels, registry=self._registry, **buckets)
            self._metrics[name] = metric
        return metric.labels(**labels) if labels else metric

    def _warn(self, name: str, problem: str) -> None:
        if name not in self._warned:
            self._warned.add(name)
            logger.warning("metric %s %s", name, problem)


def _shortened(labels: Mapping[str, str]) -> dict[str, str]:
    return {label: value if len(value) <= LONGEST_LABEL else OTHER for label, value in labels.items()}
