"""Profiles that the orchestrator looks up: names that nobody defined must not cost others time."""

from orchestrator.app.agents import DefinedAgents
from orchestrator.bus.deadline import Deadline
from orchestrator.messages.events import AgentDefined
from orchestrator.messages.types import AgentProfile
from orchestrator.worker.broadcast.definitions import DefinitionTable


class Definitions:
    """A reader of definitions that counts how often somebody waits for it."""

    def __init__(self) -> None:
        self.table = DefinitionTable()
        self.written: list[str] = []
        self.waits = 0

    def catch_up(self, _: Deadline) -> None:
        self.waits += 1
        for name in self.written:
            self.table.put(AgentDefined(event_id=name, occurred_at=0, profile=AgentProfile(name=name)))


def test_a_batch_of_names_that_nobody_defined_waits_once() -> None:
    definitions = Definitions()
    agents = DefinedAgents(definitions)  # type: ignore[arg-type]

    of_batch = agents.for_batch()
    found = [of_batch.profile(f"nobody-{n}") for n in range(500)]

    assert found == [None] * 500
    assert definitions.waits == 1


def test_an_agent_that_was_defined_before_a_later_batch_is_found() -> None:
    definitions = Definitions()
    agents = DefinedAgents(definitions)  # type: ignore[arg-type]
    assert agents.for_batch().profile("stock") is None

    definitions.written.append("stock")

    profile = agents.for_batch().profile("stock")
    assert profile is not None
    assert profile.name == "stock"


def test_a_known_agent_waits_for_nothing() -> None:
    definitions = Definitions()
    definitions.written.append("stock")
    definitions.catch_up(Deadline.after(1))
    of_batch = DefinedAgents(definitions).for_batch()  # type: ignore[arg-type]

    assert of_batch.profile("stock") is not None
    assert of_batch.profile("default") is not None
    assert definitions.waits == 1
