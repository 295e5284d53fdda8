"""The tool selector: the right tool by name or by capability, within what the agent may use."""

import json
from typing import Any

import pytest
from orchestrator_services import tool_selector

from orchestrator.messages import commands, events
from orchestrator.messages.identity import idempotency_key
from orchestrator.messages.timeouts import QUEUE_MS
from orchestrator.messages.types import CallKind, FailureKind, Step, ToolDefinition, ToolPolicy
from orchestrator.sdk import Output, Selection, document
from orchestrator.sdk import tool_selector as declare_selector
from tests.unit.services.conftest import Setting
from tests.unit.services.support import SESSION, START, World, call, event


def tool(name: str, *, properties: dict[str, Any] | None = None, **fields: Any) -> ToolDefinition:
    schema: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": properties or {}}
    schema["required"] = [key for key, spec in schema["properties"].items() if "default" not in spec]
    return ToolDefinition(name=name, arguments_schema=json.dumps(schema), **fields)


TEXT = {"type": "string"}
READ = tool("files.read", properties={"path": TEXT}, capabilities=("file",), timeout_ms=10_000)
SEARCH = tool(
    "files.search",
    properties={"path": TEXT, "pattern": TEXT, "limit": {"type": "integer", "default": 10}},
    capabilities=("file", "search"),
)
GREP = tool("grep", properties={"path": TEXT, "pattern": TEXT}, capabilities=("search",))
MAIL = tool("mail.send", properties={"to": TEXT}, at_most_once=True, pool="mail", version="3")
TOOLS = {one.name: one for one in (READ, SEARCH, GREP, MAIL)}


def ready(
    arguments: Any, *, policy: ToolPolicy | None = None, avoid: tuple[str, ...] = (), **step: Any
) -> events.PlanStepReady:
    given = {"step_id": "fetch", "arguments": document(arguments), **step}
    message: events.PlanStepReady = event(
        events.PlanStepReady,
        call=call(CallKind.SELECTION, avoid=avoid),
        step=Step(**given),
        tools=policy or ToolPolicy(),
        step_timeout_ms=60_000,
    )
    return message


async def select(message: events.PlanStepReady, *plugins: Any) -> tuple[Any, ...]:
    return await World(tool_selector, *plugins, tools=TOOLS).handle(tool_selector.service, message)


async def failure_on(message: events.PlanStepReady) -> tuple[FailureKind, str, str]:
    (failed,) = await select(message)
    assert isinstance(failed, events.SelectionFailed)
    assert failed.call == message.call
    return failed.failure.kind, failed.failure.code, failed.failure.message


async def test_a_named_tool_is_selected_and_run() -> None:
    message = ready({"to": "a@b.org"}, tool="mail.send")

    selected, execute = await select(message)

    assert isinstance(selected, events.ToolSelected)
    assert isinstance(execute, commands.ExecuteTool)
    assert (selected.tool, selected.tool_version, selected.pool) == ("mail.send", "3", "mail")
    assert selected.at_most_once
    assert selected.call == message.call
    assert (execute.call.kind, execute.call.tool) == (CallKind.TOOL, "mail.send")
    assert (execute.call.call_id, execute.call.due_at) == (message.call.call_id, message.call.due_at)
    assert execute.not_after == START + QUEUE_MS * 1000
    assert execute.arguments == message.step.arguments
    assert execute.idempotency_key == idempotency_key(SESSION, 1, "fetch")
    assert execute.at_most_once


@pytest.mark.parametrize(("step_timeout_ms", "expected"), [(0, 10_000), (5_000, 5_000)])
async def test_a_step_s_own_time_limit_wins_over_the_tool_s(step_timeout_ms: int, expected: int) -> None:
    selected, execute = await select(ready({"path": "a"}, tool="files.read", timeout_ms=step_timeout_ms))

    assert selected.timeout_ms == execute.timeout_ms == expected


async def test_the_idempotency_key_is_the_same_for_every_attempt() -> None:
    keys = set()
    for attempt in (1, 2):
        message = ready({"to": "a@b.org"}, tool="mail.send")
        again = event(
            events.PlanStepReady,
            call=call(CallKind.SELECTION, attempt=attempt, call_id=f"call-{attempt}"),
            step=message.step,
            step_timeout_ms=1,
        )
        keys.add((await select(again))[1].idempotency_key)

    assert len(keys) == 1


async def test_by_capability_the_tool_that_fits_the_arguments_is_chosen() -> None:
    selected, _ = await select(ready({"path": "a"}, capability="file"))

    assert selected.tool == "files.read"
    assert selected.alternatives == ()
    assert selected.reason == "it has the capability file"


async def test_among_tools_that_fit_the_one_that_leaves_least_unused_is_chosen() -> None:
    selected, execute = await select(ready({"path": "a", "pattern": "b"}, capability="search"))

    assert selected.tool == "grep"
    assert selected.alternatives == execute.call.alternatives == ("files.search",)
    assert "chosen among 2 tools" in selected.reason


async def test_a_tool_that_was_tried_is_not_chosen_again() -> None:
    message = ready({"path": "a", "pattern": "b"}, capability="search", avoid=("grep",))

    selected, _ = await select(message)

    assert selected.tool == "files.search"


async def test_fallbacks_follow_in_their_order_when_the_named_tool_is_avoided() -> None:
    message = ready(
        {"path": "a", "pattern": "b"},
        tool="grep",
        fallback=("nowhere", "files.search"),
        avoid=("grep",),
    )

    selected, _ = await select(message)

    assert selected.tool == "files.search"
    assert selected.reason == "a fallback of the step, for grep"


