"""Toolsets of agents: their tools are listed when they are asked for, and run as steps."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from orchestrator_services.agents import durable
from orchestrator_services.agents.options import Options
from orchestrator_services.agents.running import bare_context
from orchestrator_services.agents.servers import Origin
from orchestrator_services.agents.toolsets import Deferred
from pydantic_ai import Agent, FunctionToolset, ModelRetry, RunContext
from pydantic_ai.capabilities import Toolset
from pydantic_ai.messages import ModelResponse
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.toolsets import AbstractToolset, ExternalToolset, ToolsetTool, WrapperToolset
from pydantic_core import SchemaValidator, core_schema

from orchestrator.messages import commands
from orchestrator.messages.types import ToolPolicy
from orchestrator.messages.values import read_json
from orchestrator.sdk import TransientError
from orchestrator.testing import Harness
from tests.unit.agents.support import Seen, calls, model, outcome, says


@dataclass
class Server(AbstractToolset[Any]):
    """A server with a connection, as those of MCP: it has tools only while it is connected."""

    id: str | None = "shelves"
    tools: list[str] = field(default_factory=lambda: ["count"])
    connections: list[str] = field(default_factory=list)

    async def __aenter__(self) -> "Server":
        self.connections.append("open")
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.connections.append("closed")

    async def get_tools(self, _ctx: RunContext[Any]) -> dict[str, ToolsetTool[Any]]:
        assert self.connections[-1] == "open"
        schema = {"type": "object", "properties": {"shelf": {"type": "integer"}}, "required": ["shelf"]}
        return {
            name: ToolsetTool(
                toolset=self,
                tool_def=ToolDefinition(name=name, parameters_json_schema=schema),
                max_retries=1,
                args_validator=SchemaValidator(core_schema.dict_schema(core_schema.str_schema())),
            )
            for name in self.tools
        }

    async def call_tool(
        self, name: str, tool_args: dict[str, Any], _ctx: RunContext[Any], _tool: ToolsetTool[Any]
    ) -> Any:
        assert self.connections[-1] == "open"
        if tool_args["shelf"] > 9:
            raise ModelRetry("there are nine shelves")
        return {"tool": name, "shelf": tool_args["shelf"]}


def asks(tool: str, **arguments: Any) -> Any:
    """A model that calls one tool, and says what it was told."""

    def script(seen: Seen) -> ModelResponse:
        return calls((tool, arguments)) if seen.turn == 0 else says(seen.new[0])

    return model(script)


def executed(harness: Harness) -> Iterator[tuple[str, Any]]:
    for message in harness.produced:
        if isinstance(message, commands.ExecuteTool):
            assert message.arguments.body is not None
            yield message.call.tool, read_json(message.arguments.body)


async def test_a_tool_of_a_server_is_a_step_that_connects_to_it() -> None:
    server = Server()
    desk = Agent(asks("count", shelf=3), name="desk", toolsets=[server])

    session, harness = await outcome(durable(desk))

    assert '{"tool":"count","shelf":3}' in session.result
    assert list(executed(harness)) == [("desk.shelves", {"tool": "count", "arguments": {"shelf": 3}})]
    # The first turn, the step, and the last turn.
    assert server.connections == ["open", "closed"] * 3


async def test_what_a_server_says_to_the_model_reaches_it() -> None:
    desk = Agent(asks("count", shelf=12), name="desk", toolsets=[Server()])

    session, _ = await outcome(durable(desk))

    assert "there are nine shelves" in session.result


async def test_tools_are_listed_anew_in_each_turn() -> None:
    server = Server()

    def script(seen: Seen) -> ModelResponse:
        server.tools.append(f"count{seen.turn}")
        return calls(("count", {"shelf": 1})) if seen.turn < 2 else says(", ".join(seen.tools))

    session, _ = await outcome(durable(Agent(model(script), name="desk", toolsets=[server])))

    assert session.result == "count, count0, count1"


async def test_a_tool_that_a_server_has_no_more_goes_back_to_the_model() -> None:
    server = Server()

    def script(seen: Seen) -> ModelResponse:
        server.tools[:] = ["weigh"]
        return calls(("count", {"shelf": 1})) if seen.turn == 0 else says(seen.new[0])

    session, _ = await outcome(durable(Agent(model(script), name="desk", toolsets=[server])))

    assert "count not found; tools: weigh" in session.result


async def test_what_wraps_a_toolset_is_used_where_the_tool_runs() -> None:
    @dataclass
    class Doubled(WrapperToolset[Any]):
        async def call_tool(
            self, name: str, tool_args: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]
        ) -> Any:
            return [await super().call_tool(name, tool_args, ctx, tool)] * 2

    shelves = Doubled(Server().prefixed("my").filtered(lambda _ctx, tool: tool.name != "my_weigh"))
    desk = Agent(asks("my_count", shelf=3), name="desk", toolsets=[shelves])

    session, harness = await outcome(durable(desk))

    assert session.result.count('"shelf":3') == 2
    assert [tool for tool, _ in executed(harness)] == ["desk.shelves"]


@pytest.mark.parametrize("per_step", [True, False])
async def test_a_toolset_may_be_made_for_each_run(per_step: bool) -> None:
    desk = Agent(asks("count", shelf=3), name="desk", deps_type=str)

    @desk.toolset(id="made", per_run_step=per_step)
    def made(ctx: RunContext[str]) -> AbstractToolset[str]:
        return Server(id=ctx.deps)

    session, harness = await outcome(durable(desk, deps=lambda: "from deps"))

    assert '{"tool":"count","shelf":3}' in session.result
    assert [tool for tool, _ in executed(harness)] == ["desk.made"]


async def test_functions_of_a_toolset_are_validated_by_their_signature() -> None:
    shelves = FunctionToolset[None](id="shelves", instructions="Shelves have numbers.")
    instructions: list[str] = []

    @shelves.tool_plain
    def count(shelf: int) -> int:
        return shelf * 2

    def script(seen: Seen) -> ModelResponse:
        instructions.append(seen.instructions)
        match seen.turn:
            case 0:
                return calls(("count", {"shelf": "top"}))
            case 1:
                assert "valid integer" in seen.new[0]
                return calls(("count", {"shelf": "4"}))
            case _:
                return says(seen.new[0].splitlines()[1])

    session, _ = await outcome(durable(Agent(model(script), name="desk", toolsets=[shelves])))

    assert session.result == "8"
    assert all("Shelves have numbers." in one for one in instructions)


async def test_toolsets_of_capabilities_are_the_agents_too() -> None:
    desk = Agent(asks("count", shelf=3), name="desk", capabilities=[Toolset(Server())])

    session, harness = await outcome(durable(desk))

    assert '{"tool":"count","shelf":3}' in session.result
    assert [tool for tool, _ in executed(harness)] == ["desk.shelves"]


async def test_a_profile_may_deny_a_toolset() -> None:
    document = "{agent: desk, planner: desk, tools: {deny: [desk.shelves]}}"
    desk = Agent(model(lambda seen: says(f"{len(seen.tools)} tools")), name="desk", toolsets=[Server()])

    session, _ = await outcome(durable(desk), "How many?", document)

    assert session.result == "0 tools"


async def test_tools_that_somebody_else_runs_are_refused_loudly() -> None:
    outside = ExternalToolset[None]([ToolDefinition(name="sign")], id="outside")
    desk = Agent(asks("sign"), name="desk", toolsets=[outside])

    _, harness = await outcome(durable(desk))

    (letter,) = harness.dead_letters
    assert letter.failure.code == "not_supported"
    assert "desk: sign waits for" in letter.failure.message


async def test_tools_that_the_agent_may_not_use_need_not_be_announced() -> None:
    served = FunctionToolset[None](id="shop")

    @served.tool_plain(metadata={"orchestrator": Origin("shop", "count")})
    def count(shelf: int) -> int:
        return shelf

    options = Options(Agent("test", name="desk"))
    context = bare_context(options)

    def offered(*deny: str) -> Deferred:
        return Deferred(served, options, "", ToolPolicy(deny=deny), {}, {})

    assert await offered("desk.shop.*").get_tools(context) == {}
    with pytest.raises(TransientError, match="no executor has announced the tools of the server shop yet"):
        await offered().get_tools(context)
