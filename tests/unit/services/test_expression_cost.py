"""Expressions that would take long: refused when they are compiled, or evaluated aside and killed."""

import asyncio
import time
from typing import Any

import pytest
from orchestrator_services import expression_runs
from orchestrator_services.expression_runs import holds
from orchestrator_services.expressions import CostlyExpressionError, ExpressionError, compiled

from orchestrator.sdk import Isolation

TEN = "[0,1,2,3,4,5,6,7,8,9]"
TASK = {"goal": "latency", "context": {"env": "prod"}}
ROWS = [{"n": number, "tags": ["x", "y"], "text": "abc"} for number in range(4_000)]


def nested(levels: int, over: str = TEN) -> str:
    return "".join(f"{over}.all({name}," for name in "abcdefgh"[:levels]) + "true" + ")" * levels


def in_process(source: str, **variables: Any) -> bool:
    return compiled(source, tuple(variables)).holds(variables)


def test_macros_inside_each_other_are_refused_when_they_are_compiled() -> None:
    assert len(nested(6)) <= 189

    for source in (nested(6), "x.all(a, " * 4 + "true" + ")" * 4):
        with pytest.raises(ExpressionError, match="at most 3 are allowed"):
            compiled(source, ("x",))


@pytest.mark.parametrize(
    ("source", "variables"),
    [
        (nested(3, over=f"[{','.join('0' * 400)}]"), {}),
        ("['aaaaaaaaaa']" + ".map(a,a+a)" * 13 + ".size()>0", {}),
        ("[0]" + ".map(a,[a,a,a,a,a,a,a,a])" * 8 + " == [1]", {}),
        ("rows.filter(r, r.n > 10).size() > 3", {"rows": ROWS}),
        ("rows.all(r, rows.all(s, true))", {"rows": ROWS}),
        ("rows.all(r, text.contains('z') == false)", {"rows": ROWS[:500], "text": "y" * 1_000_000}),
        ("text.matches('(\\\\pL{100}){30}')", {"text": "y"}),
        ("text.matches(pattern)", {"text": "y", "pattern": "(x{1000}){1000}"}),
        ("+".join(["text"] * 700) + " == 'x'", {"text": "y" * 100_000}),
        ("rows == 1", {"rows": ROWS * 10}),
    ],
)
def test_what_may_take_long_is_not_evaluated_at_once(source: str, variables: dict[str, Any]) -> None:
    began = time.process_time()

    with pytest.raises(CostlyExpressionError, match="steps over this input"):
        in_process(source, **variables)

    assert time.process_time() - began < 5, "seconds of CPU"


@pytest.mark.parametrize(
    ("source", "variables"),
    [
        (
            'task.goal.contains("latency") && task.context.env == "prod"',
            {"task": {"goal": "latency", "context": {"env": "prod"}}},
        ),
        ("rows.all(r, r.n >= 0 && r.text.startsWith('a'))", {"rows": ROWS[:200]}),
        ("rows.exists(r, r.tags.exists(t, t == 'y'))", {"rows": ROWS[:40]}),
        ("size(rows.filter(r, r.n > 1)) > 1", {"rows": ROWS[:40]}),
        ("text.matches('^a.*z$')", {"text": "abcz"}),
        ("data.small == 1", {"data": {"small": 1, "large": ROWS}}),
    ],
)
def test_what_agents_write_is_evaluated_at_once(source: str, variables: dict[str, Any]) -> None:
    assert in_process(source, **variables)


async def test_what_may_take_long_is_evaluated_aside() -> None:
    assert await holds(compiled("rows.all(r, r.n >= 0)", ("rows",)), {"rows": ROWS})
    with pytest.raises(ExpressionError, match="missing not found") as caught:
        await holds(compiled("rows[0].missing == 1", ("rows",)), {"rows": ROWS})
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize(
    "source",
    [nested(3, over=f"[{','.join('0' * 400)}]"), "['aaaaaaaaaa']" + ".map(a,a+a)" * 40 + ".size()>0"],
)
async def test_it_is_killed_at_its_limits_while_everything_else_goes_on(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expression_runs, "LIMITS", Isolation(memory="128MB", cpu="1s"))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.01)
            turns += 1

    beside = asyncio.create_task(others())
    with pytest.raises(CostlyExpressionError, match="make it simpler"):
        await holds(compiled(source, ("x",)), {"x": 1})

    assert turns > 3
    beside.cancel()


def test_a_long_expression_over_a_long_text_is_not_evaluated_at_once() -> None:
    expression = compiled(f'text.matches("([ab]*a{"[ab]" * 300})+c")', ("text",))

    with pytest.raises(CostlyExpressionError):
        expression.evaluate({"text": "ab" * 10_000})
