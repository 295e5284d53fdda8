"""Ended sessions are remembered for a time, on disk, and restored as they were written."""

import resource
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256

import pytest

from orchestrator.engine.state import ended
from orchestrator.engine.state.ended import Ended, is_within_window, key_of, number_in
from orchestrator.engine.state.ended_index import EndedIndex, Entry
from orchestrator.errors import UnavailableError
from orchestrator.messages.identity import claim_of, derived_id
from orchestrator.messages.types import EndedSessions

HOUR = 3_600_000_000
START = 500_000 * HOUR


def name(number: int) -> str:
    return derived_id("ended", number)


def claim(number: int) -> bytes:
    return claim_of("acme", f"order-{number}")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ended, "CHUNK_IDS", 10)
    monkeypatch.setattr(ended, "_LOADED", 15)


def filled(numbers: Iterable[int], at: int = START) -> Ended:
    found = Ended()
    for number in numbers:
        found.add(name(number), claim(number), at)
    return found


def write(found: Ended) -> list[ended.Chunk]:
    """As a checkpoint does."""
    chunks = list(found.unwritten())
    found.promote([(chunk, len(chunk.claims)) for chunk in chunks])
    return chunks


def test_only_what_ended_is_in_it() -> None:
    found = filled(range(25))

    assert name(24) in found
    assert name(25) not in found
    assert set(found) == {name(number) for number in range(25)}


def test_full_chunks_go_to_disk_and_are_found_there() -> None:
    found = filled(range(25))
    write(found)

    assert [len(chunk.claims) for chunk in found._chunks] == [0, 0, 5]
    for number in range(25):
        entry = found.with_claim(claim(number))
        assert entry is not None
        assert entry.correlation_id == name(number)
        assert found.with_id(name(number)) == entry
    assert found.with_claim(claim(25)) is None


def test_chunks_are_read_as_they_were_written() -> None:
    found, read = filled(range(25)), Ended()
    for chunk in found.unwritten():
        read.load(chunk.record)

    assert set(read) == set(found)
    assert read.with_claim(claim(3)) == found.with_claim(claim(3))
    assert read.unwritten() == ()
    read.add(name(99), claim(99), START)
    assert [(chunk.number, len(chunk.claims)) for chunk in read.unwritten()] == [(3, 1)]


def test_a_chunk_that_was_written_without_claims_has_its_ids() -> None:
    read = Ended()
    read.load(EndedSessions(hour=START // HOUR, chunk=4, ids=bytes(16) + bytes([1]) * 16))

    entry = read.with_id("01010101-0101-0101-0101-010101010101")
    assert entry is not None
    assert entry.claim is None


def test_an_id_that_equals_a_claim_is_not_taken_for_it() -> None:
    found = Ended()
    text = claim(7).hex()
    forged = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
    found.add(forged, claim(1), START)
    for chunk in found.unwritten():
        chunk.number += 1
    found.add(name(2), claim(2), START + HOUR)
    write(found)

    assert found.with_claim(claim(7)) is None
    assert forged in found


def test_the_last_session_of_a_key_is_found() -> None:
    found = filled(range(5))
    found.add(name(7), claim(3), START + 200 * HOUR)
    found.add(name(8), claim(8), START + 201 * HOUR)
    write(found)

    last, first = found.with_claim(claim(3)), found.with_claim(claim(4))
    assert last is not None
    assert first is not None
    assert last.correlation_id == name(7)
    assert is_within_window(last, START + 300 * HOUR)
    assert is_within_window(first, START + ended.WINDOW_HOURS * HOUR)
    assert not is_within_window(first, START + (ended.WINDOW_HOURS + 1) * HOUR)


def test_chunks_expire_by_time_however_many_there_are() -> None:
    found = filled(range(80))
    write(found)
    assert found.expired(START + 2 * ended.WINDOW_HOURS * HOUR) == ()
    found.add(name(99), claim(99), START + 30 * HOUR)
    write(found)
    late = START + (2 * ended.WINDOW_HOURS + 31) * HOUR

    expired = found.expired(late)
    assert [chunk.number for chunk in expired] == list(range(8))
    found.drop(expired)

    found.add(name(100), claim(100), late)
    write(found)
    found.drop(found.expired(late + 60 * HOUR))
    # A day goes as a whole, with the first chunk of a later one.
    assert set(found) == {name(99), name(100)}


def test_a_clock_that_goes_back_does_not_reopen_an_older_hour() -> None:
    found = filled(range(5), START + HOUR)
    found.add(name(7), claim(7), START)
    [chunk] = found.unwritten()
    assert len(chunk.claims) == 6


def test_a_tombstone_names_its_chunk() -> None:
    [first, second] = filled(range(15)).unwritten()
    assert [number_in(key_of(chunk)) for chunk in (first, second)] == [0, 1]


def test_a_full_disk_is_said_and_may_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def execute(self, *_: object) -> object:
            raise sqlite3.OperationalError("database or disk is full")

    index = EndedIndex()
    monkeypatch.setattr(index, "_database", Full())

    with pytest.raises(UnavailableError, match="folder for temporary files: database or disk is full"):
        index.add([Entry(bytes(16), claim(1), 1)])


def test_a_disk_that_was_full_for_a_moment_leaves_the_file_whole() -> None:
    # given: more sessions than the cache holds
    index = EndedIndex()
    entries = [Entry(sha256(b"%d" % number).digest()[:16], claim(number), 1) for number in range(60_000)]
    index.add(entries[:40_000])

    # when the disk takes no more for some writes
    with largest_file(1_000_000):
        for batch in batched(entries[40_000:]):
            with pytest.raises(UnavailableError, match="Is its disk full"):
                index.add(batch)
    for batch in batched(entries[40_000:]):
        index.add(batch)

    # then all are found
    assert {found for entry in entries[::100] if (found := index.with_id(entry.id)) == entry} == set(
        entries[::100]
    )
    assert sum(1 for _ in index) == len(entries)


def batched(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    return (entries[start : start + 5_000] for start in range(0, len(entries), 5_000))


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Writes beyond `size` bytes of a file fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
