"""Records of the log into restores: one that is damaged spoils its session, or nothing, and never the partition."""

from contextlib import suppress
from dataclasses import replace
from functools import cache
from random import Random
from typing import Any, Final

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import Outgoing
from orchestrator.bus.values.message_values import MessageValues
from orchestrator.engine.offset_metadata import batch_number, partition_count_in, sessions_end_in
from orchestrator.engine.recovery.restore import restore
from orchestrator.engine.state import snapshots
from orchestrator.engine.state.encoding import Encoder
from orchestrator.errors import ConfigurationError, ContractError
from orchestrator.messages.catalogue import CATALOGUE, Topic
from orchestrator.testing.scenario import SESSION, Scenario, completed, given, plan_created, step, task
from orchestrator.worker.offsets import decode
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
from tests.support.memory_log import MemoryLog

_LOG: Final = (Topic.SESSIONS, Topic.SNAPSHOTS)
_NAMES: Final = tuple(entry.name for entry in CATALOGUE if entry.topic in _LOG)
_VALUES: Final = MessageValues()
_ENCODER: Final = Encoder(CODEC, _VALUES, "/orchestrator/0")
_FAR: Final = 3_600.0
# What ends a restore on purpose: what a newer version wrote, and another number of partitions.
_MEANT: Final = (
    "state version",
    "partitions",
    "does not know",
    "no committed offset",
    "needs its history",
    "was recreated",
)


@cache
def scenario() -> Scenario:
    return given(task(), plan_created(step("a"), step("b", needs=("a",))), completed("a"))


@cache
def written() -> tuple[Outgoing, ...]:
    """The history of a session, and its snapshot."""
    history = tuple(_ENCODER.encode(event) for event in scenario().history)
    return (*history, snapshots.snapshot(_ENCODER, 0, scenario().state, len(history)))


def check(case: Case) -> None:
    CODEC.use(case)
    text = (case.key or b"").decode("utf-8", "replace")
    said = batch_number(text), partition_count_in(text), sessions_end_in(text)
    promise(min(said) >= 0, "metadata of others says nothing")
    with suppress(ContractError):
        decode(text, 0)
    if case.received.topic not in _LOG:
        return
    log = MemoryLog()
    before = written()[: case.state % 5 * 2]
    damaged = Outgoing(case.received.topic, case.key or b"", case.value, case.headers, 0)  # type: ignore[arg-type]
    log.commit((*before, damaged, *(written()[-1:] if case.state % 2 else ())))
    consumer: Any = log
    try:
        partition, _ = restore(0, 1, consumer, {}, CODEC, _VALUES, Deadline.after(_FAR))
    except ConfigurationError as error:
        promise(any(meant in str(error) for meant in _MEANT), f"a record ends the restore: {error}")
        return
    promise(len(partition.live) <= 2, "a record is of one session")
    list(partition.ended)


def make(random: Random) -> Case:
    state = random.randrange(STATES)
    if random.random() < 0.4:
        return replace(make_record(random, _NAMES, foreign=0.1), state=state)
    if random.random() < 0.5:
        one = random.choice(written())
        return Case(one.topic.value, one.key, one.value, one.headers, state=state)
    made = record_of(random.choice(_NAMES), random, correlation_id=SESSION, partition=0, partition_count=1)
    return replace(made, key=random.choice((made.key, SESSION.encode())), state=state)


def change(case: Case, random: Random, other: Case) -> Case:
    if random.random() < 0.1:
        claim = random.choice((b"", b"00" * 16, b"zz", b"\xff", b"0", None))
        key = random.choice(
            (SESSION.encode(), b"ended/1", b"ended/x", b"ended/\xd9\xa1", b"checkpoint", b"\xff")
        )
        return Case("snapshots", key, None, ((snapshots.CLAIM, claim),), state=random.randrange(STATES))
    return change_record(case, random, other)


TARGETS: Final = (
    Target(
        name="restore",
        modules=(
            "orchestrator.engine.recovery.restore",
            "orchestrator.engine.recovery.replay",
            "orchestrator.engine.state.snapshots",
            "orchestrator.engine.state.ended",
            "orchestrator.engine.state.partition",
            "orchestrator.engine.offset_metadata",
            "orchestrator.saga.evolve",
            "orchestrator.worker.offsets",
        ),
        make=make,
        change=change,
        dump=dump_record,
        load=load_record,
        check=check,
        inputs=1_500,
        reaches=0.51,
        suffix="json",
    ),
)
