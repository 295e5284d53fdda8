"""Recorded histories lead to the states that they led to when they were recorded: `evolve` is frozen."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from orchestrator.messages.base import SessionEvent
from orchestrator.messages.catalogue import CATALOGUE, Topic
from orchestrator.saga import OUTCOMES, Session, evolve
from orchestrator.testing.scenario import Scenario
from tests.golden.record import FOLDER, HISTORIES, read, written

FILES = sorted(FOLDER.glob("*.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_recorded_history_leads_to_its_recorded_state(path: Path) -> None:
    history, expected = read(path.read_bytes())
    session: Session | None = None
    for event in history:
        session = evolve(session, event)
    assert session == expected


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_does_so_from_a_snapshot_anywhere_on_the_way(path: Path) -> None:
    history, expected = read(path.read_bytes())
    session: Session | None = None
    for event in history:
        session = evolve(session, event)
        session = msgspec.msgpack.decode(msgspec.msgpack.encode(session), type=Session)
    assert session == expected


def test_every_own_event_is_in_some_history() -> None:
    recorded = {type(event) for path in FILES for event in read(path.read_bytes())[0]}
    assert recorded == {entry.message for entry in CATALOGUE if entry.topic is Topic.SESSIONS}


@pytest.mark.parametrize("ending", OUTCOMES)
def test_every_end_is_in_some_history_with_its_outcome(ending: type[SessionEvent]) -> None:
    recorded = (read(path.read_bytes()) for path in FILES)
    outcomes = {state.outcome for history, state in recorded if isinstance(history[-1], ending)}
    assert outcomes == {OUTCOMES[ending]}


@pytest.mark.parametrize("history", HISTORIES, ids=lambda history: history.__name__)
def test_the_saga_still_writes_the_recorded_histories(history: Callable[[], Scenario]) -> None:
    """When this fails, behaviour changed: record the new one beside the old one, which stays readable."""
    (path,) = (path for path in FILES if path.stem == getattr(history, "__name__", ""))
    assert read(written(history())) == read(path.read_bytes())
