"""Tools that are known once their source was asked: announced while the executor runs, and run like others."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

import pytest
from orchestrator_services.tool_executor import handlers
from orchestrator_services.tool_executor.listing import Backoff, Found, Listing
from orchestrator_services.tool_executor.lookup import Lookup
from orchestrator_services.tool_executor.pools import Pool

from orchestrator.messages import events
from orchestrator.sdk import FailureKind, InvalidInput, Tool, ToolDefinition, ToolSource, tool
from orchestrator.testing import Harness
from tests.support.processes import PATIENCE_S

PLAYBOOK = """
playbook: shelf
steps:
  looked: {tool: shelves.upper, arguments: {item: apple}}
result: {$from: looked}
"""


def shelf(name: str) -> Tool:
    @tool(name)
    def looked(item: str) -> str:
        if name != "shelves.upper":
            raise InvalidInput(f"{name} is gone", code="tool_not_found")
        return f"{item} on {name}"

    return looked


def listed(*sources: ToolSource, **options: Any) -> AsyncGenerator[Found, None]:
    return Listing(sources, Lookup({}, {one.name: one for one in sources}), **options).found()


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]


async def silence() -> AsyncIterator[Sequence[ToolDefinition]]:
    await asyncio.Event().wait()
    yield []


class Shelves:
    """Answers when it is open, and whenever somebody moves a shelf."""

    def __init__(self, *names: str, name: str = "shelves", is_open: bool = True) -> None:
        self.name = name
        self.names = names
        self.is_open = is_open
        self.asked = 0
        self.moved = asyncio.Event()

    @property
    def source(self) -> ToolSource:
        return ToolSource(self.name, self.definitions, shelf)

    async def definitions(self) -> AsyncIterator[Sequence[ToolDefinition]]:
        self.asked += 1
        while True:
            if not self.is_open:
                raise ConnectionError("nobody is there")
            yield [shelf(f"{self.name}.{name}").definition for name in self.names]
            await self.moved.wait()
            self.moved.clear()


async def test_a_tool_of_a_source_is_announced_and_runs() -> None:
    async with Harness(Shelves("upper", "lower").source, documents=[PLAYBOOK]) as harness:
        session = await harness.submit("look", playbook="shelf")

    assert session.result == "apple on shelves.upper"
    announced = [one.tool.name for one in harness.produced if isinstance(one, events.ToolDefined)]
    assert [name for name in announced if name.startswith("shelves.")] == ["shelves.upper", "shelves.lower"]


async def test_a_tool_that_its_source_has_no_more_fails_as_the_source_says() -> None:
    document = PLAYBOOK.replace("upper", "lower")
    async with Harness(Shelves("lower").source, documents=[document]) as harness:
        await harness.submit("look", playbook="shelf")

    (failed,) = (one for one in harness.produced if isinstance(one, events.ToolFailed))
    assert (failed.failure.kind, failed.failure.code) == (FailureKind.INVALID_INPUT, "tool_not_found")


async def test_a_source_that_does_not_answer_leaves_other_tools_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Harness(Shelves("upper", is_open=False).source) as harness:
        assert "files.read" in harness.definitions.tools
        assert "shelves.upper" not in harness.definitions.tools

    (record,) = (one for one in caplog.records if one.levelno == logging.WARNING)
    assert record.getMessage() == (
        "the tools of shelves are not known, asking again in 1 s; other tools run: ConnectionError: nobody is there"
    )


async def test_definitions_come_at_once_and_follow_changes() -> None:
    shelves, closed = Shelves("upper"), Shelves("never", name="closed", is_open=False)
    found = listed(shelves.source, closed.source, backoff=Backoff(first=0.001))

    first = await anext(found)
    all_were_asked = await anext(found)
    shelves.names = ("upper", "lower")
    shelves.moved.set()
    second = await anext(found)
    closed.is_open = True
    third = await anext(found)
    await found.aclose()

    assert [[one.name for one in each] for each in (first, all_were_asked, second, third)] == [
        ["shelves.upper"],
        [],
        ["shelves.upper", "shelves.lower"],
        ["closed.never"],
    ]
    assert closed.asked > 1


async def test_a_silent_source_does_not_keep_others_from_being_announced(
    caplog: pytest.LogCaptureFixture,
) -> None:
    silent, empty = ToolSource("silent", silence, shelf), ToolSource("empty", Shelves().definitions, shelf)
    found = listed(silent, empty, Shelves("upper").source, timeout_s=0.01)

    first = await anext(found)
    all_were_asked = await anext(found)
    await found.aclose()

    assert [one.name for one in first] == ["shelves.upper"]
    assert all_were_asked == []
    assert "the tools of silent are not known: it has not answered for 0 s; other tools run" in caplog.text


async def test_a_platform_in_memory_starts_without_the_tools_of_a_silent_source() -> None:
    async with Harness(
        ToolSource("silent", silence, shelf), Shelves("upper").source, timeout_s=0.2
    ) as harness:
        assert "files.read" in harness.definitions.tools


async def test_a_source_may_have_the_name_of_another_and_more() -> None:
    def outer(name: str) -> Tool:
        raise AssertionError(f"{name} is no tool of it")

    wide = ToolSource("shelves", Shelves().definitions, outer)
    narrow = ToolSource("shelves.old", Shelves("old.upper").definitions, shelf)
    document = PLAYBOOK.replace("shelves.upper", "shelves.old.upper")
    async with Harness(wide, narrow, documents=[document]) as harness:
        await harness.submit("look", playbook="shelf")

    (failed,) = (one for one in harness.produced if isinstance(one, events.ToolFailed))
    assert failed.failure.message == "shelves.old.upper is gone"


async def test_what_has_no_name_of_a_tool_is_left_out_and_said_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator_services.tool_executor.usable.MOST_TOOLS", 3)
    names = ["shelves.", "other.x", "shelves.a b", "shelves.\x1b[31m", f"shelves.{'n' * 300_000}", ""]
    names += ["shelves.upper", "shelves.upper", "shelves.ü/x", "shelves.lower", "shelves.fourth"]
    again = asyncio.Event()

    async def definitions() -> AsyncIterator[Sequence[ToolDefinition]]:
        yield [ToolDefinition(name=name, version=str(at)) for at, name in enumerate(names)]
        yield [ToolDefinition(name=name, version=str(at)) for at, name in enumerate(names)]
        await again.wait()

    found = listed(ToolSource("shelves", definitions, shelf))
    kept = [await anext(found), await anext(found)]
    await found.aclose()

    expected = [("shelves.upper", "6"), ("shelves.ü/x", "8"), ("shelves.lower", "9")]
    assert [[(one.name, one.version) for one in each] for each in kept] == [expected, expected]
    (record,) = (one for one in caplog.records if one.levelno == logging.WARNING)
    assert record.getMessage().startswith("8 tools of shelves are left out, the others run: 'shelves.': ")
    assert len(record.getMessage()) < 1_000
    assert "\x1b" not in record.getMessage()


@pytest.mark.parametrize("of", ["description", "arguments_schema", "output_schema"])
async def test_what_would_take_the_room_of_others_is_left_out(
    of: str, caplog: pytest.LogCaptureFixture
) -> None:
    large = ToolDefinition(name="shelves.large", **{of: "x" * 300_000})  # type: ignore[arg-type]

    async def definitions() -> AsyncIterator[Sequence[ToolDefinition]]:
        yield [large, ToolDefinition(name="shelves.upper")]

    found = listed(ToolSource("shelves", definitions, shelf))
    kept = await anext(found)
    await found.aclose()

    assert [one.name for one in kept] == ["shelves.upper"]
    (record,) = (one for one in caplog.records if one.levelno == logging.WARNING)
    assert "'shelves.large': its description and schemas have 300,0" in record.getMessage()


async def test_what_has_no_schema_that_can_be_checked_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    schemas = {
        "shelves.none": '{"type": "shelf"}',
        "shelves.text": "{",
        "shelves.deep": '{"not":' * 10_000 + "{}" + "}" * 10_000,
        "shelves.slow": '{"pattern": "(?:a{1000}){1000}"}',
        "shelves.upper": '{"type": "object"}',
    }

    async def definitions() -> AsyncIterator[Sequence[ToolDefinition]]:
        yield [ToolDefinition(name=name, arguments_schema=schema) for name, schema in schemas.items()]

    found = listed(ToolSource("shelves", definitions, shelf))
    kept = await anext(found)
    await found.aclose()

    assert [one.name for one in kept] == ["shelves.upper"]
    (record,) = (one for one in caplog.records if one.levelno == logging.WARNING)
    for name in list(schemas)[:4]:
        assert f"'{name}': its arguments schema is invalid: " in record.getMessage()


@pytest.mark.parametrize("pool", ["", "gpu"])
async def test_the_name_of_a_plug_in_stays_the_plug_ins(
    pool: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    @tool("shelves.order", at_most_once=True, pool=pool)
    def order(pieces: int) -> str:
        return f"ordered {pieces}"

    monkeypatch.setattr(handlers, "POOL", Pool("common"))
    shelves = Shelves("order", "upper")

    async with Harness(order, shelves.source, documents=[PLAYBOOK]) as harness:
        shelves.names = ("order", "upper", "lower")
        shelves.moved.set()
        async with asyncio.timeout(PATIENCE_S):
            while "shelves.lower" not in harness.definitions.tools:  # noqa: ASYNC110 - nothing is set then
                await asyncio.sleep(0)
        announced = [one.tool for one in harness.produced if isinstance(one, events.ToolDefined)]

    named = [one for one in announced if one.name == "shelves.order"]
    assert named == ([] if pool else [order.definition])
    assert warnings_in(caplog) == [
        "the tool 'shelves.order' of shelves is left out, others run: the name is that of the plug-in shelves.order, "
        "in a module of this process; rename one of the two"
    ]


async def test_a_name_of_two_sources_is_that_of_the_one_which_runs_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wide, narrow = Shelves("old.upper", "old.gone", "upper"), Shelves("upper", name="shelves.old")
    async with Harness(wide.source, narrow.source) as harness:
        announced = [one.tool.name for one in harness.produced if isinstance(one, events.ToolDefined)]

    assert sorted(name for name in announced if name.startswith("shelves.")) == [
        "shelves.old.upper",
        "shelves.upper",
    ]
    assert warnings_in(caplog) == [
        "the tool 'shelves.old.upper' of shelves is left out, others run: the name is that of a tool of the tool "
        "source shelves.old, in a module of this process; rename one of the two"
    ]
