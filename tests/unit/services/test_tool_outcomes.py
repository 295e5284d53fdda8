"""Whatever a tool raises or returns, asynchronous or not, its call gets one reply that can be sent."""

import asyncio
import collections
import enum
import itertools
import math
import re
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pydantic
import pytest
from msgspec.structs import replace
from orchestrator_services import tool_executor

from orchestrator.bus.avro.schema_ids import CatalogueIds
from orchestrator.bus.codec import Codec
from orchestrator.messages import events
from orchestrator.messages.types import Document, FailureKind, Reference
from orchestrator.messages.values import json_value
from orchestrator.sdk import ConfigurationError, Output, Tool, tool
from orchestrator.sdk.result_bounds import Survey, survey
from orchestrator.sdk.results import BOUNDS
from tests.support.not_json import NOT_JSON, Frozen, Model
from tests.support.raised import RAISED, Panic
from tests.unit.services.support import World, plain
from tests.unit.services.test_tool_executor import execution, run

CODEC = Codec(CatalogueIds())


def sent(reply: Any) -> Any:
    """The reply as its readers decode it: raises for one that cannot be sent."""
    assert CODEC.encode(reply, source="/test/0")
    return reply


def made(function: Callable[[], Any], *, is_async: bool, **declared: Any) -> Tool:
    async def asynchronous() -> Any:
        return function()

    return tool("made", **declared)(asynchronous if is_async else function)


def raising(make: Callable[[], BaseException]) -> Callable[[], Any]:
    def fail() -> Any:
        raise make()

    return fail


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "blocking"])
@pytest.mark.parametrize("at_most_once", [False, True], ids=["", "at most once"])
@pytest.mark.parametrize("what", RAISED)
async def test_whatever_a_tool_raises_is_one_reply(
    what: str, at_most_once: bool, is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    failing = made(raising(RAISED[what]), is_async=is_async, at_most_once=at_most_once)

    failed = sent(await asyncio.wait_for(run(failing), 10))

    assert isinstance(failed, events.ToolFailed)
    assert failed.usage.tool_calls == 1
    assert failed.failure.message
    assert len(failed.failure.message) <= 2_000
    said_so = what in ("without fields", "with odd fields")
    # With its stack, unless its author had it in mind.
    assert ["tool made failed" in line for line in caplog.messages] == [True] * (not said_so)
    if at_most_once and not said_so:
        assert failed.failure.kind is FailureKind.UNKNOWN_OUTCOME


async def test_a_tool_without_its_settings_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    failing = made(raising(lambda: ConfigurationError("set ORCHESTRATOR_STOCK_URL")), is_async=True)

    sent(await run(failing))

    (entry,) = (one for one in caplog.records if one.getMessage().startswith("tool made failed"))
    assert "set ORCHESTRATOR_STOCK_URL" in entry.getMessage()
    assert entry.exc_info is None


async def test_what_a_validator_of_arguments_raises_is_one_reply() -> None:
    def refuse(_value: int) -> int:
        raise Panic("in a validator")

    @tool("picky")
    def picky(a: Annotated[int, pydantic.AfterValidator(refuse)]) -> int:
        return a

    failed = sent(await run(picky, {"a": 1}))

    assert (failed.failure.code, failed.usage.tool_calls) == ("arguments_error", 0)
    assert failed.failure.message == "Panic: in a validator"


def laughs() -> Any:
    """A few lists in memory, and a hundred million items as JSON."""
    found: Any = 1
    for _ in range(4):
        found = [found] * 100
    return found


def counting() -> Iterator[int]:
    yield from itertools.count()


TEXT = "x" * 1_000_000


class Name(str):
    """A text of a type of its own."""


class Odd(pydantic.BaseModel):
    """A model that writes itself in a way of its own."""

    rows: int

    @pydantic.model_serializer
    def written(self) -> list[int]:
        return [0] * self.rows


class Much(enum.Enum):
    ROWS = [0] * 1_000_001


TOO_LARGE: dict[str, Callable[[], Any]] = {
    "an endless iterator": itertools.count,
    "an endless generator": counting,
    "an endless iterator inside": lambda: {"rows": [itertools.repeat("x")]},
    "an endless iterator in a model": lambda: Model(rows=itertools.count()),
    "an endless iterator in a dataclass": lambda: Frozen(itertools.count()),
    "an endless iterator of large texts": lambda: itertools.repeat(TEXT),
    "an endless iterator in an iterator": lambda: iter([1, itertools.repeat([1, 2])]),
    "a list": lambda: [0] * 1_000_001,
    "a list beside an iterator": lambda: [iter("ab"), [0] * 1_000_001],
    "a tuple in a dict": lambda: {"rows": ({"a": 1},) * 600_000},
    "a set": lambda: set(range(1_000_001)),
    "a deque": lambda: collections.deque(range(1_000_001)),
    "a dict": lambda: dict.fromkeys(map(str, range(1_000_001))),
    "a dict with numbers for keys": lambda: dict.fromkeys(range(1_000_001)),
    "lists in lists": lambda: [[0] * 1_000] * 1_001,
    "lists that are in each other many times": laughs,
    "a model": lambda: Model(rows=[0] * 1_000_001),
    "a model that writes itself": lambda: Odd(rows=1_000_001),
    "a model that writes itself beside an iterator": lambda: [iter("ab"), Odd(rows=1_000_001)],
    "a dataclass": lambda: Frozen({"x": [0] * 1_000_001}),
    "a member of an enumeration": lambda: Much.ROWS,
    "a text": lambda: TEXT * 65,
    "a text of a type of its own": lambda: Name(TEXT * 65),
    "the same text many times": lambda: [TEXT] * 65,
    "bytes": lambda: b"x" * 65_000_000,
    "an array of bytes": lambda: bytearray(65_000_000),
    "names": lambda: [{TEXT: 1}] * 65,
    "names and numbers": lambda: [{TEXT: 1, 1: 2}] * 65,
}


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "blocking"])
@pytest.mark.parametrize("what", TOO_LARGE)
async def test_what_is_too_large_is_a_failure_that_says_the_limit_and_what_to_do(
    what: str, is_async: bool
) -> None:
    failed = sent(await run(made(TOO_LARGE[what], is_async=is_async), timeout_ms=600_000))

    assert (failed.failure.kind, failed.failure.code) == (FailureKind.PERMANENT, "output_limit")
    assert re.fullmatch(
        r"what made returned \(\w+\) is too large: it has more than "
        r"(1,000,000 values|64,000,000 characters of text): return less, .*",
        failed.failure.message,
    )


