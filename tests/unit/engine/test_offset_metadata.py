"""What a committed offset says beside its number. Whoever may commit for the group may write any text."""

import pytest

from orchestrator.engine.offset_metadata import (
    batch_number,
    metadata_of,
    partition_count_in,
    sessions_end_in,
)


def test_it_says_the_last_transaction_the_partition_count_and_the_end_of_the_history() -> None:
    metadata = metadata_of(12, 8, 345)

    said = batch_number(metadata), partition_count_in(metadata), sessions_end_in(metadata)

    assert said == (12, 8, 345)


def test_metadata_without_the_end_of_the_history_says_the_rest() -> None:
    said = batch_number("12/8"), partition_count_in("12/8"), sessions_end_in("12/8")

    assert said == (12, 8, 0)


@pytest.mark.parametrize(
    "number", ["", "x", "-1", "1.0", " 1", "1_0", "²", "\uff11", "٣", "9" * 15, "9" * 4_000]
)
def test_metadata_of_others_says_nothing(number: str) -> None:
    assert batch_number(f"{number}/8") == 0
    assert partition_count_in(f"7/{number}") == 0
    assert sessions_end_in(f"7/8/{number}") == 0
