"""The metrics of the orchestrator's sessions and transactions."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.app.session_observer import SessionObserver
from orchestrator.bus.partitioning import partition_of
from orchestrator.bus.ports import Outgoing
from orchestrator.engine.observer import ABORTED
from orchestrator.local import EmbeddedCluster
from orchestrator.messages.catalogue import TOPICS, Topic
from orchestrator.telemetry.metrics import ProcessMetrics
from orchestrator.telemetry.tracing import NoTracing
from tests.support.saga_lab import SagaLab
from tests.support.workers import Lab, lab_settings, until

PARTITIONS = 2


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[SagaLab]:
    with EmbeddedCluster({f"t.{spec.topic}": spec.partitions or PARTITIONS for spec in TOPICS}) as cluster:
        quick = lab_settings(cluster.bootstrap_servers, "t.", PARTITIONS, fetch_wait_max_ms="5")
        yield SagaLab(Lab(quick), tmp_path)


@pytest.fixture
def metrics() -> ProcessMetrics:
    return ProcessMetrics()


@pytest.fixture
def observer(metrics: ProcessMetrics) -> SessionObserver:
    return SessionObserver(NoTracing(), metrics)


def value(metrics: ProcessMetrics, sample: str) -> float:
    """The exposed value of a sample; 0 if it is missing."""
    lines = dict(line.rsplit(" ", 1) for line in metrics.exposition().decode().splitlines())
    return float(lines.get(sample, 0))


def test_a_session_is_measured_from_its_first_input_to_its_end(
    lab: SagaLab, metrics: ProcessMetrics, observer: SessionObserver
) -> None:
    # given: an active session
    session = lab.new_id()
    active = f'agents_sessions_active{{partition="{partition_of(session, PARTITIONS)}"}}'
    with lab.running(observer=observer):
        lab.submit(session)
        until(lambda: value(metrics, active) == 1, "it is active")
        # when: it ends, and its task is submitted again
        with lab.services():
            until(lambda: value(metrics, active) == 0, "it has ended")
        lab.submit(session)
        late = 'agents_inputs_dropped_total{reason="late"}'
        until(lambda: value(metrics, late) == 1, "its second task is dropped")

    # then
    settled = 'agents_sessions_settled_total{outcome="TaskCompleted"}'
    committed = value(metrics, 'agents_transactions_total{outcome="committed"}')
    assert value(metrics, settled) == 1
    assert committed > 1
    assert value(metrics, "agents_transaction_seconds_count") == committed
    assert value(metrics, "agents_transaction_messages_count") == committed
    assert value(metrics, "agents_transaction_messages_sum") >= committed
    for topic in (Topic.SESSIONS, Topic.PLAN_COMMANDS, Topic.EVALUATE_COMMANDS):
        sent = value(metrics, f'agents_messages_sent_total{{topic="{topic}"}}')
        assert sent == len(lab.installation.messages(topic))
    assert value(metrics, f'agents_messages_received_total{{topic="{Topic.TASKS}"}}') == 2


def test_a_revoked_partition_has_no_active_sessions(
    metrics: ProcessMetrics, observer: SessionObserver
) -> None:
    observer.owns({0: 3, 1: 4})
    observer.owns({1: 5})
    assert value(metrics, 'agents_sessions_active{partition="0"}') == 0
    assert value(metrics, 'agents_sessions_active{partition="1"}') == 5


def test_an_aborted_transaction_is_counted(metrics: ProcessMetrics, observer: SessionObserver) -> None:
    observer.failed(ABORTED)
    assert value(metrics, 'agents_transactions_total{outcome="aborted"}') == 1


def test_a_dead_letter_of_the_orchestrator_is_counted(
    lab: SagaLab, metrics: ProcessMetrics, observer: SessionObserver
) -> None:
    with lab.running(observer=observer):
        lab.send_raw(Outgoing(Topic.TASKS, b"k", b"garbage", ()))
        counted = 'agents_dead_letters_total{service="orchestrator",stage="decode"}'
        until(lambda: value(metrics, counted) == 1, "it is counted")
