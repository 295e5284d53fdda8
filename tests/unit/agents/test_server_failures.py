"""What comes back from a server of tools that is no answer of the tool, and what follows from it."""

import gzip
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from fastmcp.client.transports import SSETransport, StreamableHttpTransport
from mcp import MCPError
from orchestrator_services.agents import DurableAgent, durable, server_http, servers
from orchestrator_services.agents.server_errors import AnswerKind, answer_of
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.messages import ModelResponse

from orchestrator.messages import commands, events
from orchestrator.messages.base import Message
from orchestrator.sdk import Failure, FailureKind
from orchestrator.testing import Harness
from tests.support.mcp_gateway import Gateway, Reply, page, refusal
from tests.unit.agents.support import Seen, calls, model, says

PATIENT_S = 60


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as gateway:
        yield gateway


def shop(gateway: Gateway, **options: Any) -> DurableAgent:
    """An agent that orders a pear, once."""

    def script(seen: Seen) -> ModelResponse:
        return calls(("order", {"item": "pear"})) if seen.turn == 0 else says(seen.new[0])

    toolset = MCPToolset[None](gateway.url, id="shop", init_timeout=PATIENT_S, **options)
    return durable(Agent(model(script), name="desk", toolsets=[toolset]), at_most_once=["shop"])


async def ordered(agent: DurableAgent) -> tuple[Any, Harness]:
    async with Harness(agent, timeout_s=PATIENT_S) as harness:
        return await harness.submit("Order a pear.", agent="desk"), harness


def failures(harness: Harness, kind: type[Message] = events.ToolFailed) -> list[Failure]:
    return [getattr(one, "failure") for one in harness.produced if type(one) is kind]  # noqa: B009 - of any event


def first(*replies: Reply | dict[str, Any]) -> Callable[[], Reply | dict[str, Any]]:
    """The replies, and then that the order was placed."""
    left = list(replies)
    placed = {"result": {"content": [{"type": "text", "text": "ordered"}]}}
    return lambda: left.pop(0) if left else placed


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(page(504), id="a gateway's page"),
        pytest.param(Reply(b"{", 200), id="unreadable"),
        pytest.param(Reply(b"ordered", 200, "text/plain"), id="of another type"),
        pytest.param(refusal(-32603, "Internal error"), id="the server's own error"),
        pytest.param(refusal(-32000, "permission denied"), id="an error of the server's making"),
    ],
)
async def test_nobody_knows_whether_a_call_without_an_answer_had_its_effect(
    gateway: Gateway, reply: Reply | dict[str, Any]
) -> None:
    gateway.on["tools/call"] = first(reply)

    session, harness = await ordered(shop(gateway))

    assert [(one.kind, one.code) for one in failures(harness)] == [
        (FailureKind.UNKNOWN_OUTCOME, "unavailable")
    ]
    assert "nobody can tell" in session.result
    assert gateway.asked.count("tools/call") == 1
    # What a server answers leaves the connection alone.
    assert gateway.asked.count("initialize") == 1


async def test_nor_where_each_run_connects_with_credentials_of_its_own(gateway: Gateway) -> None:
    gateway.on["tools/call"] = first(page(504))

    _, harness = await ordered(shop(gateway, headers=lambda _context: {"X-Desk": "1"}))

    assert [(one.kind, one.code) for one in failures(harness)] == [
        (FailureKind.UNKNOWN_OUTCOME, "unavailable")
    ]
    assert gateway.asked.count("tools/call") == 1


async def test_arguments_that_a_server_does_not_take_go_back_to_the_model(gateway: Gateway) -> None:
    gateway.on["tools/call"] = first(refusal(-32602, "no such item"))

    session, harness = await ordered(shop(gateway))

    assert [(one.kind, one.code) for one in failures(harness)] == [(FailureKind.INVALID_INPUT, "model_retry")]
    assert "no such item" in session.result


async def test_a_call_that_was_never_sent_is_made_later(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "_PING_S", 0.2)
    silent = [True]
    gateway.on["ping"] = lambda: gateway.hang() if silent and silent.pop() else {"result": {}}

    session, harness = await ordered(shop(gateway))

    assert [(one.kind, one.code) for one in failures(harness)] == [
        (FailureKind.TRANSIENT, "server_unavailable")
    ]
    assert "the call was not sent" in failures(harness)[0].message
    assert "ordered" in session.result
    assert gateway.asked.count("tools/call") == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_a_server_that_refuses_the_connection_is_not_asked_again(gateway: Gateway, status: int) -> None:
    gateway.on["initialize"] = gateway.on["server/discover"] = lambda: page(status)
    agent = shop(gateway, headers={"Authorization": "Bearer s3cret-of-the-desk"})

    _, harness = await ordered(agent)

    (failure,) = failures(harness, events.PlanningFailed)
    assert (failure.kind, failure.code) == (FailureKind.PERMANENT, "server_refused")
    assert failure.message.startswith(f"the server shop refuses the connection with HTTP status {status}: ")
    assert "s3cret" not in repr(harness.produced)


async def test_a_server_that_is_overloaded_is_asked_again(gateway: Gateway) -> None:
    gateway.on["initialize"] = gateway.on["server/discover"] = lambda: page(503)

    async with Harness(shop(gateway), auto_advance=False, timeout_s=PATIENT_S) as harness:
        await harness.submit("Order a pear.", agent="desk")

    (failure,) = failures(harness, events.PlanningFailed)
    assert (failure.kind, failure.code) == (FailureKind.TRANSIENT, "server_unavailable")
    assert "HTTP status 503" in failure.message


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (-32000, "Connection closed", AnswerKind.CLOSED),
        (-32600, "Session terminated", AnswerKind.CLOSED),
        (-32000, "rate limited", AnswerKind.FAILED),
        (-32001, "Request 'tools/call' timed out", AnswerKind.LATE),
        (-32001, "Not found: pear", AnswerKind.FAILED),
        (-32603, "Session terminated", AnswerKind.FAILED),
        (-32601, "Not Found", AnswerKind.REFUSED),
    ],
)
def test_the_client_is_told_from_the_server_by_its_words(code: int, message: str, kind: AnswerKind) -> None:
    grouped = ExceptionGroup("of a task group", [ValueError(), ExceptionGroup("", [MCPError(code, message)])])
    error = RuntimeError()
    error.__cause__ = grouped

    found = answer_of(error)

    assert found is not None
    assert found.kind is kind


def test_what_a_tool_says_is_no_error_of_the_protocol() -> None:
    assert answer_of(RuntimeError("Session terminated")) is None


@pytest.mark.parametrize(("read_timeout", "timeout_ms"), [({}, 0), ({"read_timeout": 120}, 130_000)])
async def test_how_long_a_call_may_take_is_up_to_the_toolset_and_else_to_the_profile(
    gateway: Gateway, read_timeout: dict[str, float], timeout_ms: int
) -> None:
    _, harness = await ordered(shop(gateway, **read_timeout))

    assert harness.definitions.tools["desk.shop.order"].timeout_ms == timeout_ms
    (command,) = (one for one in harness.produced if isinstance(one, commands.ExecuteTool))
    assert command.timeout_ms == (timeout_ms or 60_000)


def listed(*tools: Any) -> dict[str, Any]:
    return {"result": {"tools": list(tools)}}


