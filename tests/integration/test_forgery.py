"""Replies and commands of others, on a real Kafka: who has no key of calls gets no tool run and no reply counted."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.bus.avro.schema_ids import CatalogueIds
from orchestrator.bus.codec import Codec
from orchestrator.bus.ports import Outgoing
from orchestrator.local import StackAddress
from orchestrator.messages import commands, events, identity
from orchestrator.messages.call_ids import CallIds
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.signatures import Signatures
from orchestrator.messages.types import Call, CallKind, Failure, Usage
from tests.support.saga_lab import SagaLab
from tests.support.workers import Lab, command, echo, started, until

pytestmark = pytest.mark.integration

KEYS = CallIds([b"k" * 32])
SIGNATURES = Signatures([b"k" * 32])


@pytest.fixture
def lab(kafka_stack: StackAddress, tmp_path: Path) -> SagaLab:
    return SagaLab.on(kafka_stack.bootstrap_servers, tmp_path, partitions=1)


def until_dead_letters(lab: SagaLab, count: int) -> list[str]:
    until(lambda: len(lab.dead_letters()) >= count, f"{count} dead letters")
    return [each.failure.message for each in lab.dead_letters()]


def test_a_reply_under_an_id_that_anybody_can_compute_does_not_count(lab: SagaLab) -> None:
    with lab.running(call_ids=KEYS):
        [session] = lab.submit(lab.new_id())
        lab.until_history(session, "PlanRequested")
        [asked] = [each for each in lab.outputs(session) if isinstance(each, commands.CreatePlan)]
        guessed = identity.call_id(session, "PLAN", 1, "", 1)
        assert asked.call.call_id != guessed
        [reply] = [each for each in lab.replies(asked) if isinstance(each, events.PlanCreated)]
        lab.send(replace(reply, call=replace(reply.call, call_id=guessed)))
        assert until_dead_letters(lab, 1) == [
            "no orchestrator of this installation has opened the call that it replies to"
        ]
        with lab.services():
            lab.until_history(session, "TaskCompleted")


def test_usage_that_nobody_was_asked_for_is_not_counted(lab: SagaLab) -> None:
    with lab.running(call_ids=KEYS):
        [session] = lab.submit(lab.new_id())
        lab.until_history(session, "PlanRequested")
        lab.send(
            events.PlanningFailed(
                event_id=lab.new_id(),
                correlation_id=session,
                occurred_at=1,
                call=Call(call_id=lab.new_id(), kind=CallKind.PLAN, revision=1, due_at=0),
                failure=Failure(code="forged", message="not asked for"),
                usage=Usage(model_requests=1, cost_micro_usd=10**9),
            )
        )
        until_dead_letters(lab, 1)
        with lab.services():
            lab.until_history(session, "TaskCompleted")

    [ended] = [each for each in lab.history(session) if isinstance(each, events.TaskCompleted)]
    assert ended.total.model_requests == 0


def test_a_command_of_somebody_else_runs_nothing(kafka_stack: StackAddress) -> None:
    lab = Lab.on(kafka_stack.bootstrap_servers, partitions=1, signatures=SIGNATURES)
    service = echo()
    forged = command(1)
    with lab.host(service, call_ids=KEYS) as host, started(service, host):
        for sent in (forged, asked_for(forged)):
            lab.send(lab.codec.encode(sent, source="/test/0"))
        until(lambda: lab.messages(Topic.EVENTS) != [], "the run of the command that was asked for")

    [completed] = lab.messages(Topic.EVENTS)
    [dead_letter] = lab.messages(Topic.DEAD_LETTERS)
    assert completed.call == asked_for(forged).call
    assert dead_letter.failure.code == "forged"
    assert dead_letter.original.value is not None


def test_a_command_that_was_changed_runs_nothing(kafka_stack: StackAddress) -> None:
    """Whoever reads a command knows the id of its call, and cannot have anything else run under it."""
    lab = Lab.on(kafka_stack.bootstrap_servers, partitions=1, signatures=SIGNATURES)
    service = echo()
    sound = asked_for(command(1))
    recorded = lab.codec.encode(sound, source="/test/0")
    by_others = Codec(CatalogueIds())
    with lab.host(service, call_ids=KEYS) as host, started(service, host):
        for changed in (
            replace(sound, timeout_ms=sound.timeout_ms + 1),
            replace(sound, tenant="other"),
            sound,
        ):
            value = by_others.encode(changed, source="/test/0").value
            lab.send(Outgoing(recorded.topic, recorded.key, value, recorded.headers))
        until(lambda: lab.messages(Topic.EVENTS) != [], "the run of the command that was asked for")

    [completed] = lab.messages(Topic.EVENTS)
    assert completed.tenant == sound.tenant
    letters = lab.messages(Topic.DEAD_LETTERS)
    assert [letter.failure.code for letter in letters] == ["forged", "forged"]
    assert all("not signed" in letter.failure.message for letter in letters)


def asked_for(forged: commands.ExecuteTool) -> commands.ExecuteTool:
    """The command under the id that an orchestrator gives its call."""
    call = replace(forged.call, call_id=KEYS.issued(forged.correlation_id, forged.call))
    return replace(forged, call=call)
