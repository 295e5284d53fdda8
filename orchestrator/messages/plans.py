"""Rules for all plans, whichever planner made them."""

from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

from orchestrator.messages.texts import first_of, named, short
from orchestrator.messages.types import Plan, Step
from orchestrator.messages.values import steps_named


def dependencies(step: Step) -> frozenset[str]:
    """Steps that must succeed before this one: those its arguments name, and those in `after`."""
    return steps_named(step.arguments) | frozenset(step.after)


def problems_of(plan: Plan) -> list[str]:
    """The first problems of a plan, for people; empty for a valid one."""
    return first_of(_problems(plan)) or _cycles(plan)


def _problems(plan: Plan) -> Iterator[str]:
    names = Counter(step.step_id for step in plan.steps)
    # A set: taking away the keys of a mapping would look at each of them, for every step.
    known = frozenset(names)
    for name in sorted(name for name, count in names.items() if count > 1):
        yield f"two steps are named {short(name)}"
    if not plan.steps and plan.result is None:
        yield "the plan has neither steps nor a result"
    for step in plan.steps:
        if not step.step_id:
            yield "a step has no name"
        if bool(step.tool) == bool(step.capability):
            yield f"step {short(step.step_id)} must name a tool or a capability, and not both"
        for name in sorted(dependencies(step) - known):
            yield f"step {short(step.step_id)} needs {short(name)}, which is not a step of the plan"
    for name in sorted(steps_named(plan.result) - known):
        yield f"the result needs {short(name)}, which is not a step of the plan"
    for criterion in plan.criteria:
        for name in sorted(set(criterion.steps) - known):
            expression = short(criterion.expression)
            yield f"the criterion {expression} needs {short(name)}, which is not a step of the plan"


def _cycles(plan: Plan) -> list[str]:
    try:
        TopologicalSorter({step.step_id: dependencies(step) for step in plan.steps}).prepare()
    except CycleError as error:
        return [f"the steps wait for each other: {_cycle(error.args[1][::-1])}"]
    return []


def _cycle(steps: list[str]) -> str:
    if len(steps) > 20:
        return named(steps)
    return " -> ".join(map(short, steps))
