"""Checks that a partition's history is all there: it reaches from the low-water mark to what was written last."""

from orchestrator.engine.recovery.partition_counts import FORGET
from orchestrator.engine.state.partition import Partition
from orchestrator.errors import ConfigurationError
from orchestrator.messages.types import PartitionCheckpoint


def first_offset(
    partition: Partition, checkpoint: PartitionCheckpoint | None, committed: int, there: tuple[int, int]
) -> int:
    """Where a restore begins to read the sessions topic, of which `there` says the first offset and the end.

    `partition` is what snapshots say; `committed` is the end that the last committed offsets say, 0 if they do not.

    Raises `ConfigurationError` for a history that begins too late or ends too early: a topic that was recreated, or
    that lost its last records, is as valid as one that was never written, and its sessions would vanish.
    """
    number = partition.number
    low, end = there
    mark = low if checkpoint is None else checkpoint.low_water_mark
    if mark < low:
        raise ConfigurationError(
            f"partition {number} needs its history from offset {mark} on, but the sessions topic begins at "
            f"{low}: its retention was too short, or records were deleted. Restore the topic from a backup"
        )
    written = max((live.first_offset for live in partition.live.values()), default=0)
    ours = max(mark, written)
    if (known := max(ours, committed)) > end:
        forget = (
            "" if ours > end else f". If neither is so, somebody else has committed this offset: {FORGET}"
        )
        raise ConfigurationError(
            f"partition {number} has written its history up to offset {known}, but the sessions topic ends at "
            f"{end}: it was recreated, or brokers lost its last records. Restore the topic from a backup{forget}"
        )
    return mark


def without_commit(number: int) -> ConfigurationError:
    """The error of a partition that has a checkpoint and no committed offset."""
    return ConfigurationError(
        f"partition {number} has a checkpoint but its group has no committed offset: the group was "
        "deleted or renamed, or no orchestrator ran for longer than the brokers retain offsets. Set the "
        "group's offsets to the position up to which this partition was processed"
    )