def tool_named(name: Any, **fields: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object", "properties": {}}, **fields}


async def test_what_is_no_tool_is_left_out_and_the_others_run(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    # given names that are none, one name twice, schemas that are none, and what is no tool at all
    gateway.on["tools/list"] = lambda: listed(
        tool_named("a b"),
        tool_named(""),
        tool_named("\x1b[31mred\nforged: line"),
        tool_named("n" * 300_000),
        tool_named(7),
        "order",
        tool_named("bad", inputSchema={"type": "array"}),
        tool_named("worse", inputSchema={"$ref": "#"}),
        tool_named("slow", inputSchema={"type": "object", "not": {"pattern": "(?:a{1000}){1000}"}}),
        tool_named("false", inputSchema={"type": "object", "properties": {"a": {"type": "shelf"}}}),
        tool_named("odd", annotations="none"),
        tool_named("order", description="The first."),
        tool_named("order", description="The second."),
    )

    session, harness = await ordered(shop(gateway))

    assert "ordered" in session.result
    announced = {name: one for name, one in harness.definitions.tools.items() if name.startswith("desk.")}
    assert list(announced) == ["desk.shop.order"]
    assert announced["desk.shop.order"].description == "The first."
    warnings = [one.getMessage() for one in caplog.records if "the server shop lists" in one.getMessage()]
    assert len(warnings) == 1
    assert "\x1b" not in warnings[0]
    assert len(warnings[0]) < 2_000


async def test_a_tool_that_would_take_the_room_of_the_others_is_left_out(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    wide = {"type": "object", "properties": {"n": {"enum": list(range(60_000))}}}
    gateway.on["tools/list"] = lambda: listed(
        tool_named("wide", inputSchema=wide),
        tool_named("long", description="x" * 300_000),
        tool_named("order"),
    )

    session, harness = await ordered(shop(gateway))

    assert "ordered" in session.result
    assert [name for name in harness.definitions.tools if name.startswith("desk.shop.")] == [
        "desk.shop.order"
    ]
    (warning,) = (one.getMessage() for one in caplog.records if "the server shop lists" in one.getMessage())
    assert re.search(r"'wide': its description and schemas have [34]..,... characters", warning)
    assert "'long': " in warning


LEVELS = 40
BRANCHING = {
    "type": "object",
    "properties": {"text": {"$ref": "#/$defs/d0"}},
    "$defs": {
        **{f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(LEVELS)},
        f"d{LEVELS}": {},
    },
}
"""Its check takes 2^40 steps."""


@pytest.mark.parametrize("by_run", [False, True], ids=["shared", "by run"])
@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": "object", "properties": {"text": {"type": "string"}}}, None),
        ({"type": "object", "properties": {"text": {"$ref": "#/$defs/none"}}}, None),
        (
            {"type": "object", "properties": {"text": {"type": "integer"}}},
            "text: 'ordered' is not of type 'integer'",
        ),
        (BRANCHING, "it takes too long to check"),
    ],
)
async def test_whether_a_result_fits_its_schema_is_said_in_time(
    gateway: Gateway, schema: dict[str, Any], problem: str | None, by_run: bool
) -> None:
    gateway.on["tools/list"] = lambda: listed(tool_named("order", outputSchema=schema))
    result = {"content": [], "structuredContent": {"text": "ordered"}}
    gateway.on["tools/call"] = lambda: {"result": result}
    options = {"headers": lambda _context: {"X-Desk": "1"}} if by_run else {}

    session, harness = await ordered(shop(gateway, **options))

    if problem is None:
        assert "ordered" in session.result
        assert failures(harness) == []
    else:
        assert [problem in one.message for one in failures(harness)] == [True]


async def test_a_server_may_have_a_bounded_number_of_tools(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # given two pages that have more together, and a name of the first on the second
    monkeypatch.setattr("orchestrator_services.agents.listed.MOST_TOOLS", 5)
    pages = [listed(tool_named("order"), *(tool_named(f"a{i}") for i in range(3)))]
    pages[0]["result"]["nextCursor"] = "more"
    pages.append(listed(tool_named("a0"), *(tool_named(f"b{i}") for i in range(3))))
    gateway.on["tools/list"] = lambda: pages[gateway.asked.count("tools/list") % 2 - 1]

    _, harness = await ordered(shop(gateway))

    names = [name for name in harness.definitions.tools if name.startswith("desk.shop.")]
    assert names == [f"desk.shop.{name}" for name in ("order", "a0", "a1", "a2", "b0")]
    assert "2 tools after the first 5; 'a0': it is listed twice; the first counts" in caplog.text


@pytest.mark.parametrize(
    "answer",
    [
        {"result": {"tools": "none"}},
        {"result": {"tools": [], "nextCursor": 7}},
        {"result": {}},
        {"result": {"tools": [tool_named("order")], "nextCursor": {}}},
    ],
)
async def test_a_list_that_is_none_is_asked_for_again(gateway: Gateway, answer: dict[str, Any]) -> None:
    gateway.on["tools/list"] = lambda: answer

    async with Harness(shop(gateway), auto_advance=False, timeout_s=PATIENT_S) as harness:
        await harness.submit("Order a pear.", agent="desk")

    (failure,) = failures(harness, events.PlanningFailed)
    assert (failure.kind, failure.code) == (FailureKind.TRANSIENT, "server_unavailable")
    assert "\n" not in failure.message


async def test_pages_without_end_are_not_read_without_end(gateway: Gateway) -> None:
    def page_of() -> dict[str, Any]:
        answer = listed(tool_named("order"))
        answer["result"]["nextCursor"] = str(len(gateway.asked))
        return answer

    gateway.on["tools/list"] = page_of

    async with Harness(shop(gateway), auto_advance=False, timeout_s=PATIENT_S) as harness:
        await harness.submit("Order a pear.", agent="desk")

    (failure,) = failures(harness, events.PlanningFailed)
    assert (failure.kind, failure.code) == (FailureKind.TRANSIENT, "server_unavailable")


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "nonsense"}],
        "ordered",
        [{"type": "text", "text": 7}],
    ],
)
async def test_content_that_is_none_is_no_answer(gateway: Gateway, content: Any) -> None:
    gateway.on["tools/call"] = first({"result": {"content": content}})

    session, harness = await ordered(shop(gateway))

    assert [(one.kind, one.code) for one in failures(harness)] == [
        (FailureKind.UNKNOWN_OUTCOME, "unavailable")
    ]
    assert "nobody can tell" in session.result


