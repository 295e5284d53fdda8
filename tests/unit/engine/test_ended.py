"""Ended sessions are remembered for a time and up to a number, and restored as they were written."""

import pytest

from orchestrator.engine.state import ended
from orchestrator.engine.state.ended import Ended, key_of, number_in
from orchestrator.messages.identity import derived_id

HOUR = 3_600_000_000
START = 500_000 * HOUR


def name(number: int) -> str:
    return derived_id("ended", number)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ended, "CHUNK_IDS", 10)
    monkeypatch.setattr(ended, "MAX_SESSIONS", 50)


def filled(count: int, at: int = START) -> Ended:
    found = Ended()
    for number in range(count):
        found.add(name(number), at)
    return found


def test_only_what_ended_is_in_it() -> None:
    found = filled(25)
    assert name(24) in found
    assert name(25) not in found
    assert set(found) == {name(number) for number in range(25)}


def test_chunks_are_read_as_they_were_written() -> None:
    found, read = filled(25), Ended()
    for chunk in found.unwritten():
        read.load(chunk.record)
    assert list(read) == list(found)
    assert read.unwritten() == ()
    read.add(name(99), START)
    assert [len(chunk.ids) for chunk in read.unwritten()] == [6]


def test_surplus_and_old_chunks_expire() -> None:
    found = filled(80)
    assert [chunk.number for chunk in found.expired(START)] == [0, 1, 2]
    found.add(name(99), START + HOUR)
    late = START + (ended.RETENTION_HOURS + 1) * HOUR
    expired = found.expired(late)
    assert [chunk.number for chunk in expired] == list(range(8))
    for chunk in expired:
        found.drop(chunk)
    assert list(found) == [name(99)]


def test_a_clock_that_goes_back_does_not_reopen_an_older_hour() -> None:
    found = filled(5, START + HOUR)
    found.add(name(7), START)
    [chunk] = found.unwritten()
    assert len(chunk.ids) == 6


def test_a_session_that_was_started_again_is_removed_from_its_chunk() -> None:
    found = filled(5)
    for chunk in found.unwritten():
        chunk.written = len(chunk.ids)
    found.forget(name(2))
    [chunk] = found.unwritten()
    assert name(2) not in found
    assert len(chunk.record.ids) == 4 * 16


def test_a_tombstone_names_its_chunk() -> None:
    [first, second] = filled(15).unwritten()
    assert [number_in(key_of(chunk)) for chunk in (first, second)] == [0, 1]
