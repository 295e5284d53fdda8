"""`sessions conversation`: what a session's planner said and was told, turn by turn."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from orchestrator_services.models import Asked, Says, scripted_model

from orchestrator.bus.values.message_values import MessageValues
from orchestrator.bus.values.stores import value_store
from orchestrator.messages.base import Event
from orchestrator.messages.events import PlanAccepted
from orchestrator.sdk import Conversations, Opening
from orchestrator.sdk.conversations import NEW
from orchestrator.sessions.store import SessionStore
from tests.support.analysts import history_of
from tests.support.recording import record
from tests.support.stories import completed_triage
from tests.unit.cli.conftest import Installation, Run

VALUES = Path(".data/values")
"""Where the settings' default has values, below the folder that commands run in."""


@pytest.fixture
def thought(store: SessionStore, place: Path) -> str:
    """A recorded session of two turns: its planner asked for many rows and for one, and answered."""
    return recorded("analyst", store, place)


def recorded(planner: str, store: SessionStore, place: Path) -> str:
    session, history = asyncio.run(history_of(planner, place / VALUES))
    record(store, history)
    return session


def segments(run: Run, session: str) -> list[str]:
    document = run("sessions", "conversation", session, "-o", "json").document
    return [turn["segment"]["uri"] for turn in document["turns"]]


def delete(place: Path, uri: str) -> None:
    (place / VALUES / uri.removeprefix("values:")).unlink()


def test_a_conversation_is_shown_as_text(run: Run, thought: str) -> None:
    ended = run("sessions", "conversation", thought)

    assert (ended.code, ended.err) == (0, "")
    head, opening, first, second = ended.out.split("\n\n")
    assert head.splitlines()[1:] == [
        "agent    analyst",
        "goal     Which route is slow?",
        "after    event 14",
    ]
    assert opening.splitlines() == ["opening", '  context: {"shop":"web"}']
    assert first.splitlines() == [
        "turn 1, plan 1, 00:00:00.000: 1 model request, 1,000 tokens (600 cached), $0.0025",
        "  system: You are an analyst.",
        "  user: Which route is slow?",
        "  model: I look at both tables.",
        '  model calls shop.rows #1: {"rows":100}',
        '  model calls shop.rows #2: {"rows":1}',
    ]
    heading, reference, *rest = second.splitlines()
    assert heading == "turn 2, plan 2, 00:00:00.000: 1 model request, 1,000 tokens (600 cached), $0.0025"
    assert reference.startswith(
        "  shop.rows #1 returns: 3,091 bytes of application/json, output of step turn1-1, values:sha256/"
    )
    assert rest == [
        '  shop.rows #2 returns: [{"row":0,"route":"/checkout"}]',
        "  model: It is",
        "    the checkout.",
    ]


def test_a_conversation_is_shown_as_json(run: Run, thought: str) -> None:
    document = run("sessions", "conversation", thought, "-o", "json").document

    assert list(document) == ["correlation_id", "agent", "goal", "sequence", "opening", "turns"]
    assert document["opening"] == {"context": {"shop": "web"}, "memory": None, "model": None}
    assert [(turn["turn"], turn["revision"]) for turn in document["turns"]] == [(1, 1), (2, 2)]
    first, second = document["turns"]
    assert first["planned_at"] == "2026-01-01T00:00:00.000000Z"
    assert first["used"]["tokens"] == 1000
    assert first["messages"][0]["parts"][0] == {
        "part_kind": "system-prompt",
        "content": "You are an analyst.",
    }
    output = second["messages"][0]["parts"][0]["content"]
    assert (output["step"], output["$value"]["size"]) == ("turn1-1", 3091)
    assert "content" not in output


def test_the_session_says_in_which_turn_it_is(run: Run, thought: str) -> None:
    text = run("sessions", "show", thought).out
    shown = run("sessions", "show", thought, "-o", "json").document
    before = run("sessions", "show", thought, "--at", "9", "-o", "json").document
    (row,) = run("sessions", "list", "-o", "json").document

    assert "plan     revision 2, turn 2, analyst\n" in text
    assert "used     2 tool calls, 2 model requests, 2,000 tokens (1,200 cached), $0.0050\n" in text
    assert (shown["plan"]["turn"], shown["plan"]["open"]) == (2, False)
    assert (before["plan"]["turn"], before["plan"]["open"]) == (1, True)
    summaries = [entry["summary"] for entry in shown["timeline"]]
    assert "plan 1 accepted: 2 steps (turn1-1, turn1-2), open" in summaries
    assert "plan 2 (turn 2) requested" in summaries
    assert "plan 2 accepted: no steps" in summaries
    assert (
        summaries[-1]
        == "task completed with plan 2: 2 tool calls, 2 model requests, 2,000 tokens (1,200 cached), $0.0050"
    )
    assert (row["turn"], row["model_requests"], row["tokens_cached"]) == (2, 2, 1200)


def test_values_are_loaded_where_everything_is_wanted(run: Run, thought: str) -> None:
    document = run("sessions", "conversation", thought, "--full", "-o", "json").document
    text = run("sessions", "conversation", thought, "--full").out

    output = document["turns"][1]["messages"][0]["parts"][0]["content"]
    assert output["content"][99] == {"row": 99, "route": "/checkout"}
    assert '"row": 99,' in text
    assert "--full" not in text


