"""A tool whose function can never be called is refused when it is declared, with the reason and the remedy."""

import functools
import json
import math
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, cast

import pydantic
import pytest
import typing_extensions

from orchestrator.errors import ConfigurationError
from orchestrator.sdk import (
    Context,
    Event,
    InvalidInput,
    Service,
    Tool,
    evaluator,
    middleware,
    planner,
    recovery,
    reviewer,
    subscriber,
    tool,
    tool_selector,
)
from orchestrator.sdk.messages import commands
from orchestrator.sdk.plugins import find

CONTEXT = cast(Context, object())


class Old(typing.TypedDict):
    pieces: int


class New(typing_extensions.TypedDict):
    pieces: int


class Strange:
    pass


class Acme:
    """An object that is called like a function."""

    async def __call__(self, item: str) -> str:
        return item


def star(*values: int) -> int:
    return sum(values)


def positional(a: int, /, b: int) -> int:
    return a + b


def positional_context(context: Context, /) -> None:
    del context


def several(a: Strange, /, *values: str) -> None:
    del a, values


def strange(a: Strange) -> None:
    del a


def called_back(a: Callable[[int], int]) -> None:
    del a


def not_a_number(a: float = math.nan) -> None:
    del a


def contexts(**extra: Context) -> None:
    del extra


def old(a: Old) -> None:
    del a


def unknown(a: "Nowhere") -> None:  # type: ignore[name-defined]  # noqa: F821
    del a


async def generator() -> Any:
    yield 1


def fine(a: int) -> int:
    return a


REFUSED: list[tuple[Callable[..., Any], list[str]]] = [
    (star, ["*values cannot be given, as arguments are given by name: take a list, `values: list[int]`"]),
    (positional, ["a is positional only, and arguments are given by name: remove the `/`"]),
    (positional_context, ["context is positional only"]),
    (several, ["a is positional only", "*values cannot be given"]),
    (strange, ["a: Strange cannot come from JSON"]),
    (called_back, ["a: collections.abc.Callable[[int], int] cannot come from JSON"]),
    (not_a_number, ["a: its default nan is no number of JSON: use None"]),
    (contexts, ["**extra cannot be contexts: take one, `context: Context`"]),
    (unknown, ["its signature cannot be read: NameError: name 'Nowhere' is not defined"]),
    (generator, ["it is an async generator"]),
]


