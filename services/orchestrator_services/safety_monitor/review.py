"""Reviewing one plan against the rules."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from copy import deepcopy
from fnmatch import fnmatchcase
from typing import Any

from jsonpointer import JsonPointerException, set_pointer

from orchestrator.sdk import Context
from orchestrator.sdk.messages import types
from orchestrator_services.expression_runs import holds
from orchestrator_services.expressions import Expression, ExpressionError
from orchestrator_services.safety_monitor.rules import CompiledRules, Rules


async def objections(plan: types.Plan, rules: CompiledRules, context: Context) -> list[str]:
    """Why a plan breaks the rules; empty if it does not."""
    found = list(_forbidden(plan, rules.rules, context.definitions.tools))
    if len(plan.steps) > rules.rules.max_steps:
        found.append(f"the plan has {len(plan.steps)} steps, at most {rules.rules.max_steps} are allowed")
    if rules.expressions:
        steps = [await visible(step, context) for step in plan.steps]
        for rule, expression in zip(rules.rules.reject, rules.expressions, strict=True):
            found += [problem async for problem in _broken(expression, rule.reason, steps)]
    return found


def _forbidden(plan: types.Plan, rules: Rules, tools: Mapping[str, types.ToolDefinition]) -> Iterator[str]:
    """Steps that could run a forbidden tool: by name, as a fallback, or by capability."""
    for step in plan.steps:
        by_capability = (
            sorted(name for name, tool in tools.items() if step.capability in tool.capabilities)
            if step.capability
            else []
        )
        for name in filter(None, (step.tool, *step.fallback, *by_capability)):
            pattern = next((one for one in rules.forbid_tools if fnmatchcase(name, one)), None)
            if pattern:
                yield f"step {step.step_id} may run {name}, which the rules forbid ({pattern})"


async def visible(step: types.Step, context: Context) -> dict[str, Any]:
    """A step as reviewers see it. Arguments that come from other steps are null, also those that the document itself
    leaves out; their places are in `bound`."""
    places = [reference.into for reference in step.arguments.references]
    return {
        "id": step.step_id,
        "tool": step.tool,
        "capability": step.capability,
        "arguments": _with_nulls(await context.values.load(step.arguments.body), places),
        "bound": places,
        "after": list(step.after),
        "fallback": list(step.fallback),
        "timeout_ms": step.timeout_ms,
    }


def _with_nulls(arguments: Any, places: Sequence[str]) -> Any:
    """Arguments with null at each place; null where there cannot be such a place, because nobody can say what comes."""
    if not places:
        return arguments
    try:
        arguments = deepcopy(arguments)
        for place in places:
            arguments = set_pointer(arguments, place, None)
    except (JsonPointerException, TypeError, RecursionError):
        return None
    return arguments


async def _broken(expression: Expression, reason: str, steps: list[dict[str, Any]]) -> AsyncIterator[str]:
    plan = {"steps": steps}
    objection = reason or expression.source
    if not expression.names("step"):
        async for problem in _judged(expression, {"plan": plan}, objection):
            yield f"the plan: {problem}"
        return
    for step in steps:
        async for problem in _judged(expression, {"plan": plan, "step": step}, objection):
            yield f"step {step['id']}: {problem}"


async def _judged(expression: Expression, variables: dict[str, Any], objection: str) -> AsyncIterator[str]:
    """The objection, if the rule rejects. A rule that cannot be evaluated rejects, unless it is about one step, and a
    key that this step does not have: a step that lacks a key must not answer for the others of a plan."""
    try:
        if await holds(expression, variables):
            yield objection
    except ExpressionError as error:
        is_missing = isinstance(error.__cause__, KeyError)
        if expression.names("plan") or not is_missing:
            hint = "; has(…) asks whether a step has a key" if is_missing else ""
            yield f"the rule {expression.source!r} cannot be evaluated: {error}{hint}"
