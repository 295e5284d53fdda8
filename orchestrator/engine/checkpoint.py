"""A partition's checkpoint: the low-water mark from which a restore reads history, and the ids of ended sessions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from orchestrator.bus.ports import Outgoing
from orchestrator.engine.state import snapshots
from orchestrator.engine.state.encoding import Encoder
from orchestrator.engine.state.ended import Chunk, key_of
from orchestrator.engine.state.partition import LiveSession, Partition

MAX_SNAPSHOTS: Final = 100
"""Stale sessions that one checkpoint snapshots at most, so that its transaction stays bounded."""


@dataclass
class StagedCheckpoint:
    """A checkpoint in a staged batch. `partition` stays as it is until `promote`."""

    partition: Partition
    end: int
    """End offset of the sessions topic when the checkpoint was staged."""
    snapshots: Mapping[str, int]
    """Stale sessions that the batch writes snapshots of, and their bytes, by correlation id."""
    mark: int = field(init=False)
    """The low-water mark: no live session needs an event below it to be restored."""
    _chunks: tuple[tuple[Chunk, int], ...] = field(default=(), init=False)
    """Chunks that are written, each with its number of ids."""
    _expired: tuple[Chunk, ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        needed = (
            live.first_offset
            for name, live in self.partition.live.items()
            if live.needs_history and name not in self.snapshots
        )
        self.mark = min(needed, default=self.end)

    def records(self, encoder: Encoder, partition_count: int, batch: int, now: int) -> Iterator[Outgoing]:
        """The records to write; none if the mark has not moved and no session has ended."""
        number, ended = self.partition.number, self.partition.ended
        self._chunks = tuple((chunk, len(chunk.claims)) for chunk in ended.unwritten())
        if self.mark == self.partition.checkpoint_mark and not self._chunks:
            return
        self._expired = ended.expired(now)
        for chunk, _ in self._chunks:
            yield encoder.encode(chunk.record, number)
        for chunk in self._expired:
            yield snapshots.tombstone(number, key_of(chunk))
        yield snapshots.checkpoint(encoder, self.partition, partition_count, batch, self.mark)

    def promote(self, now: int) -> None:
        """Notes in the partition what the checkpoint has written."""
        partition = self.partition
        partition.sessions_end = max(partition.sessions_end, self.end)
        partition.checkpoint_mark = self.mark
        partition.ended.promote(self._chunks)
        partition.ended.drop(self._expired)
        for name, size in self.snapshots.items():
            live = partition.live[name]
            partition.put(LiveSession(live.session, self.end, now, 0, size))