def test_a_conversation_is_shown_as_it_was_after_an_event(run: Run, thought: str) -> None:
    document = run("sessions", "conversation", thought, "--at", "10", "-o", "json").document

    assert document["sequence"] == 10
    assert [turn["turn"] for turn in document["turns"]] == [1]


def test_a_conversation_is_read_from_the_topics(run: Run, installation: Installation, place: Path) -> None:
    session, history = asyncio.run(history_of("analyst", place / VALUES))
    installation.writes(*history)

    document = run("sessions", "conversation", session, "--from-log", "-o", "json").document

    assert [turn["turn"] for turn in document["turns"]] == [1, 2]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--at", "2"), "has no conversation after event 2"),
        (("--at", "99"), "the events of the session are numbered from 1 to 14"),
    ],
)
def test_an_event_without_a_conversation_is_named(
    run: Run, thought: str, options: tuple[str, ...], problem: str
) -> None:
    ended = run("sessions", "conversation", thought, *options)

    assert (ended.code, ended.out) == (1, "")
    assert problem in ended.err


def test_a_session_without_a_conversation_says_why(run: Run, store: SessionStore, place: Path) -> None:
    session = recorded("quiet", store, place)

    ended = run("sessions", "conversation", session, "-o", "json")

    assert ended.code == 1
    assert ended.error["type"] == "not_found"
    assert "its planner adds no messages to its plans" in ended.error["message"]


def test_a_session_that_is_not_recorded_is_not_found(run: Run) -> None:
    ended = run("sessions", "conversation", "0192f0c0-0000-7000-8000-000000000000", "-o", "json")

    assert ended.code == 1
    assert ended.error["type"] == "not_found"


@pytest.mark.parametrize("number", [0, 1])
def test_a_missing_segment_is_named(run: Run, thought: str, place: Path, number: int) -> None:
    uri = segments(run, thought)[number]
    delete(place, uri)

    ended = run("sessions", "conversation", thought)

    assert (ended.code, ended.out) == (1, "")
    assert f"what plan {number + 1} added to the conversation cannot be read: {uri} is not in" in ended.err
    assert "ORCHESTRATOR_VALUES_URL" in ended.err


def test_a_missing_output_does_not_hide_the_conversation(run: Run, thought: str, place: Path) -> None:
    document = run("sessions", "conversation", thought, "-o", "json").document
    output = document["turns"][1]["messages"][0]["parts"][0]["content"]["$value"]
    delete(place, output["uri"])

    ended = run("sessions", "conversation", thought, "--full", "-o", "json")

    assert ended.code == 0
    shown = ended.document["turns"][1]["messages"][0]["parts"][0]["content"]["content"]
    assert shown == {"uri": output["uri"], "size": 3091}
    assert f"warning: a value of the conversation cannot be read: {output['uri']}" in ended.err


DESK = """
agent: desk
planner: react
model: scripted:clerk
instructions: Count what is in stock.
"""


@scripted_model("scripted:clerk")
def clerk(asked: Asked) -> Says:
    """Asks for what exists and what does not, then answers."""
    if asked.turn == 0:
        return Says(calls=[("shop.rows", {"rows": 1000}), ("shop.lines", {})])
    return Says(text="A thousand.")


def test_the_conversation_of_the_planner_react_is_readable(
    run: Run, store: SessionStore, place: Path
) -> None:
    session, history = asyncio.run(history_of("desk", place / VALUES, clerk, documents=[DESK]))
    record(store, history)

    ended = run("sessions", "conversation", session)

    lines = ended.out.splitlines()
    assert "model    scripted:clerk" in lines
    assert "  instructions: Count what is in stock." in lines
    assert "  user: Which route is slow?" in lines
    assert '  model calls shop.rows #1: {"rows":1000}' in lines
    assert any(line.startswith("  shop.lines #2 is refused: ") for line in lines)
    assert any(line.startswith("  shop.rows #1 returns: 31,891 bytes of application/json") for line in lines)
    assert "  model: A thousand." in lines


def saying(text: Any, place: Path) -> list[Event]:
    """The history of a session whose planner said this, in a form of its own."""
    values = MessageValues(value_store(str(place / VALUES)))
    conversation = asyncio.run(
        Conversations().extend(NEW, (text,), values, turn=1, revision=1, opening=Opening())
    )
    story = completed_triage("own form")
    return [
        replace(event, conversation=conversation.head) if isinstance(event, PlanAccepted) else event
        for event in story.events
    ]


def test_messages_of_another_form_are_shown_as_json(run: Run, store: SessionStore, place: Path) -> None:
    history = saying({"role": "oracle", "says": ["wait"]}, place)
    record(store, history)

    ended = run("sessions", "conversation", history[0].correlation_id)

    assert '  message: {"role":"oracle","says":["wait"]}' in ended.out.splitlines()


def test_what_is_long_is_cut_and_says_how_to_see_it(run: Run, store: SessionStore, place: Path) -> None:
    history = saying("x" * 5000, place)
    record(store, history)
    session = history[0].correlation_id

    cut = run("sessions", "conversation", session).out
    whole = run("sessions", "conversation", session, "--full").out

    assert f"  message: {'x' * 400}… (5,000 characters; --full shows all)" in cut.splitlines()
    assert f"  message: {'x' * 5000}" in whole.splitlines()
