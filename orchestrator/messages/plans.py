"""Rules for all plans, whichever planner made them."""

from collections import Counter
from graphlib import CycleError, TopologicalSorter

from orchestrator.messages.types import Plan, Step
from orchestrator.messages.values import steps_named


def dependencies(step: Step) -> frozenset[str]:
    """Steps that must succeed before this one: those its arguments name, and those in `after`."""
    return steps_named(step.arguments) | frozenset(step.after)


def problems_of(plan: Plan) -> list[str]:
    """What is wrong with a plan, for people; empty for a valid one."""
    names = Counter(step.step_id for step in plan.steps)
    known = set(names)
    problems = [f"two steps are named {name}" for name in sorted(names) if names[name] > 1]
    if not plan.steps and plan.result is None:
        problems.append("the plan has neither steps nor a result")
    for step in plan.steps:
        if not step.step_id:
            problems.append("a step has no name")
        if bool(step.tool) == bool(step.capability):
            problems.append(f"step {step.step_id} must name a tool or a capability, and not both")
        problems += [
            f"step {step.step_id} needs {name}, which is not a step of the plan"
            for name in sorted(dependencies(step) - known)
        ]
    problems += [
        f"the result needs {name}, which is not a step of the plan"
        for name in sorted(steps_named(plan.result) - known)
    ]
    problems += [
        f"the criterion {criterion.expression} needs {name}, which is not a step of the plan"
        for criterion in plan.criteria
        for name in sorted(set(criterion.steps) - known)
    ]
    return problems or _cycles(plan)


def _cycles(plan: Plan) -> list[str]:
    try:
        TopologicalSorter({step.step_id: dependencies(step) for step in plan.steps}).prepare()
    except CycleError as error:
        return [f"the steps wait for each other: {' -> '.join(reversed(error.args[1]))}"]
    return []
