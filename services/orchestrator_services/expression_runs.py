"""Evaluating expressions where what they cost is not known to be little: in a process of its own, with a deadline."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from orchestrator.sdk import IsolatedCall, Isolation, ProcessPool, RunFailedError, Target
from orchestrator_services.expressions import CostlyExpressionError, Expression, ExpressionError, compiled

WALL_S: Final = 10.0
LIMITS: Final = Isolation(memory="512MB", cpu="5s", file_size="1MB", open_files=32, output="64KB")
_PROCESSES: Final = 4


@cache
def _pool() -> ProcessPool:
    return ProcessPool(_PROCESSES)


async def holds(expression: Expression, variables: Mapping[str, Any]) -> bool:
    """Whether it is true. Raises `ExpressionError`, also if it takes more than its limits of time and memory.

    What certainly takes less than some 50 ms is evaluated here, the rest in a process of its own, so that nothing
    else waits for it.
    """
    try:
        return expression.holds(variables)
    except CostlyExpressionError:
        return await _aside(expression, expression.projected(variables))


async def _aside(expression: Expression, variables: Mapping[str, Any]) -> bool:
    arguments = {"source": expression.source, "known": list(variables), "variables": dict(variables)}
    call = IsolatedCall(
        name=f"the expression {expression.source[:200]!r}",
        target=Target.of(judge),
        arguments=arguments,
        limits=LIMITS.limits(WALL_S),
        variables=LIMITS.variables({}),
    )
    try:
        judged = await _pool().run(call)
    except RunFailedError as error:
        raise CostlyExpressionError(f"{error}; make it simpler, or give it less input") from error
    if "error" in judged:
        raise ExpressionError(judged["error"]) from (
            KeyError(judged["missing"]) if "missing" in judged else None
        )
    return bool(judged["holds"])


def judge(source: str, known: list[str], variables: dict[str, Any]) -> dict[str, Any]:
    """In a process of its own: whether an expression is true, or why it cannot be evaluated."""
    try:
        return {"holds": compiled(source, tuple(known)).holds(variables, most_steps=None)}
    except ExpressionError as error:
        missing = {"missing": error.__cause__.args[0]} if isinstance(error.__cause__, KeyError) else {}
        return {"error": str(error), **missing}
