"""What keeps an agent from being durable is reported when its module is loaded, all at once."""

from pathlib import Path

import pytest
from orchestrator_services.agents import durable
from pydantic_ai import Agent, FunctionToolset, RunContext, Tool

from orchestrator.sdk import ConfigurationError, Planner, Plugins
from orchestrator.sdk import Tool as PlatformTool
from orchestrator.sdk.plugins import find


def look(item: str) -> str:
    """Looks an item up."""
    return item


def files() -> None:
    """Lists files."""


def test_an_agent_brings_its_planner_its_profile_and_its_tools() -> None:
    desk = Agent(name="desk", description="Counts.", tools=[look], toolsets=[FunctionToolset(id="shelves")])

    found = Plugins.of(durable(desk))

    profile = found.get(Planner, "desk").profile
    assert profile is not None
    assert (profile.name, profile.description) == ("desk", "Counts.")
    assert profile.tools.allow == ("desk.*", "values.read")
    tools = found.by_name(PlatformTool)
    assert tools.keys() == {"desk.look", "desk.shelves"}
    assert tools["desk.look"].definition.description == "Looks an item up."
    assert '"item": {"type": "string"}' in tools["desk.look"].definition.arguments_schema


def test_tools_that_are_added_after_the_agent_was_made_durable_are_its_tools_too() -> None:
    desk = Agent(name="desk")
    durable_desk = durable(desk)
    desk.tool_plain(look)

    assert "desk.look" in Plugins.of(durable_desk).by_name(PlatformTool)


def test_every_problem_is_reported_at_once() -> None:
    desk: Agent[int, str] = Agent(
        name="desk",
        deps_type=int,
        tools=[Tool(look, requires_approval=True), files],
        toolsets=[FunctionToolset(), FunctionToolset(id="files"), FunctionToolset(id="my shelves")],
    )

    with pytest.raises(ConfigurationError) as raised:
        Plugins.of(durable(desk, at_most_once=["order"]))

    assert raised.value.problems == (
        "desk has dependencies of the type int: say how a process makes them, durable(agent, deps=make)",
        "desk: the tool look requires approval, which a durable agent cannot ask for: remove requires_approval, and "
        "name a reviewer in the agent's profile",
        "desk: the toolset FunctionToolset has no id: give it one, FunctionToolset(…, id=…)",
        "desk: 2 tools and toolsets would be desk.files: rename all but one",
        "desk: 'my shelves' cannot be the name of a tool: use letters, digits, dots, dashes and underscores, a letter "
        "or digit first",
        "desk: at_most_once names order, which is no tool or toolset of the agent",
    )


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (None, 'a durable agent needs a name: Agent(…, name="desk")'),
        ("help desk", "'help desk' cannot be the name of a durable agent"),
    ],
)
def test_an_agent_needs_a_name(name: str | None, problem: str) -> None:
    with pytest.raises(ConfigurationError, match="name") as raised:
        Plugins.of(durable(Agent(name=name)))

    assert problem in str(raised.value)


def test_a_module_with_a_mistake_is_named(tmp_path: Path) -> None:
    module = tmp_path / "my_desk.py"
    module.write_text(
        "from orchestrator_services.agents import durable\n"
        "from pydantic_ai import Agent\n\n"
        "durable_desk = durable(Agent())\n"
    )

    _, problems = find([str(module)])

    assert problems == [f'module {module}: a durable agent needs a name: Agent(…, name="desk")']


def test_a_tool_that_takes_a_context_is_not_asked_for_it() -> None:
    def count(ctx: RunContext[None], item: str) -> int:
        return len(item)

    tools = Plugins.of(durable(Agent(name="desk", tools=[count]))).by_name(PlatformTool)

    assert "ctx" not in tools["desk.count"].definition.arguments_schema
