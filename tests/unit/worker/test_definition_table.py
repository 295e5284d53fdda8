"""The table of definitions: snapshots that do not change, and a flood that costs the same for each."""

import tracemalloc

from orchestrator.messages.events import AgentDefined
from orchestrator.messages.types import AgentProfile
from orchestrator.worker.broadcast.definitions import DefinitionTable


def agent(number: int, description: str = "") -> AgentDefined:
    profile = AgentProfile(name=f"agent-{number}", description=description)
    return AgentDefined(event_id=str(number), occurred_at=0, profile=profile)


def table(count: int) -> DefinitionTable:
    made = DefinitionTable()
    for number in range(count):
        made.put(agent(number))
    return made


def memory_of_puts(made: DefinitionTable, *definitions: AgentDefined) -> int:
    """The most memory, bytes, that putting these takes meanwhile."""
    tracemalloc.start()
    try:
        for definition in definitions:
            made.put(definition)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_definition_copies_nothing_that_nobody_has_seen() -> None:
    made = table(20_000)
    changed = [agent(number, "new") for number in range(100)]

    most = memory_of_puts(made, *changed)

    assert most < 100_000, "a copy of the table takes half a megabyte"
    assert made.agents["agent-7"].description == "new"


def test_what_was_seen_is_copied_once() -> None:
    made = table(20_000)
    seen = made.agents
    made.put(agent(1, "first"))

    most = memory_of_puts(made, agent(2, "second"), agent(3, "third"))

    assert most < 100_000
    assert seen["agent-1"].description == ""


def test_a_snapshot_does_not_change() -> None:
    made = table(2)
    before = made.agents
    names = iter(before)
    next(names)

    made.put(agent(2))
    made.put(agent(0, "new"))
    made.remove("agent/agent-1")
    made.remove("agent/agent-9")

    assert list(before) == ["agent-0", "agent-1"]
    assert next(names) == "agent-1"
    assert before["agent-0"].description == ""
    assert list(made.agents) == ["agent-0", "agent-2"]
    assert made.has(agent(2))
    assert not made.has(agent(1))


def test_a_snapshot_that_was_empty_stays_empty() -> None:
    made = DefinitionTable()
    before = made.agents

    made.put(agent(1))

    assert dict(before) == {}
    assert made.tools == {}
