"""Which sessions have ended lately, so that a second submission of one starts nothing.

In the log of snapshots their ids lie in chunks, 16 bytes each, written with the checkpoint that moves the
low-water mark past their last events. What ended after the mark is known from the sessions topic itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from orchestrator.messages.types import EndedSessions

MOST: Final = 100_000
"""Sessions that a partition remembers; some 12 MB."""
HOURS: Final = 24
"""For how long, by the hour in which they ended."""
CHUNK: Final = 4_096
"""Ids in a chunk: the one that grows is written with each checkpoint, 64 KiB at most."""

KEY: Final = b"ended/"
_ID_BYTES: Final = 16
_HOUR_MICROS: Final = 3_600_000_000


@dataclass
class Chunk:
    """Sessions that ended in one hour."""

    hour: int
    number: int
    ids: dict[bytes, None] = field(default_factory=dict)
    written: int = 0
    """How many of them the log of snapshots has; -1 where it has some that are not here."""

    @property
    def record(self) -> EndedSessions:
        return EndedSessions(hour=self.hour, chunk=self.number, ids=b"".join(self.ids))


class Ended:
    """The ended sessions of a partition. Bounded by count and by time, whichever comes first."""

    def __init__(self) -> None:
        self._chunks: list[Chunk] = []

    def __contains__(self, correlation_id: str) -> bool:
        packed = _packed(correlation_id)
        return any(packed in chunk.ids for chunk in self._chunks)

    def __len__(self) -> int:
        return sum(len(chunk.ids) for chunk in self._chunks)

    def __iter__(self) -> Iterator[str]:
        return (str(UUID(bytes=packed)) for chunk in self._chunks for packed in chunk.ids)

    def add(self, correlation_id: str, at: int) -> None:
        """`at` is when it ended, Unix time in microseconds."""
        last = self._chunks[-1] if self._chunks else None
        # A clock that went back must not open an older hour again: chunks go by age.
        hour = max(at // _HOUR_MICROS, last.hour if last else 0)
        if last is None or last.hour != hour or len(last.ids) >= CHUNK:
            last = Chunk(hour, last.number + 1 if last else 0)
            self._chunks.append(last)
        last.ids[_packed(correlation_id)] = None

    def forget(self, correlation_id: str) -> None:
        """The session has begun anew, long after its end."""
        packed = _packed(correlation_id)
        for chunk in self._chunks:
            if packed in chunk.ids:
                del chunk.ids[packed]
                chunk.written = -1

    def unwritten(self) -> tuple[Chunk, ...]:
        """Chunks that the log of snapshots lacks, or has shorter."""
        return tuple(chunk for chunk in self._chunks if chunk.written != len(chunk.ids))

    def expired(self, now: int) -> tuple[Chunk, ...]:
        """Chunks that are too old, or too many."""
        oldest = now // _HOUR_MICROS - HOURS
        surplus = len(self) - MOST
        gone = []
        for chunk in self._chunks[:-1]:
            if chunk.hour >= oldest and surplus <= 0:
                break
            surplus -= len(chunk.ids)
            gone.append(chunk)
        return tuple(gone)

    def drop(self, chunk: Chunk) -> None:
        self._chunks.remove(chunk)

    def load(self, record: EndedSessions) -> None:
        """Takes a chunk in as it was written."""
        self.unload(record.chunk)
        ids = (record.ids[at : at + _ID_BYTES] for at in range(0, len(record.ids), _ID_BYTES))
        chunk = Chunk(record.hour, record.chunk, dict.fromkeys(ids))
        chunk.written = len(chunk.ids)
        self._chunks.append(chunk)
        self._chunks.sort(key=lambda each: each.number)

    def unload(self, number: int) -> None:
        self._chunks = [chunk for chunk in self._chunks if chunk.number != number]


def number_in(key: bytes) -> int:
    """The chunk that a tombstone is of, out of its key."""
    return int(key.removeprefix(KEY))


def key_of(chunk: Chunk) -> bytes:
    return KEY + str(chunk.number).encode()


def _packed(correlation_id: str) -> bytes:
    return bytes.fromhex(correlation_id.replace("-", ""))
