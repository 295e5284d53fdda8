"""Errors are raised to whoever calls the client, and nothing that they refer to stays behind."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.kafka.bus import KafkaBus
from orchestrator.bus.ports import Assignor, Outgoing, Position, Reading, Start
from orchestrator.errors import UnavailableError
from orchestrator.local import EmbeddedCluster
from orchestrator.messages.catalogue import Topic
from tests.support.workers import lab_settings, until


class Held:
    """What a failing callback works with."""


@pytest.fixture
def bus() -> Iterator[KafkaBus]:
    with EmbeddedCluster({f"t.{topic}": 1 for topic in Topic}) as cluster:
        yield KafkaBus(lab_settings(cluster.bootstrap_servers, "t.", 1))


@pytest.mark.parametrize("assignor", list(Assignor))
def test_an_assignment_that_fails_is_raised_and_not_kept(bus: KafkaBus, assignor: Assignor) -> None:
    held: list[weakref.ref[Held]] = []

    def on_assign(_positions: tuple[Position, ...]) -> None:
        local = Held()
        held.append(weakref.ref(local))
        raise UnavailableError("nothing could be restored")

    # given: a record to read, and a member that cannot take over its partition
    producer = bus.producer()
    producer.send(Outgoing(Topic.EVENTS, b"k", b"v", ()))
    assert producer.flush(Deadline.after(20)) == 0
    consumer = bus.consumer(Reading("group", Start.BEGINNING, assignor=assignor))
    consumer.subscribe([Topic.EVENTS], on_assign, lambda _: None, lambda _: None)

    # when: it polls
    def raises() -> bool:
        try:
            assert consumer.poll(0.05) is None, "a record of a partition that was not taken over"
        except UnavailableError:
            return True
        return False

    until(raises, "the error is raised")
    # then: nothing is read, and nothing of the error stays
    assert consumer.poll(0.05) is None
    gc.collect()
    assert [each() for each in held] == [None]
    consumer.close()


def test_a_delivery_that_fails_is_raised_and_not_kept(bus: KafkaBus) -> None:
    held: list[weakref.ref[Held]] = []

    def on_delivery(_error: BaseException | None) -> None:
        local = Held()
        held.append(weakref.ref(local))
        raise ValueError("nobody waits for this record")

    producer = bus.producer()
    producer.send(Outgoing(Topic.EVENTS, b"k", b"v", ()), on_delivery)
    with pytest.raises(ValueError, match="nobody waits"):
        producer.flush(Deadline.after(20))

    gc.collect()
    assert [each() for each in held] == [None]
