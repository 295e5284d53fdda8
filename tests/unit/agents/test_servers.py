"""MCP servers of agents, as processes: their tools are tools of the platform."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastmcp.client.transports import StdioTransport
from mcp import MCPError
from orchestrator_services.agents import DurableAgent, durable
from orchestrator_services.agents.toolsets import Toolsets
from orchestrator_services.models import Asked, Says, scripted_model
from pydantic_ai import Agent, FunctionToolset, RunContext
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.messages import ModelResponse
from pydantic_ai.toolsets import AbstractToolset, CombinedToolset

from orchestrator.messages import commands, events
from orchestrator.sdk import ConfigurationError, FailureKind
from orchestrator.sdk.plugins import load_module
from orchestrator.testing import Harness
from tests.support.mcp_process import ROOT, Diary, HttpServer, is_running
from tests.support.pages import blocks
from tests.unit.agents import support
from tests.unit.agents.support import Seen, calls, model, says
from tests.unit.models.support import until

PATIENT_S = 60
"""For a server's process to start: its imports take seconds."""


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    return Diary(tmp_path)


@pytest.fixture(scope="module")
def http_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    """A server that stays what it is."""
    with HttpServer(Diary(tmp_path_factory.mktemp("http"))) as server:
        yield server


@pytest.fixture
def over_http(http_server: HttpServer) -> MCPToolset[Any]:
    return MCPToolset(http_server.url, id="shelves", init_timeout=PATIENT_S)


def shelves(diary: Diary, **environment: str) -> MCPToolset[Any]:
    """A server over stdio."""
    program, *arguments = diary.command
    transport = StdioTransport(program, arguments, cwd=str(ROOT), env=environment)
    return MCPToolset(transport, id="shelves", init_timeout=PATIENT_S)


def desk(toolset: AbstractToolset[Any], *asked: tuple[str, dict[str, Any]], **options: Any) -> DurableAgent:
    """An agent that makes these calls, one in each turn, and says what it was told."""
    told: list[str] = []

    def script(seen: Seen) -> ModelResponse:
        told.extend(seen.new)
        return calls(asked[seen.turn]) if seen.turn < len(asked) else says("\n".join(told))

    return durable(Agent(model(script), name="desk", toolsets=[toolset]), **options)


async def outcome(agent: DurableAgent, *documents: str) -> tuple[Any, Harness]:
    return await support.outcome(agent, "How many?", *documents, timeout_s=PATIENT_S)


def failures(harness: Harness) -> list[tuple[FailureKind, str]]:
    return [
        (one.failure.kind, one.failure.code) for one in harness.produced if isinstance(one, events.ToolFailed)
    ]


def executed(harness: Harness) -> Iterator[tuple[str, bool]]:
    """Tools that ran, and whether they may run only once."""
    for one in harness.produced:
        if isinstance(one, commands.ExecuteTool):
            yield one.call.tool, one.at_most_once


async def test_each_tool_of_a_server_is_a_tool_of_the_platform(diary: Diary) -> None:
    agent = desk(shelves(diary), ("count", {"shelf": 3}), ("order", {"item": "pear"}))

    session, harness = await outcome(agent)

    assert '{"ordered":"pear"}' in session.result
    assert "\n6\n" in session.result
    assert list(executed(harness)) == [("desk.shelves.count", False), ("desk.shelves.order", True)]
    announced = harness.definitions.tools
    assert announced["desk.shelves.count"].description == "How many pieces are on a shelf."
    assert '"shelf"' in announced["desk.shelves.count"].arguments_schema
    assert announced["desk.shelves.count"].output_schema == '{"title": "Result", "type": "integer"}'
    marked = {name for name, tool in announced.items() if name.startswith("desk.") and tool.at_most_once}
    assert marked == {"desk.shelves.order"}
    # One process for the planner and the executor of this process, in all turns.
    assert len(diary.started) == 1


async def test_what_a_server_says_about_a_failure_reaches_the_model(over_http: MCPToolset[Any]) -> None:
    agent = desk(over_http, ("count", {"shelf": 12}), ("count", {"shelf": "top"}))

    session, harness = await outcome(agent)

    assert "there are nine shelves" in session.result
    assert "invalid arguments for desk.shelves.count" in session.result
    assert failures(harness) == [(FailureKind.INVALID_INPUT, "model_retry")]


async def test_a_server_that_dies_is_started_again_and_the_call_repeated(diary: Diary) -> None:
    session, harness = await outcome(desk(shelves(diary), ("place", {"item": "pear"})))

    assert "pear is in its place" in session.result
    assert failures(harness) == [(FailureKind.TRANSIENT, "unavailable")]
    assert diary.asked == ["place pear", "place pear"]
    assert len(diary.started) == 2


