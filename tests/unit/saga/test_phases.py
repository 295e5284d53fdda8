"""Every phase and input: each cell is handled, refused or dropped on purpose, and printed in the docs."""

import subprocess
import sys
from typing import get_args

import pytest

from orchestrator.messages.base import SessionEvent
from orchestrator.messages.catalogue import CATALOGUE
from orchestrator.saga import ENDING, Input, Phase, Submission, TimePassed
from orchestrator.saga.evolve import _APPLIERS
from orchestrator.saga.replies import REPLIES
from orchestrator.testing.scenario import Scenario, Sentence
from tests.support.saga_docs import ROOT, diagram, table

CELLS: dict[str, dict[str, list[str]]] = table.cells()
OWN = {entry.message.__name__ for entry in CATALOGUE if issubclass(entry.message, SessionEvent)}


ALL = [
    pytest.param(situation, sentence, id=f"{situation}, {name}")
    for situation in table.SITUATIONS
    for name, sentence in table.INPUTS.items()
]


@pytest.mark.parametrize(("situation", "sentence"), ALL)
def test_each_cell_writes_own_events_or_changes_nothing(situation: str, sentence: Sentence) -> None:
    scenario: Scenario = table.scenario_of(situation)
    before = scenario.session
    outputs = scenario.when(sentence).outputs
    if outputs:
        assert isinstance(outputs[0], SessionEvent) or type(outputs[0]).__name__ == "CallsVoided"
    else:
        assert scenario.session == before


def test_the_table_has_every_phase_and_every_input() -> None:
    sessions = [table.scenario_of(situation).session for situation in table.SITUATIONS]
    phases = {session.phase for session in sessions if session}
    assert phases == set(Phase)
    kinds = {Submission: "SubmitTask", TimePassed: "time"}
    assert {kinds.get(kind, kind.__name__) for kind in get_args(Input)} == set(table.INPUTS)
    assert {kind.__name__ for kind in REPLIES} < set(table.INPUTS)


def test_situations_are_named_by_their_phase() -> None:
    for situation in table.SITUATIONS:
        session = table.scenario_of(situation).session
        assert session is None or situation.startswith(session.phase.value)


def test_time_alone_leads_on_from_every_situation_that_has_not_ended() -> None:
    stuck = {situation for situation, row in CELLS.items() if not row["time"]}
    assert stuck == {"unknown", "ENDED"}


def test_an_ended_session_drops_everything() -> None:
    assert not any(CELLS["ENDED"].values())


def test_a_session_that_has_not_ended_can_be_cancelled() -> None:
    uncancellable = {
        situation for situation, row in CELLS.items() if "CancelRequested" not in row["CancelTask"]
    }
    assert uncancellable == {
        "AWAITED: a cancel came before its task",
        "EXECUTING: a tool runs while the session is being cancelled",
        "ENDED",
    }


def test_the_diagram_has_every_phase_and_every_ending() -> None:
    reached = {state for _, _, state in diagram.moves()}
    assert reached == {*Phase, diagram.ESCALATED}
    ways_out = {event for _, event, state in diagram.moves() if state == Phase.ENDED}
    assert ways_out == {kind.__name__ for kind in ENDING} | {"RequestRefused"}


def test_every_own_event_has_one_meaning_for_the_state() -> None:
    assert {kind.__name__ for kind in _APPLIERS} == OWN


def test_the_documentation_prints_this_table_and_diagram() -> None:
    checked = subprocess.run(
        [sys.executable, "scripts/generate_docs.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr
