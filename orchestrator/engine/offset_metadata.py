"""The metadata of a committed offset. From it a restart learns the last transaction and the partition count."""


def metadata_of(batch: int, partition_count: int) -> str:
    """The metadata that transaction number `batch` commits."""
    return f"{batch}/{partition_count}"


def batch_number(metadata: str) -> int:
    """The number of the transaction that committed an offset; 0 if something else did."""
    number = metadata.partition("/")[0]
    return int(number) if number.isdigit() else 0


def partition_count_in(metadata: str) -> int:
    """The partition count when an offset was committed; 0 if the metadata does not have it."""
    count = metadata.partition("/")[2]
    return int(count) if count.isdigit() else 0
