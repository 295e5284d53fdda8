"""The metadata of a committed offset. From it a restart learns the last transaction, the partition count, and how far
the history reached."""

from typing import Final

_DIGITS: Final = 14
"""Of the numbers that are read: the next ones, too, fit in every field."""


def metadata_of(batch: int, partition_count: int, sessions_end: int) -> str:
    """The metadata that transaction number `batch` commits. `sessions_end` is the end offset of the partition's history
    after it, or a lower one."""
    return f"{batch}/{partition_count}/{sessions_end}"


def batch_number(metadata: str) -> int:
    """The number of the transaction that committed an offset; 0 if something else did."""
    return _field(metadata, 0)


def partition_count_in(metadata: str) -> int:
    """The partition count when an offset was committed; 0 if the metadata does not have it."""
    return _field(metadata, 1)


def sessions_end_in(metadata: str) -> int:
    """The end offset of the history when an offset was committed, or a lower one; 0 if it does not say so."""
    return _field(metadata, 2)


def _field(metadata: str, index: int) -> int:
    """Whoever may commit for the group may write any text. What has no number of ours has none."""
    fields = metadata.split("/", 3)
    text = fields[index] if index < len(fields) else ""
    is_ours = text.isascii() and text.isdecimal() and len(text) <= _DIGITS
    return int(text) if is_ours else 0
