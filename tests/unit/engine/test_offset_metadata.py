"""What a committed offset says beside its number. Whoever may commit for the group may write any text."""

import pytest

from orchestrator.engine.offset_metadata import batch_number, metadata_of, partition_count_in


def test_it_says_the_last_transaction_and_the_partition_count() -> None:
    metadata = metadata_of(12, 8)

    assert (batch_number(metadata), partition_count_in(metadata)) == (12, 8)


@pytest.mark.parametrize(
    "number", ["", "x", "-1", "1.0", " 1", "1_0", "²", "\uff11", "٣", "9" * 15, "9" * 4_000]
)
def test_metadata_of_others_says_nothing(number: str) -> None:
    assert batch_number(f"{number}/8") == 0
    assert partition_count_in(f"7/{number}") == 0
