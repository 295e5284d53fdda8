"""The metadata of a committed offset. From it a restart learns the last transaction and the partition count."""

from typing import Final

_DIGITS: Final = 14
"""Of the numbers that are read: the next ones, too, fit in every field."""


def metadata_of(batch: int, partition_count: int) -> str:
    """The metadata that transaction number `batch` commits."""
    return f"{batch}/{partition_count}"


def batch_number(metadata: str) -> int:
    """The number of the transaction that committed an offset; 0 if something else did."""
    return _number(metadata.partition("/")[0])


def partition_count_in(metadata: str) -> int:
    """The partition count when an offset was committed; 0 if the metadata does not have it."""
    return _number(metadata.partition("/")[2])


def _number(text: str) -> int:
    """Whoever may commit for the group may write any text. What has no number of ours has none."""
    is_ours = text.isascii() and text.isdecimal() and len(text) <= _DIGITS
    return int(text) if is_ours else 0