async def test_a_call_that_must_not_run_twice_is_not_repeated(diary: Diary) -> None:
    session, harness = await outcome(desk(shelves(diary), ("order", {"item": "the end"})))

    assert "nobody can tell" in session.result
    assert failures(harness) == [(FailureKind.UNKNOWN_OUTCOME, "unavailable")]
    assert diary.asked == ["order the end"]


async def test_a_server_that_died_between_calls_costs_none_of_them(diary: Diary) -> None:
    def script(seen: Seen) -> ModelResponse:
        if seen.turn == 0:
            os.kill(diary.started[-1], 9)
            return calls(("order", {"item": "pear"}))
        return says(seen.new[0])

    agent = Agent(model(script), name="desk", toolsets=[shelves(diary)])

    session, harness = await outcome(durable(agent))

    assert '{"ordered":"pear"}' in session.result
    assert failures(harness) == []
    assert diary.asked == ["order pear"]


async def test_a_server_over_http_may_be_away_for_a_while(diary: Diary) -> None:
    with HttpServer(diary) as server:

        def script(seen: Seen) -> ModelResponse:
            match seen.turn:
                case 0:
                    return calls(("count", {"shelf": 3}))
                case 1:
                    server.kill()
                    return calls(("count", {"shelf": 4}))
                case _:
                    return says(seen.new[0])

        toolset = MCPToolset[None](server.url, id="shelves", init_timeout=PATIENT_S)
        agent = durable(Agent(model(script), name="desk", toolsets=[toolset]))
        async with Harness(agent, auto_advance=False, timeout_s=PATIENT_S) as harness:
            session = await harness.submit("How many?", agent="desk")
            assert failures(harness) == [(FailureKind.TRANSIENT, "unavailable")]
            server.start()
            while session.result is None:
                await harness.advance("1s")

    assert session.result.splitlines()[1] == "8"


async def test_a_server_that_cannot_be_reached_leaves_other_tools_alone(
    diary: Diary, caplog: pytest.LogCaptureFixture
) -> None:
    away = MCPToolset[None](HttpServer(diary).url, id="away", init_timeout=PATIENT_S)
    agent = desk(CombinedToolset([away]))

    async with Harness(agent, auto_advance=False, timeout_s=PATIENT_S) as harness:
        session = await harness.submit("How many?", agent="desk")

    assert "values.read" in harness.definitions.tools
    assert "the tools of desk.away are not known, asking again in 1 s" in caplog.text
    assert "the server away cannot be reached" in caplog.text
    (failed,) = (one for one in harness.produced if isinstance(one, events.PlanningFailed))
    assert failed.failure.code == "server_unavailable"
    assert "the server away cannot be reached" in failed.failure.message
    # The turn is tried again, however often.
    (retry,) = (one for one in harness.produced if isinstance(one, events.RetryScheduled))
    assert retry.spared
    assert not session.settled