async def test_fallbacks_are_alternatives_of_the_named_tool() -> None:
    selected, _ = await select(
        ready({"path": "a", "pattern": "b"}, tool="grep", fallback=("files.search", "gone"))
    )

    assert selected.tool == "grep"
    assert selected.alternatives == ("files.search",)


async def test_when_all_tools_were_tried_none_is_left() -> None:
    message = ready({"path": "a", "pattern": "b"}, tool="grep", fallback=("gone",), avoid=("grep",))

    kind, code, text = await failure_on(message)

    assert (kind, code) == (FailureKind.PERMANENT, "no_tool_left")
    assert "grep failed already" in text
    assert "tool gone not found" in text


async def test_the_failure_on_an_unknown_tool_names_similar_ones() -> None:
    kind, code, text = await failure_on(ready({}, tool="files.raed"))

    assert (kind, code) == (FailureKind.PERMANENT, "tool_not_found")
    assert "did you mean files.read" in text


async def test_the_failure_on_an_unknown_capability_lists_the_known_ones() -> None:
    kind, code, text = await failure_on(ready({}, capability="teleport"))

    assert (kind, code) == (FailureKind.PERMANENT, "tool_not_found")
    assert text == "no tool has the capability teleport; known capabilities: file, search"


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        (ToolPolicy(allow=("sql.*",)), "tools.allow has only sql.*"),
        (ToolPolicy(allow=("files.*",), deny=("*.read",)), "tools.deny has *.read"),
    ],
)
async def test_a_tool_that_the_agent_may_not_use_is_refused(policy: ToolPolicy, why: str) -> None:
    kind, code, text = await failure_on(ready({"path": "a"}, tool="files.read", policy=policy))

    assert (kind, code) == (FailureKind.PERMANENT, "tool_not_allowed")
    assert why in text


async def test_a_capability_is_never_served_by_a_refused_tool() -> None:
    message = ready({"path": "a", "pattern": "b"}, capability="search", policy=ToolPolicy(deny=("grep",)))

    selected, _ = await select(message)

    assert selected.tool == "files.search"
    assert selected.alternatives == ()


async def test_arguments_that_do_not_fit_are_invalid_input_that_names_each() -> None:
    kind, code, text = await failure_on(ready({"path": 3, "patern": "x"}, tool="grep"))

    assert (kind, code) == (FailureKind.INVALID_INPUT, "arguments_do_not_fit")
    assert "path: 3 is not of type 'string'" in text
    assert "'pattern' is a required property" in text
    assert "'patern' was unexpected" in text


async def test_arguments_that_do_not_fit_are_reported_with_the_tools() -> None:
    message = ready({"path": 3, "pattern": "x"}, capability="search", policy=ToolPolicy(deny=("mail.*",)))

    (failed,) = await select(message)

    assert failed.arguments == message.step.arguments
    assert failed.tools == ("files.search", "grep")


async def test_of_bound_arguments_only_the_names_are_checked() -> None:
    first = Output("first")

    selected, _ = await select(ready({"path": first.at("/path"), "pattern": "x"}, tool="grep"))
    assert selected.tool == "grep"

    _, code, text = await failure_on(ready({"path": first, "pattern": "x", "nope": first}, tool="grep"))
    assert code == "arguments_do_not_fit"
    assert "'nope' was unexpected" in text


async def test_a_place_inside_an_argument_may_be_bound() -> None:
    rows = {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}}}
    report = tool("report", properties={"rows": rows})
    world = World(tool_selector, tools={"report": report})
    first = Output("first")

    message = ready({"rows": [{"n": first.at("/n")}, {"n": 1}]}, tool="report")
    selected, _ = await world.handle(tool_selector.service, message)
    assert selected.tool == "report"

    message = ready({"rows": [{"n": first.at("/n")}, {"n": "one"}]}, tool="report")
    (failed,) = await world.handle(tool_selector.service, message)
    assert "rows.1.n: 'one' is not of type 'integer'" in failed.failure.message


async def test_a_schema_s_reference_is_never_fetched() -> None:
    strange = ToolDefinition(name="strange", arguments_schema='{"$ref": "http://127.0.0.1:9/schema"}')
    world = World(tool_selector, tools={"strange": strange})

    (failed,) = await world.handle(tool_selector.service, ready({}, tool="strange"))

    assert "the tool's arguments schema is invalid" in failed.failure.message


async def test_another_selector_chooses_only_among_the_candidates(
    setting: Setting,
) -> None:
    @declare_selector("mine")
    async def mine(selection: Selection) -> ToolDefinition:
        return TOOLS["files.search" if "files.search" in selection.candidates else "mail.send"]

    setting("ORCHESTRATOR_TOOL_SELECTOR_STRATEGY", "mine")
    arguments = {"path": "a", "pattern": "b"}
    selected, _ = await select(ready(arguments, capability="search"), mine)
    (failed,) = await select(ready(arguments, capability="search", avoid=("files.search",)), mine)

    assert selected.tool == "files.search"
    assert (
        failed.failure.message
        == "the tool selector mine chose mail.send, which is not a candidate; the candidates are grep"
    )


async def test_a_step_handled_twice_gives_the_same_messages() -> None:
    message = ready({"path": "a"}, tool="files.read")

    assert await select(message) == await select(message)