async def test_a_result_within_the_limits_is_not_copied_to_be_measured() -> None:
    rows = [{"name": f"item {number}", "price": 1.5} for number in range(100_000)]
    tracemalloc.start()
    try:
        assert survey(rows, BOUNDS) == Survey()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < 100_000


async def test_of_a_tool_that_must_not_run_twice_the_outcome_is_unknown_if_its_result_is_too_large() -> None:
    failed = await run(made(lambda: TEXT * 65, is_async=True, at_most_once=True))

    assert (failed.failure.kind, failed.failure.code) == (FailureKind.UNKNOWN_OUTCOME, "output_limit")


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "blocking"])
@pytest.mark.parametrize("what", NOT_JSON)
async def test_what_json_cannot_hold_is_a_failure_that_says_so(what: str, is_async: bool) -> None:
    results: list[Any] = []

    def make() -> Any:
        results.append(NOT_JSON[what]())
        return results[0]

    failed = sent(await asyncio.wait_for(run(made(make, is_async=is_async)), 30))

    assert (failed.failure.kind, failed.failure.code) == (FailureKind.PERMANENT, "output_not_json")
    assert failed.failure.message.startswith("what made returned (")
    if what == "an open file":
        results[0].close()


async def test_the_place_of_a_number_that_json_has_not_is_named() -> None:
    failed = await run(made(lambda: {"rows": [{"share": math.nan}]}, is_async=True))

    assert "at /rows/0/share is nan, which JSON has no number for" in failed.failure.message


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "blocking"])
async def test_iterators_that_end_are_lists(is_async: bool) -> None:
    result = {
        "map": map(str, (1, 2)),
        "model": Model(rows=iter([1])),
        "frozen": Frozen(iter("ab")),
        1: {(1, 2): 3},
    }

    completed = await run(made(lambda: result, is_async=is_async))

    assert plain(completed.output) == {
        "map": ["1", "2"],
        "model": {"rows": [1]},
        "frozen": {"rows": ["a", "b"]},
        "1": {"1,2": 3},
    }


