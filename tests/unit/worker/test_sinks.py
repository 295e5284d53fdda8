"""Sinks on the embedded broker: each message is stored once, whatever fails in between."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import Outgoing
from orchestrator.errors import ConfigurationError, UnavailableError
from orchestrator.messages.catalogue import Topic
from orchestrator.sdk import Delivery, Positions, SinkPlugin, TransientError, sink
from orchestrator.worker.host import Host
from orchestrator.worker.sinks import SinkRunner, SinkSettings
from orchestrator.worker.suspects import MOST_ATTEMPTS
from tests.support.workers import TIMEOUT_S, Lab, number_of, until


class MemorySink:
    """Stores a batch and its positions atomically; the first `failures` writes fail and store nothing."""

    def __init__(self, failures: int = 0) -> None:
        self.stored: list[Delivery] = []
        self.next: dict[tuple[str, int], int] = {}
        self.failures = failures
        self.is_closed = False

    def positions(self) -> Positions:
        return dict(self.next)

    def write(self, batch: Sequence[Delivery], positions: Positions) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("the disk is full")
        self.stored.extend(batch)
        self.next.update(positions)

    def close(self) -> None:
        self.is_closed = True

    @property
    def numbers(self) -> list[int]:
        return sorted(number_of(delivery.message) for delivery in self.stored)


@contextmanager
def storing(sink: MemorySink, host: Host, pattern: str = "ExecuteTool") -> Iterator[SinkRunner]:
    plugin = SinkPlugin("memory", pattern, lambda: sink)
    runner = SinkRunner(plugin, host, SinkSettings(initial_backoff_s=0.01))
    runner.start()
    try:
        runner.wait_ready(Deadline.after(TIMEOUT_S))
        yield runner
    finally:
        runner.stop(Deadline.after(TIMEOUT_S))


def test_old_and_new_messages_are_stored_in_order_with_their_positions(lab: Lab) -> None:
    sink = MemorySink()
    lab.execute(*range(10))
    with lab.host() as host, storing(sink, host):
        lab.execute(*range(10, 20))
        until(lambda: len(sink.stored) == 20, "all are stored")

    assert sink.numbers == list(range(20))
    for partition in range(2):
        offsets = [delivery.offset for delivery in sink.stored if delivery.partition == partition]
        assert offsets == list(range(sink.next["execute.commands", partition]))
    assert sink.is_closed


def test_a_restart_repeats_nothing(lab: Lab) -> None:
    sink = MemorySink()
    with lab.host() as host:
        lab.execute(*range(5))
        with storing(sink, host):
            until(lambda: len(sink.stored) == 5, "the first are stored")
        lab.execute(*range(5, 9))
        with storing(sink, host):
            until(lambda: len(sink.stored) == 9, "the others are stored")

    assert sink.numbers == list(range(9))


def test_a_batch_that_could_not_be_stored_is_read_again(lab: Lab) -> None:
    sink = MemorySink(failures=3)
    with lab.host() as host, storing(sink, host):
        lab.execute(*range(8))
        until(lambda: len(sink.stored) == 8, "all are stored")

    assert sink.failures == 0
    assert sink.numbers == list(range(8))


def test_a_store_that_fails_is_waited_for_longer_each_time_and_said_once(
    lab: Lab, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = MemorySink(failures=6)
    waits: list[float] = []
    # A poll that does not wait brings nothing the first time, which is no success.
    settings = SinkSettings(initial_backoff_s=0.01, max_backoff_s=0.1, poll_timeout_s=0.0)
    with lab.host() as host:
        runner = SinkRunner(SinkPlugin("memory", "ExecuteTool", lambda: sink), host, settings)
        monkeypatch.setattr(runner._stop, "wait", waits.append)
        runner.start()
        lab.execute(0)
        until(lambda: sink.numbers == [0], "it is stored")
        sink.failures = 2
        lab.execute(1)
        until(lambda: sink.numbers == [0, 1], "the next one is stored")
        runner.stop(Deadline.after(TIMEOUT_S))

    assert waits == [0.01, 0.02, 0.04, 0.08, 0.1, 0.1, 0.01, 0.02]
    said = [record.message for record in caplog.records if "returns to its stored" in record.message]
    assert said == ["sink memory returns to its stored positions: OSError: the disk is full"] * 2


def test_an_undecodable_record_is_dead_lettered_once_and_blocks_nothing(lab: Lab) -> None:
    sink = MemorySink(failures=2)
    good = lab.record(1, partition=0)
    with lab.host() as host:
        lab.send(Outgoing(good.topic, good.key, b"poison", good.headers, 0))
        lab.execute(1, partition=0)
        with storing(sink, host):
            until(lambda: len(sink.stored) == 1, "the good one is stored")

    (dead_letter,) = lab.messages(Topic.DEAD_LETTERS)
    assert (dead_letter.service, dead_letter.stage, dead_letter.original.value) == (
        "memory",
        "decode",
        b"poison",
    )
    assert sink.next["execute.commands", 0] == 2


class PickySink(MemorySink):
    """Cannot store one message, as a sink whose author did not think of it."""

    def __init__(self, refused: int, error: BaseException) -> None:
        super().__init__()
        self.refused = refused
        self.error = error
        self.refusals = 0

    def write(self, batch: Sequence[Delivery], positions: Positions) -> None:
        if self.refused in [number_of(delivery.message) for delivery in batch]:
            self.refusals += 1
            raise self.error
        super().write(batch, positions)


class Panic(BaseException):
    """As native extensions raise it."""


@pytest.mark.parametrize("error", [KeyError("price"), Panic("index out of range")], ids=repr)
def test_a_record_that_cannot_be_stored_is_set_aside_and_the_others_are_stored(
    lab: Lab, error: BaseException
) -> None:
    sink = PickySink(4, error)
    lab.execute(*range(9))
    with lab.host() as host, storing(sink, host):
        until(lambda: len(sink.stored) == 8, "the others are stored")
        lab.execute(*range(9, 12))
        until(lambda: len(sink.stored) == 11, "later ones are stored")
        until(lambda: len(lab.messages(Topic.DEAD_LETTERS)) == 1, "the record is dead-lettered")

    assert sink.numbers == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11]
    (dead_letter,) = lab.messages(Topic.DEAD_LETTERS)
    assert (dead_letter.service, dead_letter.stage) == ("memory", "handle")
    assert str(error) in dead_letter.failure.message
    (unstored,) = [one for one in lab.read(Topic.EXECUTE_COMMANDS) if number_of(lab.codec.decode(one)) == 4]
    assert (dead_letter.original.partition, dead_letter.original.offset) == (
        unstored.partition,
        unstored.offset,
    )


def test_what_cannot_be_stored_has_a_dead_letter_also_before_what_cannot_be_decoded(lab: Lab) -> None:
    sink = PickySink(0, KeyError("price"))
    good = lab.record(0, partition=0)
    lab.execute(0, partition=0)
    lab.send(Outgoing(good.topic, good.key, b"poison", good.headers, 0))
    lab.execute(1, partition=0)
    with lab.host() as host, storing(sink, host):
        until(lambda: sink.numbers == [1], "the good one is stored")
        until(lambda: len(lab.messages(Topic.DEAD_LETTERS)) == 2, "the others are dead-lettered")

    stages = {letter.original.offset: letter.stage for letter in lab.messages(Topic.DEAD_LETTERS)}
    assert stages == {0: "handle", 1: "decode"}


@pytest.mark.parametrize(
    "error",
    [OSError("the disk is full"), TransientError("too busy"), UnavailableError("the store is damaged")],
    ids=repr,
)
def test_no_record_is_blamed_for_a_store_that_is_away(lab: Lab, error: BaseException) -> None:
    sink = PickySink(0, error)
    lab.execute(0)
    with lab.host() as host, storing(sink, host):
        until(lambda: sink.refusals > 2 * MOST_ATTEMPTS, "it was tried often")
        sink.refused = -1
        until(lambda: len(sink.stored) == 1, "it is stored")

    assert lab.messages(Topic.DEAD_LETTERS) == []


def test_messages_of_other_types_only_advance_the_positions(lab: Lab) -> None:
    sink = MemorySink()
    with lab.host() as host, storing(sink, host, pattern="*Failed") as runner:
        lab.execute(1)
        until(lambda: runner.is_running, "it runs")

    assert sink.stored == []


def test_what_lacks_a_method_of_a_sink_is_refused(lab: Lab) -> None:
    class Halfway:
        def write(self, batch: Sequence[Delivery], positions: Positions) -> None: ...

    with pytest.raises(ConfigurationError, match="sink halfway has no method positions, close"):
        sink("halfway")(Halfway)  # type: ignore[arg-type]
    with lab.host() as host:
        runner = SinkRunner(SinkPlugin("halfway", "ExecuteTool", lambda: Halfway()), host)  # type: ignore[arg-type,return-value]
        runner.start()
        with pytest.raises(ConfigurationError, match="has no method positions, close"):
            runner.wait_ready(Deadline.after(TIMEOUT_S))


def test_a_store_that_is_ahead_of_its_topic_is_refused(lab: Lab) -> None:
    sink = MemorySink()
    sink.next["execute.commands", 0] = 99
    with lab.host() as host:
        runner = SinkRunner(SinkPlugin("memory", "ExecuteTool", lambda: sink), host)
        runner.start()
        with pytest.raises(ConfigurationError, match="new store"):
            runner.wait_ready(Deadline.after(TIMEOUT_S))


def test_a_pattern_that_matches_nothing_is_refused(lab: Lab) -> None:
    with lab.host() as host, pytest.raises(ConfigurationError, match="no message matches NoSuchThing"):
        SinkRunner(SinkPlugin("memory", "NoSuchThing", MemorySink), host)
