"""While the value store is away, what needs it waits, and everything else goes on."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.bus.values.message_values import MessageValues
from orchestrator.engine.state import store_writes
from orchestrator.local import EmbeddedCluster
from orchestrator.messages import commands, events, identity
from orchestrator.messages.base import Message
from orchestrator.messages.catalogue import TOPICS, Topic
from orchestrator.messages.types import AgentProfile, CallKind, EvaluationPolicy, Failure, FailureKind
from orchestrator.messages.values import json_value
from tests.support.away_values import FORBIDDEN, FULL, AwayValues
from tests.support.large_inputs import (
    RECORD_BYTES,
    begin,
    last_event,
    plan_with_large_inputs,
    ready,
    until_waiting,
)
from tests.support.saga_lab import SagaLab, is_gapless
from tests.support.workers import Lab, lab_settings, until


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AwayValues]:
    made = AwayValues(tmp_path)
    yield made
    made.may_return.set()


@pytest.fixture
def lab(tmp_path: Path, store: AwayValues) -> Iterator[SagaLab]:
    with EmbeddedCluster({f"t.{spec.topic}": spec.partitions or 2 for spec in TOPICS}) as cluster:
        made = SagaLab(Lab(lab_settings(cluster.bootstrap_servers, "t.", 2, fetch_wait_max_ms="5")), tmp_path)
        made.values = MessageValues(store)
        yield made


@pytest.mark.parametrize("failure", [FULL, FORBIDDEN], ids=["full", "forbidden"])
def test_an_input_waits_for_the_store_and_everything_else_goes_on(
    lab: SagaLab, store: AwayValues, caplog: pytest.LogCaptureFixture, failure: Exception
) -> None:
    stuck, behind, cancelled, queued = (lab.new_id(partition=0) for _ in range(4))
    other = lab.new_id(partition=1)
    with caplog.at_level(logging.WARNING), lab.running(record_bytes=RECORD_BYTES) as running:
        begin(lab, stuck, behind, cancelled)
        store.failure = failure
        plan_with_large_inputs(lab, stuck)
        until_waiting(running, "events/0")
        waits_at = last_event(lab, 0)

        lab.reply_to(behind, commands.CreatePlan)
        lab.cancel(cancelled)
        begin(lab, queued)
        lab.until_history(cancelled, "TaskCancelled")
        begin(lab, other)
        with lab.services():
            lab.until_history(other, "TaskCompleted")
            assert running.loop.partitions[0].positions[Topic.EVENTS] == waits_at
            assert lab.names(stuck).count("PlanStepReady") == 2
            assert "PlanAccepted" not in lab.names(behind)

            store.failure = None
            for name in (stuck, behind, queued):
                lab.until_history(name, "TaskCompleted")
        until(lambda: running.loop.problem is None, "nothing waits any more")

    assert lab.names(stuck).count("PlanStepReady") == 3
    assert all(is_gapless(history) for history in lab.histories().values())
    assert [one.message for one in caplog.records if str(failure) in one.message] == [
        f"{failure}; what needs it waits with what is behind it in its partition, and is tried again; all else goes on"
    ]


def test_a_store_that_hangs_holds_up_nothing_else(
    lab: SagaLab, store: AwayValues, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_writes, "WRITE_S", 0.2)
    stuck, other = lab.new_id(partition=0), lab.new_id(partition=1)
    with lab.running(record_bytes=RECORD_BYTES) as running:
        begin(lab, stuck)
        store.may_return.clear()
        plan_with_large_inputs(lab, stuck)
        until_waiting(running, "events/0")
        begin(lab, other)
        with lab.services():
            lab.until_history(other, "TaskCompleted")
            store.may_return.set()
            lab.until_history(stuck, "TaskCompleted")

    assert is_gapless(lab.history(stuck))


def test_a_timer_waits_for_the_store_and_others_fire(lab: SagaLab, store: AwayValues) -> None:
    stuck, other = lab.new_id(partition=0), lab.new_id(partition=0)
    with lab.running(record_bytes=RECORD_BYTES) as running:
        begin(lab, stuck, other)
        plan_with_large_inputs(lab, stuck)
        lab.until_history(stuck, "PlanStepReady", count=3)
        store.failure = FULL
        retry(lab, stuck, fail_tool(lab, stuck))
        until_waiting(running, "timers (1)")

        [command] = [each for each in lab.outputs(other) if isinstance(each, commands.CreatePlan)]
        retry(lab, other, failed(command, events.PlanningFailed))
        lab.until_history(other, "PlanRequested", count=2)
        assert lab.names(stuck).count("PlanStepReady") == 3

        store.failure = None
        lab.until_history(stuck, "PlanStepReady", count=4)
        until(lambda: running.loop.problem is None, "nothing waits any more")

    assert is_gapless(lab.history(stuck))


def fail_tool(lab: SagaLab, session: str) -> Message:
    selected, completed = lab.replies(ready(lab, session, "c"))
    lab.send(selected)
    return failed(completed, events.ToolFailed, tool=completed.tool)


def failed(output: Any, kind: type[Any], **fields: Any) -> Message:
    made: Message = kind(
        event_id=identity.derived_id("failed", output.message_id),
        correlation_id=output.correlation_id,
        occurred_at=1,
        call=output.call,
        failure=Failure(kind=FailureKind.TRANSIENT, code="broken", message="it did not work"),
        **fields,
    )
    return made


def retry(lab: SagaLab, session: str, failure: Message) -> None:
    """Reports a failure, and has its call retried by a timer."""
    lab.send(failure)
    lab.until_history(session, "CallFailed")
    call = next(event for event in lab.history(session) if isinstance(event, events.CallFailed)).call
    assert call.kind is CallKind.RECOVERY
    lab.send(
        events.RetryScheduled(
            event_id=call.call_id, correlation_id=session, occurred_at=1, call=call, delay_ms=100
        )
    )


def test_a_dead_letter_goes_without_its_state_where_the_store_does_not_take_it(
    lab: SagaLab, store: AwayValues
) -> None:
    lab.agents.found["default"] = AgentProfile(name="default", evaluation=EvaluationPolicy(max_revisions=1))
    session = lab.new_id()
    store.failure = FULL
    with lab.running() as running:
        begin(lab, session, context=json_value("x" * 40_000))
        [command] = [each for each in lab.outputs(session) if isinstance(each, commands.CreatePlan)]
        [created] = lab.replies(command)
        lab.send(replace(created, plan=replace(created.plan, steps=())))
        lab.until_history(session, "TaskEscalated")
        until(lambda: bool(lab.dead_letters()), "its dead letter")
        assert running.loop.problem is None, "nothing waits"

    [dead_letter] = lab.dead_letters()
    assert (dead_letter.correlation_id, dead_letter.state) == (session, None)
    assert "the value store did not take it" in dead_letter.failure.message
