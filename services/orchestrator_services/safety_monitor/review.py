"""Reviewing one plan against the rules."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from copy import deepcopy
from fnmatch import fnmatchcase
from typing import Any, Final

from jsonpointer import JsonPointerException, set_pointer

from orchestrator.sdk import Context
from orchestrator.sdk.messages import types
from orchestrator_services.expression_runs import holds
from orchestrator_services.expressions import ExpressionError
from orchestrator_services.safety_monitor.keys import STEP
from orchestrator_services.safety_monitor.rules import PLAN, CompiledRule, CompiledRules, Rules

MOST_FALLBACKS: Final = 100
"""Fallbacks of a step that rules are asked about: its arguments are copied for each."""


async def objections(plan: types.Plan, rules: CompiledRules, context: Context) -> list[str]:
    """Why a plan breaks the rules; empty if it does not."""
    found = list(_forbidden(plan, rules.rules, context.definitions.tools))
    if len(plan.steps) > rules.rules.max_steps:
        found.append(f"the plan has {len(plan.steps)} steps, at most {rules.rules.max_steps} are allowed")
    if rules.compiled:
        steps = [await _judged_step(step, context) for step in plan.steps]
        for rule in rules.compiled:
            found += [problem async for problem in _broken(rule, steps)]
    return found


def _forbidden(plan: types.Plan, rules: Rules, tools: Mapping[str, types.ToolDefinition]) -> Iterator[str]:
    """Steps that could run a forbidden tool: by name, as a fallback, or by capability."""
    for step in plan.steps:
        for name in _may_run(step, tools):
            pattern = next((one for one in rules.forbid_tools if fnmatchcase(name, one)), None)
            if pattern:
                yield f"step {step.step_id} may run {name}, which the rules forbid ({pattern})"


def _may_run(step: types.Step, tools: Mapping[str, types.ToolDefinition]) -> list[str]:
    """The tools that the step may run: its own, its fallbacks, and those known here that have its capability."""
    able = (name for name, tool in tools.items() if step.capability and step.capability in tool.capabilities)
    return list(dict.fromkeys(filter(None, (step.tool, *step.fallback, *sorted(able)))))


async def _judged_step(step: types.Step, context: Context) -> dict[str, Any]:
    """A step as rules see it."""
    return {**await visible(step, context), "may_run": _may_run(step, context.definitions.tools)}


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


async def _broken(rule: CompiledRule, steps: list[dict[str, Any]]) -> AsyncIterator[str]:
    if not rule.names_step:
        for problem in await _objections(rule, {PLAN: {"steps": steps}}):
            yield f"the plan: {problem}"
        return
    for step in steps:
        if len(step["fallback"]) > MOST_FALLBACKS and rule.names_tool:
            yield f"step {step['id']} has {len(step['fallback'])} fallbacks; at most {MOST_FALLBACKS} are reviewed"
            continue
        for variant, which in _variants(step, rule):
            variables = {PLAN: {"steps": steps}, STEP: variant}
            if found := await _objections(rule, variables):
                for problem in found:
                    yield f"step {step['id']}{which}: {problem}"
                break


def _variants(step: dict[str, Any], rule: CompiledRule) -> Iterator[tuple[dict[str, Any], str]]:
    """The step as it is and, for a rule about its tool, with each tool that it may run."""
    yield step, ""
    if rule.names_tool:
        for name in step["may_run"]:
            if name != step["tool"]:
                yield {**step, "tool": name}, f", if it runs {name}"


async def _objections(rule: CompiledRule, variables: dict[str, Any]) -> list[str]:
    """The objection, if the rule rejects. A rule that cannot be evaluated rejects, unless it is about one step, and
    names a key that this step's arguments lack: a step that lacks a key must not answer for the others of a plan, nor
    an item for the others of a list."""
    unclear: list[str] = []
    for expression, keys in rule.parts:
        try:
            if await holds(expression, variables):
                return [rule.reason]
        except ExpressionError as error:
            missing = error.__cause__
            hint = ""
            if isinstance(missing, KeyError):
                if (
                    STEP in variables
                    and not rule.names_plan
                    and keys.excuse(missing.args[0], variables[STEP])
                ):
                    continue
                hint = "; has(…) asks whether there is a key"
            unclear.append(f"the rule {rule.source!r} cannot be evaluated: {error}{hint}")
    return unclear[:1]
