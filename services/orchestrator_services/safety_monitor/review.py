"""Reviewing one plan against the rules."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import Any

from orchestrator.sdk import Context, ContractError
from orchestrator.sdk.messages import fill_content, replace, types
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
    """A step as reviewers see it. Arguments that come from other steps are null, their places are in `bound`."""
    return {
        "id": step.step_id,
        "tool": step.tool,
        "capability": step.capability,
        "arguments": _with_nulls(await context.values.load(step.arguments.body), step.arguments.references),
        "bound": [reference.into for reference in step.arguments.references],
        "after": list(step.after),
        "fallback": list(step.fallback),
        "timeout_ms": step.timeout_ms,
    }


def _with_nulls(content: Any, references: Iterable[types.Reference]) -> Any:
    """The content with null wherever an output comes, also where it has no key yet: a rule that asks about that place
    cannot be evaluated, and must not find nothing there."""
    for reference in references:
        # No place: below another output.
        with suppress(ContractError):
            content = fill_content(content, (replace(reference, at=""),), {reference.step_id: None})
    return content


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
    """The objection, if the rule rejects. A rule that cannot be evaluated rejects, unless it asks about a key that
    the step does not have.

    Not if it asks about the plan: the evaluation ends at the first step without the key, whatever the others do.
    """
    try:
        if await holds(expression, variables):
            yield objection
    except ExpressionError as error:
        if not isinstance(error.__cause__, KeyError):
            yield f"the rule {expression.source!r} cannot be evaluated: {error}"
        elif expression.names("plan"):
            yield (
                f"the rule {expression.source!r} cannot be evaluated: {error}. Some step lacks the key: ask for it "
                "first, as in has(s.arguments.url) && ..."
            )
