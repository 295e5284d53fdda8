"""Recently ended sessions, so that a second submission of one is dropped.

The snapshots topic holds their ids in chunks, 16 bytes per id, written with the checkpoint that moves the low-water
mark past their last events. Sessions that ended after the mark are found in the sessions topic itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from orchestrator.messages.types import EndedSessions

MAX_SESSIONS: Final = 100_000
"""Ended sessions that a partition remembers, about 12 MB."""
RETENTION_HOURS: Final = 24
"""How long it remembers them, by the hour in which they ended."""
CHUNK_IDS: Final = 4_096
"""Ids in a chunk. The chunk that grows is written again with each checkpoint, 64 KiB at most."""

KEY: Final = b"ended/"
_ID_BYTES: Final = 16
_HOUR_MICROS: Final = 3_600_000_000


@dataclass
class Chunk:
    """Sessions that ended within one hour."""

    hour: int
    number: int
    ids: dict[bytes, None] = field(default_factory=dict)
    written: int = 0
    """How many of its ids the snapshots topic holds; -1 if it holds ids that were removed here."""

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
        """Adds a session. `at` is the end of the session, Unix time in microseconds."""
        last = self._chunks[-1] if self._chunks else None
        # A clock that went back must not reopen an older hour: chunks expire in order.
        hour = max(at // _HOUR_MICROS, last.hour if last else 0)
        if last is None or last.hour != hour or len(last.ids) >= CHUNK_IDS:
            last = Chunk(hour, last.number + 1 if last else 0)
            self._chunks.append(last)
        last.ids[_packed(correlation_id)] = None

    def forget(self, correlation_id: str) -> None:
        """Removes a session that was started again, long after its end."""
        packed = _packed(correlation_id)
        for chunk in self._chunks:
            if packed in chunk.ids:
                del chunk.ids[packed]
                chunk.written = -1

    def unwritten(self) -> tuple[Chunk, ...]:
        """Chunks that changed since they were written to the snapshots topic."""
        return tuple(chunk for chunk in self._chunks if chunk.written != len(chunk.ids))

    def expired(self, now: int) -> tuple[Chunk, ...]:
        """The oldest chunks: those past retention, and as many as exceed `MAX_SESSIONS`."""
        oldest = now // _HOUR_MICROS - RETENTION_HOURS
        surplus = len(self) - MAX_SESSIONS
        expired = []
        for chunk in self._chunks[:-1]:
            if chunk.hour >= oldest and surplus <= 0:
                break
            surplus -= len(chunk.ids)
            expired.append(chunk)
        return tuple(expired)

    def drop(self, chunk: Chunk) -> None:
        self._chunks.remove(chunk)

    def load(self, record: EndedSessions) -> None:
        """Loads a chunk from its record, in place of an older version of it."""
        self.unload(record.chunk)
        ids = (record.ids[at : at + _ID_BYTES] for at in range(0, len(record.ids), _ID_BYTES))
        chunk = Chunk(record.hour, record.chunk, dict.fromkeys(ids))
        chunk.written = len(chunk.ids)
        self._chunks.append(chunk)
        self._chunks.sort(key=lambda each: each.number)

    def unload(self, number: int) -> None:
        self._chunks = [chunk for chunk in self._chunks if chunk.number != number]


def number_in(key: bytes) -> int:
    """The number of the chunk that a record's key names."""
    return int(key.removeprefix(KEY))


def key_of(chunk: Chunk) -> bytes:
    return KEY + str(chunk.number).encode()


def _packed(correlation_id: str) -> bytes:
    return bytes.fromhex(correlation_id.replace("-", ""))
