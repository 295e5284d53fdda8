"""Records to whoever reads topics: dead letters, definitions, cancellations, and the pages about sessions.

A reader shows a record, or leaves out what it cannot decode. What it shows is text that controls no terminal.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from io import StringIO
from random import Random
from typing import Any, Final

from orchestrator.cli.commands import dlq
from orchestrator.cli.events import event_line
from orchestrator.cli.live import LiveText
from orchestrator.cli.output import write_json
from orchestrator.client.dead_letters import DeadLetter
from orchestrator.delivery.dead_letters import dead_letter
from orchestrator.errors import ContractError
from orchestrator.messages.base import Event, SessionEvent
from orchestrator.messages.catalogue import CATALOGUE, Topic
from orchestrator.messages.events import CallsVoided, MessageDeadLettered, ModelProgressed
from orchestrator.messages.types import Failure, FailureKind
from orchestrator.operations.documents import progress_document, whole_dead_letter_document
from orchestrator.operations.payloads import payload_of
from orchestrator.sessions.durations import where_time_went
from orchestrator.sessions.projection import begun, projected
from orchestrator.sessions.timeline import until
from orchestrator.sessions.view import view_of
from orchestrator.testing.scenario import SESSION, Scenario, completed, given, plan_created, step, task
from orchestrator.worker.broadcast.cancellations import VoidedCalls
from orchestrator.worker.broadcast.definitions import DefinitionTable
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
from tests.fuzz.targets.promises import NOW, dead_lettered

_WHY: Final = Failure(kind=FailureKind.PERMANENT, code="not_processable", message="why \x1b[31m\n2026 forged")
_CONTROL: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_NAMES: Final = tuple(entry.name for entry in CATALOGUE if entry.topic is not Topic.SNAPSHOTS)


@cache
def scenario() -> Scenario:
    """A session in the middle of its plan."""
    return given(task(), plan_created(step("a"), step("b", needs=("a",))), completed("a"))


def check(case: Case) -> None:
    CODEC.use(case)
    received = case.received
    dead_lettered(received, _WHY, "fuzz")
    _show_dead_letter(dead_letter(received, _WHY, service="fuzz", stage="decode", now=NOW), case.state)
    if received.topic is Topic.DEFINITIONS:
        _define(case)
    try:
        message = CODEC.decode_now(received)
    except ContractError:
        return
    if isinstance(message, MessageDeadLettered):
        _show_dead_letter(message, case.state)
    if isinstance(message, CallsVoided):
        VoidedCalls().add(message.calls)
    if isinstance(message, Event):
        _show_event(message)


def _define(case: Case) -> None:
    table = DefinitionTable()
    try:
        table.apply(case.received, CODEC)
    except ContractError:
        return
    for kind in (table.tools, table.agents, table.playbooks):
        promise(all(isinstance(name, str) for name in kind), "definitions have names")
    table.remove(case.received.key_text)


def _show_dead_letter(event: MessageDeadLettered, state: int) -> None:
    found = DeadLetter(0, 7, event)
    payload = payload_of(event.original, CODEC)
    with printed():
        try:
            dlq._write(found, payload)
            write_json(whole_dead_letter_document(found, payload))
        except ContractError as error:
            # Its state is not what it says: one line says so.
            promise(
                event.state is not None and "not JSON" in str(error), f"a dead letter is not shown: {error}"
            )
        if not state:
            # A table takes longer than all else.
            dlq._write_list([found])


def _show_event(event: Event) -> None:
    history = [*scenario().history, event]
    promise("\n" not in event_line(event), "an event is a line")
    with printed():
        write_json(progress_document(event))
        write_json(view_of(scenario().state, history))
    for shown in where_time_went(history).lines():
        promise("\n" not in shown, "a row is a line")
    until(history, 5)
    if isinstance(event, SessionEvent):
        projected(begun(event), event)
        for earlier in scenario().history[:1]:
            projected(projected(begun(earlier), earlier), event)
    if isinstance(event, ModelProgressed):
        written = StringIO()
        LiveText(written).show(event)
        _plain(written.getvalue())


@contextmanager
def printed() -> Iterator[None]:
    """Checks what is printed inside."""
    before, sys.stdout = sys.stdout, StringIO()
    try:
        yield
        text = sys.stdout.getvalue()
    finally:
        sys.stdout = before
    _plain(text)


def _plain(text: str) -> None:
    promise(_CONTROL.search(text) is None, "what is shown controls no terminal, direction or line")
    text.encode()


def make(random: Random) -> Case:
    if random.random() < 0.5:
        return make_record(random, _NAMES, foreign=0.1)
    fields: dict[str, Any] = {"correlation_id": SESSION, "call": random.choice(scenario()._calls)}
    return replace(record_of(random.choice(_NAMES), random, **fields), state=random.randrange(STATES))


TARGETS: Final = (
    Target(
        name="readers",
        modules=(
            "orchestrator.cli.commands.dlq",
            "orchestrator.cli.live",
            "orchestrator.operations.payloads",
            "orchestrator.sessions.durations",
            "orchestrator.sessions.projection",
            "orchestrator.sessions.summaries",
            "orchestrator.sessions.timeline",
            "orchestrator.sessions.view",
            "orchestrator.worker.broadcast.definitions",
        ),
        make=make,
        change=change_record,
        dump=dump_record,
        load=load_record,
        check=check,
        inputs=400,
        # A dead letter is shown in full, character by character.
        most_steps=8_000_000,
        reaches=0.67,
        suffix="json",
    ),
)