@pytest.mark.parametrize(("function", "reasons"), [pytest.param(*one, id=one[0].__name__) for one in REFUSED])
def test_a_tool_that_can_never_be_called_is_refused(function: Callable[..., Any], reasons: list[str]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        tool("x")(function)

    assert len(refused.value.problems) == len(reasons)
    for problem, reason in zip(refused.value.problems, reasons, strict=True):
        assert problem.startswith(f"tool x: {reason}")
        assert "\n" not in problem


def test_an_old_typed_dict_as_an_argument_names_the_remedy_where_it_cannot_be_used() -> None:
    if sys.version_info >= (3, 12):
        assert called(old, {"a": {"pieces": 1}}) is None
        return
    with pytest.raises(ConfigurationError, match="import TypedDict from typing_extensions"):
        tool("x")(old)


@pytest.mark.parametrize(
    "declared",
    [
        pytest.param({"timeout": "soon"}, id="timeout"),
        pytest.param({"timeout": cast(str, -1)}, id="negative"),
        pytest.param({"description": "half \ud800"}, id="description"),
        pytest.param({"pool": "\udfff"}, id="pool"),
    ],
)
def test_what_could_not_be_announced_is_refused(declared: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="tool x: its "):
        tool("x", **declared)(fine)  # type: ignore[arg-type]


def called(function: Callable[..., Any], given: dict[str, Any]) -> Any:
    declared = tool("x")(function)
    return declared(**declared.arguments(given, CONTEXT))


def test_every_name_of_a_parameter_can_be_given() -> None:
    def names(
        _quiet: bool,
        model_config: str,
        model_fields: int,
        self: str,
        json: list[int],
        copy: int = 7,
        *,
        field_0: int = 8,
    ) -> Any:
        return [_quiet, model_config, model_fields, self, json, copy, field_0]

    given = {"_quiet": True, "model_config": "x", "model_fields": 1, "self": "me", "json": [1], "field_0": 9}
    assert called(names, given) == [True, "x", 1, "me", [1], 7, 9]


def test_arguments_that_do_not_fit_are_named_as_the_function_names_them() -> None:
    def take(_quiet: bool, model_config: int) -> None:
        del _quiet, model_config

    with pytest.raises(InvalidInput, match=r"_quiet: .*; model_config: .*"):
        tool("x")(take).arguments({"model_config": "x"}, CONTEXT)


@pytest.mark.parametrize(
    "hint",
    [Context, Context | None, typing.Optional[Context], Annotated[Context, "mine"], "Context | None"],  # noqa: UP045
)
def test_a_context_is_given_however_it_is_written(hint: Any) -> None:
    def look(a: int, context: Any = None) -> Any:
        return a, context

    look.__annotations__["context"] = hint
    assert called(look, {"a": 1}) == (1, CONTEXT)


def test_a_context_cannot_be_given_by_a_plan() -> None:
    def take(context: Context, **more: Any) -> Any:
        return more, context

    assert called(take, {"more": 1, "field_0": 2}) == ({"more": 1, "field_0": 2}, CONTEXT)
    with pytest.raises(InvalidInput, match="context: the platform gives it"):
        called(take, {"context": 1})


def test_names_in_the_schema_are_those_of_the_function_or_of_its_annotations() -> None:
    def take(_quiet: bool, a: Annotated[int, pydantic.Field(ge=1, alias="A")], b: New) -> Any:
        return [_quiet, a, b]

    declared = tool("x")(take)
    schema = json.loads(declared.definition.arguments_schema)
    given = {"_quiet": True, "A": 2, "b": {"pieces": 3}}
    assert set(schema["properties"]) == set(given)
    assert declared(**declared.arguments(given, CONTEXT)) == [True, 2, {"pieces": 3}]


def test_a_result_without_a_schema_is_still_returned() -> None:
    def level(item: str) -> Old:
        return {"pieces": len(item)}

    assert called(level, {"item": "abc"}) == {"pieces": 3}


def test_a_typed_dict_of_typing_extensions_has_its_schema() -> None:
    def level(order: New) -> New:
        return order

    declared = tool("x")(level)
    assert called(level, {"order": {"pieces": 3}}) == {"pieces": 3}
    assert "pieces" in declared.definition.output_schema


def test_a_default_that_is_not_json_stays_with_the_function() -> None:
    missing = object()

    def take(a: Any = missing) -> bool:
        return a is missing

    assert called(take, {}) is True


async def test_partials_and_objects_are_tools() -> None:
    def add(a: int, b: int) -> int:
        return a + b

    acme = tool("acme")(Acme())
    assert called(functools.partial(add, b=1), {"a": 1}) == 2
    assert acme.is_async
    assert await acme(**acme.arguments({"item": "x"}, CONTEXT)) == "x"


def two(request: Any, *, context: Any) -> Any:
    return request, context


async def nothing() -> None:
    return


async def much(request: Any, context: Any, more: Any) -> Any:
    return request, context, more


async def yields(request: Any) -> Any:
    yield request


ROLE_DECORATORS: dict[str, Callable[[Any], Any]] = {
    "planner": planner("x"),
    "evaluator": evaluator("x"),
    "recovery": recovery("x"),
    "reviewer": reviewer("x"),
    "selector": tool_selector("x"),
    "subscriber": subscriber("*"),
    "middleware": middleware(),
    "service": Service("x").on(commands.ExecuteTool),
}


@pytest.mark.parametrize("function", [two, nothing, much, yields], ids=lambda one: one.__name__)
@pytest.mark.parametrize("role", ROLE_DECORATORS)
def test_a_function_that_no_role_can_call_is_refused(role: str, function: Callable[..., Any]) -> None:
    if role == "middleware" and function is much:
        return
    with pytest.raises(ConfigurationError, match=f"{function.__name__}: it "):
        ROLE_DECORATORS[role](function)


async def test_a_function_that_is_not_async_says_so() -> None:
    def watch(event: Event) -> str:
        return event.type

    with pytest.raises(TypeError, match="watch is not async: declare it with `async def`"):
        await subscriber("*")(watch).handle(Event(cast(Any, None)), CONTEXT)  # type: ignore[arg-type]


def test_a_module_with_such_a_tool_is_one_clear_line(tmp_path: Path) -> None:
    module = tmp_path / "acme.py"
    module.write_text(
        "from orchestrator.sdk import tool\n@tool('sum')\ndef total(*values: int) -> int:\n    return 1\n"
    )
    _, problems = find([str(module)])

    assert [problem.partition("acme.py: ")[2] for problem in problems] == [
        "tool sum: *values cannot be given, as arguments are given by name: take a list, `values: list[int]`"
    ]


@pytest.mark.parametrize(
    "line",
    [
        "import sys; sys.exit(3)",
        "raise ValueError('two\\nlines')",
        "1 / 0",
        "raise GeneratorExit",
        "raise type('Panic', (BaseException,), {})('it panics')",
    ],
)
def test_a_module_that_ends_or_fails_is_one_line(tmp_path: Path, line: str) -> None:
    module = tmp_path / "acme.py"
    module.write_text(line)
    _, problems = find([str(module)])

    assert len(problems) == 1
    assert "acme.py cannot be loaded: " in problems[0]
    assert "\n" not in problems[0]


def test_a_module_may_have_members_without_a_name(tmp_path: Path) -> None:
    module = tmp_path / "acme.py"
    module.write_text("globals()[1] = 2")

    assert find([str(module)])[1] == []


def test_a_tool_is_found_by_its_signature_only_once() -> None:
    class Loud(pydantic.BaseModel):
        a: int

    def take(given: Loud) -> int:
        return given.a

    declared = tool("x")(take)
    assert isinstance(declared, Tool)
    assert declared.arguments({"given": {"a": 1}}, CONTEXT)["given"] == Loud(a=1)
