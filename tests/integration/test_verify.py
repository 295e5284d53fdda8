"""Verification finds a sound history sound, and every injected fault at its offset."""

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from orchestrator.bus.deadline import Deadline
from orchestrator.engine.recovery.verify import Problem, Report, verify
from orchestrator.engine.state import snapshots
from orchestrator.local import StackAddress
from orchestrator.messages.base import Message, Record
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.types import SessionSnapshot
from orchestrator.messages.values import value_of
from orchestrator.saga import STATE_VERSION, evolve
from tests.support.saga_lab import SagaLab, count_ended
from tests.support.workers import until

pytestmark = pytest.mark.integration


@pytest.fixture
def lab(kafka_stack: StackAddress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SagaLab:
    """Ten sessions that ended and one that waits, with snapshots of all."""
    monkeypatch.setattr(snapshots, "MIN_EVENT_BYTES", 500)
    lab = SagaLab.on(kafka_stack.bootstrap_servers, tmp_path, partitions=2)
    lab.submit(*(lab.new_id() for _ in range(10)))
    with lab.running():
        with lab.services():
            until(lambda: count_ended(lab.histories(), "TaskCompleted") == 10, "all end")
        lab.submit(lab.new_id(partition=0))
        until(lambda: len(lab.histories()) == 11, "one more waits")
    return lab


def waiting(lab: SagaLab) -> str:
    return next(name for name, history in lab.histories().items() if len(history) == 2)


def write(lab: SagaLab, *messages: Message | Record) -> None:
    producer = lab.bus.transactional_producer("intruder")
    producer.init(Deadline.after(30))
    producer.begin()
    for message in messages:
        producer.send(replace(lab.codec.encode(message, source="/test/0"), partition=0))
    producer.commit(Deadline.after(30))
    producer.close()


def checked(lab: SagaLab) -> Report:
    return verify(lab.bus, lab.codec, lab.values)


def found(lab: SagaLab) -> list[tuple[Problem, str]]:
    return [(finding.problem, finding.correlation_id) for finding in checked(lab).findings]


def test_a_sound_history_is_found_sound(lab: SagaLab) -> None:
    report = checked(lab)
    assert report.is_sound
    assert (report.sessions, report.partitions) == (11, 2)
    assert report.events == sum(len(history) for history in lab.histories().values())
    assert report.compared == report.snapshots > 10


def test_injected_faults_are_found_at_their_offsets(lab: SagaLab) -> None:
    name = waiting(lab)
    first, second = lab.history(name)
    write(lab, second)
    assert found(lab) == [(Problem.DUPLICATE, name)]
    write(lab, replace(second, sequence=9))
    assert found(lab) == [(Problem.DUPLICATE, name), (Problem.GAP, name)]
    truncated = replace(second, correlation_id=lab.new_id(partition=0))
    write(lab, truncated)
    assert found(lab)[2:] == [(Problem.GAP, truncated.correlation_id)]
    other = replace(evolve(None, first), agent="somebody else")
    state = value_of(msgspec.msgpack.encode(other))
    write(
        lab,
        SessionSnapshot(
            correlation_id=name, sequence=1, state_version=STATE_VERSION, state=state, sessions_offset=0
        ),
    )
    report = checked(lab)
    [differs] = [each for each in report.findings if each.problem is Problem.STATE_DIFFERS]
    assert (differs.correlation_id, differs.partition) == (name, 0)
    assert [each.value for each in lab.installation.read(Topic.SNAPSHOTS) if each.offset == differs.offset]
