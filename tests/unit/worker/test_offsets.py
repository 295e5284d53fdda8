"""The offset tracker: in any order of completion, no offset is committed too early and none is lost."""

from base64 import b85encode
from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import ContractError
from orchestrator.worker.offsets import (
    INTAKE_CHARACTERS,
    MAX_INCOMPLETE,
    MAX_INTAKE_RECORDS,
    METADATA_CHARACTERS,
    OffsetTracker,
    decode,
    encode,
)

gaps = st.lists(
    st.one_of(st.integers(1, 3), st.integers(1, 300), st.integers(1, 2**40)), min_size=1, max_size=200
)


def offsets_of(start: int, steps: Iterable[int]) -> list[int]:
    """Ascending offsets, `steps` apart."""
    offsets = []
    for step in steps:
        offsets.append(start)
        start += step
    return offsets


def restored(tracker: OffsetTracker) -> OffsetTracker:
    """The tracker of the next owner, from what this one commits."""
    return OffsetTracker(tracker.commit())


def test_nothing_is_committed_before_a_position_is_known() -> None:
    assert OffsetTracker().commit() is None


def test_with_all_completed_the_next_offset_is_committed() -> None:
    tracker = OffsetTracker()
    for offset in (5, 6, 7):
        tracker.take(offset)
        tracker.complete(offset)

    assert tracker.commit() == (8, "")


def test_a_slow_record_holds_the_offset_and_the_others_are_in_the_metadata() -> None:
    tracker = OffsetTracker((10, ""))
    for offset in range(10, 15):
        assert tracker.take(offset)
    for offset in (11, 12, 14):
        tracker.complete(offset)

    commit = tracker.commit()

    assert commit is not None
    assert commit[0] == 10
    assert decode(commit[1], 10) == ([10, 13], 15)


def test_the_next_owner_takes_only_incomplete_offsets() -> None:
    before = OffsetTracker((10, ""))
    for offset in range(10, 15):
        before.take(offset)
    for offset in (11, 12, 14):
        before.complete(offset)

    after = restored(before)

    assert [offset for offset in range(10, 16) if after.take(offset)] == [10, 13, 15]


def test_restored_offsets_are_committed_again_before_they_are_read() -> None:
    before = OffsetTracker((10, ""))
    for offset in range(10, 15):
        before.take(offset)
    before.complete(13)
    after = restored(before)
    after.take(10)
    after.complete(10)

    assert after.commit() == (11, encode(11, [12], 14))


def test_an_offset_without_a_record_does_not_hold_the_commit() -> None:
    before = OffsetTracker((10, ""))
    for offset in range(10, 15):
        before.take(offset)
    before.complete(14)
    after = restored(before)

    after.take(12)  # 10 and 11 were compacted away meanwhile
    after.complete(12)

    assert after.commit() == (13, encode(13, [], 15))


def test_what_is_reached_is_the_lowest_incomplete_offset_or_the_position() -> None:
    tracker = OffsetTracker()
    before = tracker.reached
    tracker.take(3)
    tracker.take(4)
    tracker.complete(4)
    working = tracker.reached
    tracker.complete(3)
    tracker.skip_to(9)

    assert (before, working, tracker.reached) == (None, 3, 9)


def test_transaction_markers_at_the_end_are_skipped() -> None:
    tracker = OffsetTracker((10, ""))
    tracker.take(10)
    tracker.skip_to(12)
    assert tracker.commit() == (10, encode(10, [], 12))

    tracker.complete(10)

    assert tracker.commit() == (12, "")


def test_an_offset_below_the_position_is_refused() -> None:
    with pytest.raises(ValueError, match="below"):
        OffsetTracker((10, "")).take(3)


def test_offsets_committed_as_completed_stay_incomplete() -> None:
    tracker = OffsetTracker((10, ""))
    for offset in (10, 11, 12):
        tracker.take(offset)

    assert tracker.commit(as_completed={10}) == (11, "")
    assert tracker.commit(as_completed={11}) == (10, encode(10, [12], 13))
    assert tracker.commit() == (10, "")


def test_foreign_metadata_is_an_empty_set() -> None:
    assert decode("reset by ops", 7) == ([], 7)
    assert decode("", 7) == ([], 7)
    assert decode("²b:", 7) == ([], 7)


def test_metadata_of_a_newer_version_is_refused() -> None:
    with pytest.raises(ContractError, match="newer release"):
        OffsetTracker((7, "2r:whatever"))


