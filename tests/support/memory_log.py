"""The topics that a partition is restored from, in memory, with transaction markers as a cluster has them."""

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import Outgoing, Position, Received
from orchestrator.messages.catalogue import Topic


class MemoryLog:
    """Partition 0 of every topic, and the one consumer that reads it (`assign` to `watermarks` of the port)."""

    def __init__(self) -> None:
        self._records: dict[Topic, list[Received]] = {topic: [] for topic in Topic}
        self._lows = dict.fromkeys(Topic, 0)
        self._ends = dict.fromkeys(Topic, 0)
        self._reading: tuple[Topic, int] = (Topic.SESSIONS, 0)

    def commit(self, records: Iterable[Outgoing]) -> None:
        """Appends a transaction: its records, and then a marker in each topic that it wrote to."""
        written = set()
        for outgoing in records:
            place = self._ends[outgoing.topic]
            self._records[outgoing.topic].append(
                Received(outgoing.topic, 0, place, 0, outgoing.key, outgoing.value, outgoing.headers)
            )
            self._ends[outgoing.topic] = place + 1
            written.add(outgoing.topic)
        for topic in written:
            self._ends[topic] += 1

    def abort(self, records: Iterable[Outgoing]) -> None:
        """Appends an aborted transaction: its records are invisible but take up offsets."""
        for outgoing in records:
            self._ends[outgoing.topic] += 1

    def delete(self, topic: Topic, before: int) -> None:
        """Deletes the records below an offset, as retention does."""
        self._lows[topic] = max(self._lows[topic], min(before, self._ends[topic]))
        self._records[topic] = [each for each in self._records[topic] if each.offset >= before]

    def compact(self) -> None:
        """Compacts the snapshots: keeps the last record of each key, and the tombstones after the last checkpoint. A
        broker keeps them for a day, a partition without a checkpoint for seconds."""
        last = {each.key: each for each in self._records[Topic.SNAPSHOTS]}
        checkpoint = next((each.offset for key, each in last.items() if key == b"checkpoint"), -1)
        self._records[Topic.SNAPSHOTS] = sorted(
            (each for each in last.values() if each.value is not None or each.offset > checkpoint),
            key=lambda each: each.offset,
        )

    def end(self, topic: Topic) -> int:
        return self._ends[topic]

    def assign(self, offsets: Mapping[Position, int]) -> None:
        [((topic, _), start)] = offsets.items()
        self._reading = (topic, start)

    def poll(self, _timeout_s: float) -> Received | None:
        found = self.drain(1)
        return found[0] if found else None

    def drain(self, n: int) -> list[Received]:
        topic, start = self._reading
        found = [each for each in self._records[topic] if each.offset >= start][:n]
        self._reading = (topic, found[-1].offset + 1 if found else self._ends[topic])
        return [replace(each) for each in found]

    def position(self, positions: Iterable[Position]) -> dict[Position, int]:
        return dict.fromkeys(positions, self._reading[1])

    def watermarks(
        self,
        positions: Iterable[Position],
        _deadline: Deadline,
        *,
        read_uncommitted: bool = False,  # noqa: ARG002
    ) -> dict[Position, tuple[int, int]]:
        return {position: (self._lows[position[0]], self._ends[position[0]]) for position in positions}
