"""Sessions and events into the session recorder: what decodes is stored, and read again as it was."""

from dataclasses import replace
from functools import cache
from random import Random
from typing import Final

import sqlalchemy as sa

from orchestrator.errors import ContractError
from orchestrator.messages.base import Event
from orchestrator.messages.catalogue import CATALOGUE
from orchestrator.sdk import Delivery
from orchestrator.sessions.queries import Wanted, beginning_with, listed, recorded_events
from orchestrator.sessions.recorder import RECORDED, SessionRecorder
from orchestrator.sessions.store import SessionStore
from orchestrator.sessions.tables import metadata
from orchestrator.testing.scenario import SESSION
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
from tests.fuzz.targets.restore import scenario

_NAMES: Final = tuple(entry.name for entry in CATALOGUE if entry.topic in RECORDED)


@cache
def store() -> SessionStore:
    return SessionStore("sqlite://")


def check(case: Case) -> None:
    CODEC.use(case)
    received = case.received
    try:
        message = CODEC.decode_now(received)
    except ContractError:
        return
    if received.topic not in RECORDED or not isinstance(message, Event):
        return
    with store().writing() as connection:
        for table in metadata.sorted_tables:
            if table.name != "store_version":
                connection.execute(sa.delete(table))
    earlier = scenario().history[: case.state % 4]
    batch = [Delivery("sessions", 0, number, 0, event) for number, event in enumerate(earlier)]
    batch.append(Delivery(received.topic.value, 0, received.offset + 1, received.timestamp_ms, message))
    recorder = SessionRecorder(store())
    recorder.write(batch, {("sessions", 0): 100})
    recorder.write(batch, {("sessions", 0): 100})
    name = message.correlation_id.replace("\x00", "")[:255]
    found = recorded_events(store(), name)
    promise(
        message in found or message.event_id in {one.event_id for one in earlier},
        "an event is read as it was",
    )
    promise(len(listed(store(), Wanted())) <= 2, "there are no other sessions")
    beginning_with(store(), name[:8], 5)


def make(random: Random) -> Case:
    state = random.randrange(STATES)
    if random.random() < 0.5:
        return replace(make_record(random, _NAMES), state=state)
    return replace(record_of(random.choice(_NAMES), random, correlation_id=SESSION), state=state)


TARGETS: Final = (
    Target(
        name="recorder",
        modules=(
            "orchestrator.sessions.recorder",
            "orchestrator.sessions.projection",
            "orchestrator.sessions.queries",
        ),
        make=make,
        change=change_record,
        dump=dump_record,
        load=load_record,
        check=check,
        inputs=600,
        reaches=0.88,
        suffix="json",
    ),
)