@pytest.mark.parametrize(
    "options", [{}, {"headers": lambda _context: {"X-Desk": "1"}}], ids=["shared", "by run"]
)
@pytest.mark.parametrize("charset", ["punycode", "idna", "bz2"])
async def test_events_are_decoded_in_proportion_to_their_size_whatever_the_server_says(
    gateway: Gateway, charset: str, options: dict[str, Any]
) -> None:
    gateway.call_type = f"text/event-stream; charset={charset}"
    gateway.on["tools/call"] = lambda: {"result": {"content": [{"type": "text", "text": "bestellt für 3 €"}]}}

    session, harness = await ordered(shop(gateway, **options))

    assert "bestellt für 3 €" in session.result
    assert failures(harness) == []


@pytest.mark.parametrize(
    "options", [{}, {"headers": lambda _context: {"X-Desk": "1"}}], ids=["shared", "by run"]
)
@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        pytest.param(Reply(b" " * 70_000), "response of more than 65,536 bytes", id="long"),
        pytest.param(Reply(b" " * 70_000, 200, "text/event-stream"), "", id="a long line"),
        pytest.param(Reply(gzip.compress(b" " * 70_000), encoding="gzip"), "packed with 'gzip'", id="packed"),
    ],
)
async def test_an_answer_without_end_is_not_read_to_its_end(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, reply: Reply, problem: str, options: dict[str, Any]
) -> None:
    monkeypatch.setattr(server_http, "MOST_BYTES", 1 << 16)
    gateway.on["tools/call"] = first(reply)

    _, harness = await ordered(shop(gateway, **options))

    (failure,) = failures(harness)
    assert (failure.kind, failure.code) == (FailureKind.UNKNOWN_OUTCOME, "unavailable")
    assert problem in failure.message
    assert gateway.asked.count("tools/call") == 1


@pytest.mark.parametrize("transport", [SSETransport, StreamableHttpTransport])
@pytest.mark.parametrize(
    "options", [{}, {"verify": True}, {"httpx_client_factory": httpx2.AsyncClient}], ids=str
)
async def test_whatever_makes_a_transports_client_it_is_limited_once(
    transport: Any, options: dict[str, Any]
) -> None:
    found = transport("http://127.0.0.1:9/mcp", **options)

    for _ in range(2):
        server_http.limit_transport(found)
    client = found.httpx_client_factory(
        headers={}, auth=None, timeout=httpx2.Timeout(5), follow_redirects=True
    )

    async with client:
        assert len(client.event_hooks["request"]) == len(client.event_hooks["response"]) == 1
