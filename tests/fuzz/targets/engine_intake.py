"""Tasks, control and events into the orchestrator: each changes a session, is dropped, forwarded or dead-lettered."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from random import Random
from typing import Any, Final

from orchestrator.bus.ports import Outgoing
from orchestrator.bus.values.message_values import MessageValues
from orchestrator.delivery.sizes import size_of
from orchestrator.engine.decider import BatchDecider
from orchestrator.engine.routing import Router
from orchestrator.engine.staged_batch import StagedBatch
from orchestrator.engine.state import snapshots
from orchestrator.engine.state.encoding import Encoder
from orchestrator.engine.state.partition import INPUT_TOPICS, LiveSession, Partition
from orchestrator.engine.state.timers import Timers
from orchestrator.errors import ContractError
from orchestrator.messages.base import SessionEvent
from orchestrator.messages.call_ids import UNKEYED, CallIds
from orchestrator.messages.catalogue import CATALOGUE, Topic
from orchestrator.messages.events import MessageDeadLettered
from orchestrator.messages.types import AgentProfile, Limits, ReviewPolicy, SessionSnapshot
from orchestrator.saga import Session, evolve
from orchestrator.testing.scenario import (
    SESSION,
    Scenario,
    bounded,
    cancel,
    completed,
    given,
    plan_created,
    planning_failed,
    step,
    task,
)
from tests.fuzz.mutators.records import (
    CODEC,
    STATES,
    Case,
    change_record,
    dump_record,
    load_record,
    make_record,
    record_of,
)
from tests.fuzz.target import Target, promise
from tests.fuzz.targets.promises import BOUNDED_BYTES, NOW, readable, received

_INPUTS: Final = (Topic.TASKS, Topic.CONTROL, Topic.EVENTS)
_NAMES: Final = tuple(entry.name for entry in CATALOGUE if entry.topic in _INPUTS)
_PROFILES: Final = {
    "default": AgentProfile(name="default"),
    "other": AgentProfile(
        name="other",
        limits=Limits(tool_calls=1),
        reviewers=(ReviewPolicy(reviewer="safety"), ReviewPolicy(reviewer="a\nb")),
    ),
}
_KEYED: Final = CallIds((b"k" * 32,))
_VALUES: Final = MessageValues()
_ENCODER: Final = Encoder(CODEC, _VALUES, "/orchestrator/0")


@cache
def scenarios() -> tuple[Scenario | None, ...]:
    """Sessions that wait for different things; None where no session is."""
    planned = (task(), plan_created(step("a"), step("b", needs=("a",))))
    return (
        None,
        given(task(key="k", tenant="default")),
        given(*planned),
        given(*planned, completed("a")),
        given(task(profile=_PROFILES["other"]), plan_created("a")),
        given(task(profile=bounded(tool_calls=3)), plan_created("a"), completed("a")),
        given(task(), planning_failed()),
        given(cancel("before")),
    )


class Assignment:
    """What the decider needs to know of the partitions of a slot."""

    partition_count = 1
    installation = "fuzz"
    last_batch = 1

    def __init__(self, session: Session | None) -> None:
        partition = Partition(0, dict.fromkeys(INPUT_TOPICS, 0), 5)
        if session is not None:
            partition.put(LiveSession(session, 0, 0))
        self.partitions = {0: partition}
        self.timers = Timers()

    def end_offsets(self, _topic: Topic, numbers: Iterable[int]) -> Mapping[int, int]:
        return dict.fromkeys(numbers, 10)

    def position(self, _number: int) -> int:
        return 10


class Agents:
    def for_batch(self) -> "Agents":
        return self

    def profile(self, name: str) -> AgentProfile | None:
        return _PROFILES.get(name)


def check(case: Case) -> None:
    CODEC.use(case)
    try:
        routed = Router(CODEC, 8, "fuzz").route(case.received)
    except ContractError:
        routed = None
    if isinstance(routed, Outgoing):
        promise(routed.partition is not None, "a record is forwarded to a partition")
    if case.received.topic not in _INPUTS:
        return
    scenario = scenarios()[case.state % len(scenarios())]
    session = scenario.session if scenario else None
    match case.state * 3 // STATES:
        case 0:
            _check_batch(_decided(case, session, _KEYED), session)
        case 1:
            refused = _decided(case, session, UNKEYED, "the broker refuses it")
            _check_batch(refused, session)
            for one in _dead_letters(refused):
                promise(
                    size_of(one) <= BOUNDED_BYTES, f"after a refusal a dead letter has {size_of(one)} bytes"
                )
        case _:
            _check_batch(_decided(case, session, UNKEYED), session)


def _decided(case: Case, session: Session | None, call_ids: CallIds, refusal: str = "") -> StagedBatch:
    assignment: Any = Assignment(session)
    decider = BatchDecider(assignment, CODEC, _ENCODER, Agents(), lambda: NOW, call_ids)
    record = case.received
    if refusal:
        decider.poison(record.location, refusal)
    batch = decider.decide([record], NOW, (), 500)
    promise(batch.position((record.topic, 0)) == record.offset + 1, "the position is past the record")
    return batch


def _check_batch(batch: StagedBatch, session: Session | None) -> None:
    # A record that is too large for Kafka is refused there, and read again with the refusal.
    readable(one for one in batch.output.records if size_of(one) <= 1_000_000)
    own = [one for one in batch.output.messages if isinstance(one, SessionEvent)]
    for message in batch.output.messages:
        if isinstance(message, MessageDeadLettered):
            failure = message.failure
            promise(failure.code != "decision_failed", f"a decision failed: {failure.message}")
    left = batch.session(0, SESSION)
    for event in own:
        session = evolve(session, event) if event.correlation_id == SESSION else session
    promise(session == left or session is None, "a session is the fold of its events")
    if left is not None:
        _restorable(left)
    batch.promote(Timers())


def _restorable(session: Session) -> None:
    """The snapshot of a session is read as what was written."""
    if session.ended:
        return
    written = snapshots.snapshot(_ENCODER, 0, session, 5)
    found = CODEC.decode_now(received(written, 0))
    promise(isinstance(found, SessionSnapshot), "a snapshot is read as one")
    promise(snapshots.read(found, _VALUES) == session, "a snapshot is read as it was written")


def _dead_letters(batch: StagedBatch) -> list[Outgoing]:
    return [one for one in batch.output.records if one.topic is Topic.DEAD_LETTERS]


def make(random: Random) -> Case:
    """A record of a message that the orchestrator reads, mostly a reply to a call that is open."""
    state = random.choice((random.randrange(STATES), random.randrange(2 * STATES // 3, STATES)))
    scenario = scenarios()[state % len(scenarios())]
    calls = scenario._calls if scenario else []
    if not calls or random.random() < 0.2:
        return replace(make_record(random, _NAMES, foreign=0.02), state=state)
    call = random.choice(calls)
    made = record_of(
        random.choice(_NAMES),
        random,
        correlation_id=SESSION,
        call=call,
        tool=call.tool or "work",
        plan_call_id=call.call_id,
        tenant="default",
        agent="default",
    )
    return replace(made, state=state)


TARGETS: Final = (
    Target(
        name="engine",
        modules=(
            "orchestrator.engine.decider",
            "orchestrator.engine.routing",
            "orchestrator.engine.staged_batch",
            "orchestrator.engine.claims",
            "orchestrator.engine.quarantine",
            "orchestrator.engine.too_large",
            "orchestrator.engine.session_change",
            "orchestrator.engine.state.encoding",
            "orchestrator.delivery.dead_letters",
            "orchestrator.delivery.originals",
            "orchestrator.saga.decide",
            "orchestrator.saga.moves",
            "orchestrator.saga.opening",
            "orchestrator.saga.limits",
            "orchestrator.saga.ownership",
            "orchestrator.saga.replies.planning",
            "orchestrator.saga.replies.steps",
            "orchestrator.saga.replies.recovery",
            "orchestrator.saga.replies.evaluation",
            "orchestrator.saga.requests.intake",
            "orchestrator.saga.requests.cancel",
        ),
        make=make,
        change=change_record,
        dump=dump_record,
        load=load_record,
        check=check,
        inputs=1_500,
        reaches=0.75,
        suffix="json",
    ),
)
