"""Ended sessions, so that a task that is submitted a second time starts nothing.

The snapshots topic holds them in chunks, 32 bytes for each, written with the checkpoint that moves the low-water mark
past their last events; sessions that ended after the mark are found in the sessions topic itself. What a chunk holds
is on disk here, and in memory only until the chunk is full and written.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final
from uuid import UUID

from orchestrator.engine.state.ended_index import EndedIndex, Entry
from orchestrator.errors import ContractError
from orchestrator.messages.identity import has_key
from orchestrator.messages.types import EndedSessions

WINDOW_HOURS: Final = 7 * 24
"""How long after a session's end its task is known as a repetition, at least."""
_LINK_HOURS: Final = WINDOW_HOURS
"""How long after that a task with its business key is linked to it."""
CHUNK_IDS: Final = 4_096
"""Ids in a chunk. The chunk that grows is written again with each checkpoint, 128 KiB at most."""
_LOADED: Final = 50_000
"""Entries that are collected before they are written to disk: many in order cost less than few."""

KEY: Final = b"ended/"
_BYTES: Final = 16
"""Of an id, and of a claim."""
_UNKNOWN: Final = bytes(_BYTES)
_HOUR_MICROS: Final = 3_600_000_000


@dataclass
class Chunk:
    """Sessions that ended within one hour."""

    hour: int
    number: int
    claims: dict[bytes, bytes | None] = field(default_factory=dict)
    """Claims by id. Empty once they are on disk."""
    written: int = 0
    """How many of its ids the snapshots topic holds."""
    is_on_disk: bool = False

    @property
    def record(self) -> EndedSessions:
        claims = b"".join(claim or _UNKNOWN for claim in self.claims.values())
        return EndedSessions(hour=self.hour, chunk=self.number, ids=b"".join(self.claims), claims=claims)

    @property
    def entries(self) -> Iterator[Entry]:
        return (Entry(packed, claim, self.hour) for packed, claim in self.claims.items())


