"""While the value store is away on a real Kafka: what is committed, and what a restart reads again."""

from pathlib import Path

import pytest

from orchestrator.bus.values.message_values import MessageValues
from orchestrator.local import StackAddress
from orchestrator.messages.catalogue import Topic
from tests.support.away_values import FULL, AwayValues
from tests.support.large_inputs import (
    RECORD_BYTES,
    begin,
    last_event,
    plan_with_large_inputs,
    until_waiting,
)
from tests.support.saga_lab import SagaLab, is_gapless
from tests.support.workers import until

pytestmark = pytest.mark.integration


def test_what_waits_is_not_committed_is_read_again_after_a_restart_and_counts_once(
    kafka_stack: StackAddress, tmp_path: Path
) -> None:
    lab, store = SagaLab.on(kafka_stack.bootstrap_servers, tmp_path, partitions=2), AwayValues(tmp_path)
    lab.values = MessageValues(store)
    stuck, other = lab.new_id(partition=0), lab.new_id(partition=1)
    with lab.running(record_bytes=RECORD_BYTES) as running:
        begin(lab, stuck)
        store.failure = FULL
        plan_with_large_inputs(lab, stuck)
        until_waiting(running, "events/0")
        waits = last_event(lab, 0)
        begin(lab, other)
        until(lambda: lab.committed()[Topic.EVENTS, 0][0] == waits, "all before it is committed")

    with lab.running(record_bytes=RECORD_BYTES) as running:
        until_waiting(running, "events/0")
        with lab.services():
            lab.until_history(other, "TaskCompleted")
            assert lab.committed()[Topic.EVENTS, 0][0] == waits

            store.failure = None
            lab.until_history(stuck, "TaskCompleted")
            until(lambda: lab.committed()[Topic.EVENTS, 0][0] > waits, "it is committed")

    assert lab.names(stuck).count("PlanStepReady") == 3
    assert all(is_gapless(history) for history in lab.histories().values())