async def test_a_tool_that_blocks_the_loop_beyond_its_timeout_has_timed_out() -> None:
    @tool("blocks")
    async def blocks() -> str:
        time.sleep(0.3)  # noqa: ASYNC251 - what this is about
        return "done"

    failed = sent(await run(blocks, timeout_ms=100))

    assert (failed.failure.kind, failed.failure.code) == (FailureKind.TRANSIENT, "timeout")
    assert "it blocked the event loop for 0." in failed.failure.message


async def test_a_run_is_not_stopped_for_what_another_one_blocked() -> None:
    waits, release = asyncio.Event(), asyncio.Event()

    @tool("patient")
    async def patient() -> str:
        waits.set()
        await release.wait()
        for _ in range(100):
            await asyncio.sleep(0)
        return "done"

    running = asyncio.ensure_future(run(patient, timeout_ms=500))
    await waits.wait()
    asyncio.get_running_loop().call_soon(release.set)
    time.sleep(1.0)  # noqa: ASYNC251 - another one

    completed = await running

    assert isinstance(completed, events.ToolCompleted)


POINTERS = [
    "/items/-",
    "/items/-/name",
    "/items/3",
    "/items/01",
    "/items/-1",
    "/items/+1",
    "/items/ 1",
    "/items/1.0",
    "/items/१",
    "/items/" + "9" * 5_000,
    "/text/0",
    "/text/-",
    "/number/x",
    "/nothing/x",
    "/missing",
    "/a~2b",
    "/a~",
    "items",
    "items/0",
]


@pytest.mark.parametrize("pointer", POINTERS, ids=lambda pointer: pointer[:20])
async def test_a_pointer_to_nothing_hands_nothing_to_a_tool(pointer: str) -> None:
    called: list[Any] = []

    @tool("take")
    def take(value: Any) -> None:
        called.append(value)

    output = json_value({"items": ["a", "b", "c"], "text": "abc", "number": 1, "nothing": None, "a~b": 1})
    failed = sent(await run(take, {"value": Output("first", pointer)}, inputs={"first": output}))

    assert (failed.failure.kind, failed.failure.code) == (FailureKind.INVALID_INPUT, "arguments_not_filled")
    assert called == []


async def test_escapes_and_empty_names_of_a_pointer_are_read() -> None:
    @tool("take")
    def take(a: Any, b: Any, c: Any) -> list[Any]:
        return [a, b, c]

    arguments = {"a": Output("first", "/x~1y"), "b": Output("first", "/~01"), "c": Output("first", "/")}
    output = json_value({"x/y": 1, "~1": 2, "": 3})
    completed = await run(take, arguments, inputs={"first": output})

    assert plain(completed.output) == [1, 2, 3]


@pytest.mark.parametrize(
    "into", ["/list/-", "/list/-/x", "/list/1", "/list/00", "/text/0", "/none/x", "list", "/a~2"]
)
async def test_a_place_that_a_document_does_not_have_is_a_failure(into: str) -> None:
    called: list[Any] = []

    @tool("take")
    def take(**given: Any) -> None:
        called.append(given)

    body = json_value({"list": [None], "text": "abc", "none": None})
    arguments = Document(body=body, references=(Reference(into=into, step_id="first", at=""),))
    message = replace(execution("take", inputs={"first": json_value(1)}), arguments=arguments)
    failed = sent(await World(take).reply(tool_executor.service, message))

    assert (failed.failure.kind, failed.failure.code) == (FailureKind.INVALID_INPUT, "arguments_not_filled")
    assert called == []
