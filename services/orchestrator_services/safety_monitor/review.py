"""What the rules say about one plan."""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from orchestrator.sdk import Context
from orchestrator.sdk.messages import types
from orchestrator_services.expressions import Expression, ExpressionError
from orchestrator_services.safety_monitor.rules import CompiledRules, Rules


async def objections(plan: types.Plan, rules: CompiledRules, context: Context) -> list[str]:
    """Why a plan is unsafe; empty if it is not."""
    found = list(_forbidden(plan, rules.rules, context.definitions.tools))
    if len(plan.steps) > rules.rules.max_steps:
        found.append(f"the plan has {len(plan.steps)} steps, at most {rules.rules.max_steps} are allowed")
    if rules.expressions:
        steps = [await _visible(step, context) for step in plan.steps]
        for rule, expression in zip(rules.rules.reject, rules.expressions, strict=True):
            found += _broken(expression, rule.reason, steps)
    return found


def _forbidden(plan: types.Plan, rules: Rules, tools: Mapping[str, types.ToolDefinition]) -> Iterator[str]:
    """Steps that could run a forbidden tool: by name, as a fallback, or by a capability that it has."""
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


async def _visible(step: types.Step, context: Context) -> dict[str, Any]:
    """A step as rules see it. Arguments that are bound late are null, their places are in `bound`."""
    return {
        "id": step.step_id,
        "tool": step.tool,
        "capability": step.capability,
        "arguments": await context.values.load(step.arguments.body),
        "bound": [reference.into for reference in step.arguments.references],
        "after": list(step.after),
        "fallback": list(step.fallback),
        "timeout_ms": step.timeout_ms,
    }


def _broken(expression: Expression, reason: str, steps: list[dict[str, Any]]) -> Iterator[str]:
    plan = {"steps": steps}
    told = reason or expression.source
    if not expression.names("step"):
        yield from (f"the plan: {problem}" for problem in _judged(expression, {"plan": plan}, told))
        return
    for step in steps:
        problems = _judged(expression, {"plan": plan, "step": step}, told)
        yield from (f"step {step['id']}: {problem}" for problem in problems)


def _judged(expression: Expression, variables: dict[str, Any], told: str) -> Iterator[str]:
    """The objection of one rule, if it has one. What cannot be judged is not let through."""
    try:
        if expression.holds(variables):
            yield told
    except ExpressionError as error:
        if not isinstance(error.__cause__, KeyError):
            yield f"the rule {expression.source!r} cannot be judged: {error}"
