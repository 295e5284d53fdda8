"""Bytes that an installation has written: records by topic, the broker's segments, the value store."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.cluster import Cluster, Platform
from orchestrator.bus.ports import Received
from orchestrator.bus.standalone import all_partitions, read_to_end
from orchestrator.messages.catalogue import Topic

TOPICS: Final = tuple(topic for topic in Topic if topic is not Topic.DEFINITIONS)
_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True)
class OnDisk:
    """Bytes of files at some moment. None where the broker's folder is not ours to look into."""

    segments: int | None
    bookkeeping: int | None
    """Of the broker itself: offsets of groups and states of transactions."""
    values: int

    @classmethod
    def of(cls, cluster: Cluster, platform: Platform) -> "OnDisk":
        folders = list(cluster.folder.glob("stack/kafka/node-*/data"))
        return cls(
            segments=_bytes(folders, f"{platform.prefix}*/*.log") if folders else None,
            bookkeeping=_bytes(folders, "__*/*.log") if folders else None,
            values=_bytes([platform.folder / "values"], "**/*"),
        )

    def since(self, before: "OnDisk") -> "OnDisk":
        return OnDisk(
            segments=_difference(self.segments, before.segments),
            bookkeeping=_difference(self.bookkeeping, before.bookkeeping),
            values=self.values - before.values,
        )


def records_of(platform: Platform, session: bytes) -> Mapping[Topic, list[Received]]:
    """The committed records of one session, by topic."""
    bus = platform.wiring.bus
    return {
        topic: [
            received
            for received in read_to_end(bus, all_partitions(bus, topic), _TIMEOUT_S)
            if received.key == session
        ]
        for topic in TOPICS
    }


def bytes_by_topic(records: Mapping[Topic, list[Received]], of: Callable[[Received], int]) -> Counter[str]:
    """Sums over records, by topic; topics without any are left out."""
    return Counter({topic.value: sum(map(of, found)) for topic, found in records.items() if found})


def record_bytes(received: Received) -> int:
    """Key, value and headers of a record, not compressed."""
    headers = sum(len(name) + len(value or b"") for name, value in received.headers)
    return len(received.key or b"") + len(received.value or b"") + headers


def _bytes(folders: list[Path], pattern: str) -> int:
    return sum(path.stat().st_size for folder in folders for path in folder.glob(pattern) if path.is_file())


def _difference(after: int | None, before: int | None) -> int | None:
    return None if after is None or before is None else after - before