class Ended:
    """The ended sessions of a partition. Methods raise `UnavailableError` if the disk fails."""

    def __init__(self) -> None:
        self._chunks: list[Chunk] = []
        self._disk = EndedIndex()
        self._keyed: dict[bytes, Entry] = {}
        """Entries in memory that have a business key, by claim."""
        self._loaded: list[Entry] = []

    def __contains__(self, correlation_id: str) -> bool:
        return self.with_id(correlation_id) is not None

    def __iter__(self) -> Iterator[str]:
        self._flush_loaded()
        in_memory = (packed for chunk in self._chunks for packed in chunk.claims)
        return (str(UUID(bytes=packed)) for packed in (*in_memory, *self._disk))

    def with_id(self, correlation_id: str) -> Entry | None:
        packed = _packed(correlation_id)
        for chunk in self._in_memory():
            if packed in chunk.claims:
                return Entry(packed, chunk.claims[packed], chunk.hour)
        self._flush_loaded()
        return self._disk.with_id(packed)

    def with_claim(self, claim: bytes) -> Entry | None:
        """The last session of a tenant's business key."""
        if found := self._keyed.get(claim):
            return found
        self._flush_loaded()
        return self._disk.with_claim(claim)

    def add(self, correlation_id: str, claim: bytes | None, at: int) -> None:
        """Adds a session. `at` is the end of the session, Unix time in microseconds."""
        last = self._chunks[-1] if self._chunks else None
        # A clock that went back must not reopen an older hour: chunks expire in order.
        hour = max(at // _HOUR_MICROS, last.hour if last else 0)
        if last is None or last.is_on_disk or last.hour != hour or len(last.claims) >= CHUNK_IDS:
            last = Chunk(hour, last.number + 1 if last else 0)
            self._chunks.append(last)
        packed = _packed(correlation_id)
        last.claims[packed] = claim
        if claim is not None and has_key(claim):
            self._keyed[claim] = Entry(packed, claim, hour)

    def unwritten(self) -> tuple[Chunk, ...]:
        """Chunks that have grown since they were written to the snapshots topic."""
        return tuple(chunk for chunk in self._in_memory() if chunk.written != len(chunk.claims))[::-1]

    def promote(self, written: Iterable[tuple[Chunk, int]]) -> None:
        """Notes how many ids of these chunks the snapshots topic holds now. Full chunks go to disk."""
        for chunk, count in written:
            chunk.written = count
        full = tuple(chunk for chunk in self._in_memory() if chunk is not self._chunks[-1])
        for chunk in full[::-1]:
            if chunk.written == len(chunk.claims):
                self._move_to_disk(chunk)

    def expired(self, now: int) -> tuple[Chunk, ...]:
        """The chunks that nobody asks for any more. The newest one stays: the next is numbered after it."""
        oldest = now // _HOUR_MICROS - WINDOW_HOURS - _LINK_HOURS
        return tuple(chunk for chunk in self._chunks[:-1] if chunk.hour < oldest)

    def drop(self, chunks: Iterable[Chunk]) -> None:
        """Forgets expired chunks."""
        for chunk in chunks:
            self._chunks.remove(chunk)
            self._disk.drop_before(chunk.hour)

    def load(self, record: EndedSessions) -> None:
        """Loads a chunk from its record. A later record of a chunk has all that an earlier one had.

        Raises `ContractError` for one that is damaged."""
        ids_bytes, claims_bytes = len(record.ids), len(record.claims or b"")
        if ids_bytes % _BYTES or claims_bytes not in (0, ids_bytes):
            raise ContractError(
                f"a chunk of ended sessions has {ids_bytes} bytes of ids and {claims_bytes} of claims"
            )
        self.unload(record.chunk)
        ids = _parts(record.ids)
        claims = _parts(record.claims) if record.claims else [_UNKNOWN] * len(ids)
        self._chunks.append(Chunk(record.hour, record.chunk, written=len(ids), is_on_disk=True))
        self._chunks.sort(key=lambda chunk: chunk.number)
        self._loaded += (
            Entry(packed, None if claim == _UNKNOWN else claim, record.hour)
            for packed, claim in zip(ids, claims, strict=True)
        )
        if len(self._loaded) >= _LOADED:
            self._flush_loaded()

    def unload(self, number: int) -> None:
        """Forgets a chunk that was deleted from the topic; its entries go with their day."""
        self._chunks = [chunk for chunk in self._chunks if chunk.number != number]

    def _in_memory(self) -> Iterator[Chunk]:
        """The chunks that are not on disk, newest first. Older ones went there before."""
        return takewhile(lambda chunk: not chunk.is_on_disk, reversed(self._chunks))

    def _move_to_disk(self, chunk: Chunk) -> None:
        self._disk.add(chunk.entries)
        for packed, claim in chunk.claims.items():
            if claim is not None and (kept := self._keyed.get(claim)) and kept.id == packed:
                del self._keyed[claim]
        chunk.claims, chunk.is_on_disk = {}, True

    def _flush_loaded(self) -> None:
        if self._loaded:
            self._disk.add(self._loaded)
            self._loaded = []


def is_within_window(entry: Entry, now: int) -> bool:
    """Whether a task that comes at `now` (Unix, microseconds) repeats that of the ended session."""
    return now // _HOUR_MICROS - entry.hour <= WINDOW_HOURS


def number_in(key: bytes) -> int:
    """The number of the chunk that a record's key names."""
    return int(key.removeprefix(KEY))


def key_of(chunk: Chunk) -> bytes:
    return KEY + str(chunk.number).encode()


def _parts(joined: bytes) -> list[bytes]:
    return [joined[at : at + _BYTES] for at in range(0, len(joined), _BYTES)]


def _packed(correlation_id: str) -> bytes:
    return bytes.fromhex(correlation_id.replace("-", ""))