async def test_a_server_that_has_forgotten_the_session_is_connected_to_again(
    over_http: MCPToolset[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, forgets = over_http.client.call_tool, [True]

    async def call_tool(**arguments: Any) -> Any:
        if forgets and forgets.pop():
            raise MCPError(-32600, "Session terminated")
        return await sent(**arguments)

    monkeypatch.setattr(over_http.client, "call_tool", call_tool)

    session, harness = await outcome(desk(over_http, ("count", {"shelf": 3})))

    assert failures(harness) == [(FailureKind.TRANSIENT, "unavailable")]
    assert session.result.splitlines()[1] == "6"


@pytest.mark.parametrize(
    ("program", "mood", "reason"),
    [
        ("no-such-program", "", "the server shelves cannot be started: FileNotFoundError"),
        ("", "ends at once", "the server shelves cannot be reached: it ended before it answered"),
    ],
)
async def test_a_server_that_does_not_start_says_why(
    diary: Diary, caplog: pytest.LogCaptureFixture, program: str, mood: str, reason: str
) -> None:
    python, *arguments = diary.command
    transport = StdioTransport(program or python, arguments, cwd=str(ROOT), env={"SHELVES_MOOD": mood})
    toolset = MCPToolset[None](transport, id="shelves", init_timeout=PATIENT_S)

    async with Harness(desk(toolset)) as harness:
        assert "files.read" in harness.definitions.tools

    assert reason in caplog.text


async def test_tools_that_a_server_adds_are_announced_when_it_is_used_again(diary: Diary) -> None:
    def script(seen: Seen) -> ModelResponse:
        match seen.turn:
            case 0:
                return calls(("grow", {}))
            case 1:
                # Not offered in this turn: the executor learns of it when it runs the next call.
                return calls(("count", {"shelf": 1}))
            case _:
                return says(", ".join(seen.tools))

    toolset = shelves(diary)
    toolset.cache_tools = False
    agent = durable(Agent(model(script), name="desk", toolsets=[toolset]))
    async with Harness(agent, timeout_s=PATIENT_S) as harness:
        session = await harness.submit("How many?", agent="desk")
        await until(lambda: "desk.shelves.weigh" in harness.definitions.tools)

    assert "count" in session.result


async def test_servers_end_with_the_process_that_uses_them(diary: Diary) -> None:
    agent = desk(shelves(diary), ("count", {"shelf": 3}))
    ((server,),) = [one.servers for one in Toolsets.of(agent._options.agent).others]

    await outcome(agent)
    (process,) = diary.started
    assert is_running(process)
    held = server.state.connection._held
    assert held
    held.broke()

    # The library looks now and then whether the process has ended, and must not be interrupted before it has seen it.
    await held.task
    assert not is_running(process)
    assert diary.lines[-1] == f"ended {process}"


async def test_a_server_gets_what_the_code_takes_from_the_environment(
    diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELVES_TOKEN", "s3cret")

    without, _ = await outcome(desk(shelves(diary), ("token", {})))
    given, _ = await outcome(desk(shelves(diary, SHELVES_TOKEN=os.environ["SHELVES_TOKEN"]), ("token", {})))

    assert "none" in without.result
    assert "s3cret" in given.result


async def test_what_wraps_servers_is_used_where_their_tools_run(over_http: MCPToolset[Any]) -> None:
    own = FunctionToolset[None](id="own")
    seen_by_filter: list[Any] = []

    @own.tool_plain
    def weigh(item: str) -> str:
        return f"{item}: heavy"

    def reads(_ctx: RunContext[Any], tool: Any) -> bool:
        seen_by_filter.append(tool.metadata)
        return (
            not (tool.metadata or {}).get("annotations", {}) or tool.metadata["annotations"]["readOnlyHint"]
        )

    both = CombinedToolset([over_http, own]).filtered(reads).prefixed("my")
    agent = desk(
        both, ("my_count", {"shelf": 3}), ("my_weigh", {"item": "pear"}), ("my_order", {"item": "x"})
    )

    session, harness = await outcome(agent)

    assert "\n6\n" in session.result
    assert "pear: heavy" in session.result
    assert [tool for tool, _ in executed(harness)] == ["desk.shelves.count", "desk.own"]
    assert "Unknown tool name: 'my_order'" in session.result


async def test_a_profile_may_deny_a_tool_of_a_server(over_http: MCPToolset[Any]) -> None:
    document = "{agent: desk, planner: desk, tools: {deny: [desk.shelves.order]}}"
    agent = Agent(model(lambda seen: says(", ".join(sorted(seen.tools)))), name="desk", toolsets=[over_http])

    session, _ = await outcome(durable(agent), document)

    assert session.result == "count, grow, place, token"


async def test_code_may_name_more_tools_that_must_not_run_twice(diary: Diary) -> None:
    agent = desk(shelves(diary), ("place", {"item": "pear"}), at_most_once=["shelves.place"])

    _, harness = await outcome(agent)

    assert failures(harness) == [(FailureKind.UNKNOWN_OUTCOME, "unavailable")]
    assert list(executed(harness)) == [("desk.shelves.place", True)]


def test_a_server_needs_an_id(diary: Diary) -> None:
    program, *arguments = diary.command
    toolset = MCPToolset[None](StdioTransport(program, arguments))

    with pytest.raises(ConfigurationError, match=r"has no id: give it one, MCPToolset\(…, id=…\)"):
        durable(Agent("test", name="desk", toolsets=[toolset])).plugins()


async def test_the_agent_of_the_page_uses_its_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for block in blocks(ROOT / "docs" / "agents.md", "python"):
        name, _, text = block.removeprefix("# ").partition("\n")
        if name in ("my_keeper.py", "shelves.py"):
            (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)

    @scripted_model("openai-chat:gpt-5-mini")
    def keeper(asked: Asked) -> Says:
        if asked.turn == 0:
            return Says(calls=[("count", {"shelf": 1})])
        return Says(text=asked.new[0].text)

    loaded = load_module(str(tmp_path / "my_keeper.py"))
    async with Harness(loaded, keeper, timeout_s=PATIENT_S) as harness:
        session = await harness.submit("How many are on the first shelf?", agent="keeper")

    assert "12" in session.result
    assert "keeper.shelves.count" in harness.definitions.tools