@pytest.mark.parametrize(
    "content", [b"\x01\xff", b"\x01" + b"\xff" * 4 + b"\x01\x01", b"\xff" * 12 + b"\x01"]
)
def test_damaged_runs_are_refused(content: bytes) -> None:
    with pytest.raises(ContractError, match="damaged"):
        decode("1r:" + b85encode(content).decode(), 7)


def test_damaged_text_is_refused() -> None:
    with pytest.raises(ContractError, match="damaged"):
        OffsetTracker((7, '1b:"'))


def test_a_long_range_behind_one_slow_call_stays_small() -> None:
    tracker = OffsetTracker((0, ""))
    tracker.take(0)
    for offset in range(1, 100_000):
        tracker.take(offset)
        tracker.complete(offset)

    commit = tracker.commit()

    assert commit is not None
    assert len(commit[1]) < 20
    assert not tracker.is_full


def test_a_dense_mixture_is_written_as_bits() -> None:
    metadata = encode(0, range(2, 2_000, 2), 2_000)

    assert metadata.startswith("1b:")
    assert len(metadata) < 330


@given(start=st.integers(0, 2**40), steps=gaps, data=st.data())
def test_a_decoded_set_is_the_encoded_one(start: int, steps: list[int], data: st.DataObject) -> None:
    lowest, *above = offsets_of(start, steps)
    end = (above[-1] if above else lowest) + data.draw(st.integers(1, 400))

    incomplete, decoded_end = decode(metadata := encode(lowest, above, end), lowest)

    if not metadata:
        assert set(range(lowest + 1, end)) <= set(above)
        return
    assert incomplete == [lowest, *(offset for offset in above if offset < decoded_end)]
    assert decoded_end - 1 not in above
    assert set(range(decoded_end, end)) <= set(above)


@given(start=st.integers(0, 2**40), steps=gaps, data=st.data())
def test_any_order_of_completion_and_any_restart_runs_each_record_once(
    start: int, steps: list[int], data: st.DataObject
) -> None:
    offsets = offsets_of(start, steps)
    done: set[int] = set()
    tracker = OffsetTracker((start, ""))
    lives = data.draw(st.integers(1, 4))
    for _ in range(lives):
        reach = data.draw(st.integers(0, len(offsets)))
        ran = [
            offset for offset in offsets[:reach] if offset >= (tracker.position or 0) and tracker.take(offset)
        ]
        assert not done & set(ran)
        for offset in data.draw(st.permutations(ran))[: data.draw(st.integers(0, len(ran)))]:
            tracker.complete(offset)
            done.add(offset)
            commit = tracker.commit()
            assert commit is not None
            assert all(other in done for other in offsets if other < commit[0])
        tracker = restored(tracker)
    left = [offset for offset in offsets if offset >= (tracker.position or 0) and tracker.take(offset)]
    assert set(left) == set(offsets) - done


@given(
    steps=st.lists(st.one_of(st.just(1), st.integers(1, 2**20), st.integers(1, 2**34)), max_size=1_500),
    seed=st.randoms(use_true_random=False),
    stubborn=st.floats(0, 1),
)
def test_the_metadata_never_exceeds_its_limit(steps: list[int], seed: Random, stubborn: float) -> None:
    tracker = OffsetTracker((0, ""))
    tracker.take(0)
    waiting: list[int] = []
    for index, offset in enumerate(offsets_of(1, steps)):
        if index % MAX_INTAKE_RECORDS == 0 and tracker.is_full:
            break
        tracker.take(offset)
        waiting.append(offset)
        if seed.random() > stubborn:
            tracker.complete(waiting.pop(seed.randrange(len(waiting))))
    seed.shuffle(waiting)
    while waiting:
        if len(waiting) % 50 == 0 or len(waiting) < 20:
            commit = tracker.commit()
            assert commit is not None
            assert len(commit[1]) <= METADATA_CHARACTERS
        tracker.complete(waiting.pop())


def test_intake_stops_before_the_limit() -> None:
    tracker = OffsetTracker((0, ""))
    offset = 0
    while not tracker.is_full:
        tracker.take(offset)
        offset += 300
    count = len(tracker)
    for late in range(0, offset, 300):
        if late % 9_000 == 0 and late:
            commit = tracker.commit()
            assert commit is not None
            assert len(commit[1]) <= INTAKE_CHARACTERS
        if (late // 300) % 2:
            tracker.complete(late)

    assert 500 < count < MAX_INCOMPLETE
