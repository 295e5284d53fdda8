from orchestrator.bus.polling import by_time
from orchestrator.bus.ports import Received
from orchestrator.messages.catalogue import Topic


def record(partition: int, offset: int, timestamp_ms: int) -> Received:
    return Received(Topic.EVENTS, partition, offset, timestamp_ms, None, b"")


def test_records_of_several_partitions_come_by_time() -> None:
    batch = [record(0, 0, 10), record(0, 1, 30), record(1, 0, 20)]

    assert [each.timestamp_ms for each in by_time(batch)] == [10, 20, 30]


def test_records_of_one_partition_keep_their_order_whatever_times_they_say() -> None:
    batch = [record(0, 0, 50), record(1, 0, 20), record(0, 1, 0), record(0, 2, 40)]

    assert [each.offset for each in by_time(batch) if each.partition == 0] == [0, 1, 2]
