"""The whole plan in one request: it is checked before it runs, and made anew where it does not work out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.sdk import Context, PermanentError, Plan, PlanRequest, Values, planner
from orchestrator.sdk.messages import types
from orchestrator_services.models.settings import settings
from orchestrator_services.prompting.outputs import Shown, kept, shown, shown_again
from orchestrator_services.strategies.answers import problem_of
from orchestrator_services.strategies.bindings import is_of_plan
from orchestrator_services.strategies.dialogue import Dialogue
from orchestrator_services.strategies.notes import note, notes
from orchestrator_services.strategies.prompts import (
    LAST_TURN,
    listed,
    model_of,
    not_accepted,
    output_schema_of,
    task_prompt,
)
from orchestrator_services.strategies.tools import tools_for
from orchestrator_services.strategies.written_plans import (
    WrittenPlan,
    WrittenUnder,
    is_certain,
    plan_rules,
    plan_schema,
    read_plan,
    read_result,
)

_PLAN: Final = "plan"
"""Kind of the note that every plan leaves: its revision, a result that is held back, and outcomes that the model has
not been told."""


@planner("plan-execute")
async def plan_execute(request: PlanRequest, context: Context) -> Plan:
    """A plan of the model, whose steps use each other's outputs; or its answer, as the result.

    A plan that cannot be run goes back to the model with the reasons. So do steps that failed, and a plan or a
    result that was rejected. A result of which it shows only after the steps whether it fits is held back until then.
    """
    tools, output_schema = tools_for(request, context), output_schema_of(model_of(request))
    dialogue = await Dialogue.resumed(request, context, plan_rules(tools, output_schema))
    news = await _news(request, context.values)
    under = WrittenUnder(
        revision=request.revision,
        tools={tool.name: tool for tool in tools},
        may_run=request.limits.turns != 0,
        output_schema=output_schema,
        outputs={**dialogue.memory.outputs, **news.outputs},
        values=context.values,
    )
    problems: Sequence[str] = ()
    if news.held_result is not None:
        done = await read_result(news.held_result, under)
        if not done.problems:
            return _plan(done, under, dialogue, untold=news.outcomes)
        problems = done.problems
    written = await _written(_prompt(dialogue, news, problems), under, dialogue)
    return _plan(written, under, dialogue)


@dataclass(frozen=True)
class _News:
    """What the model has not been told yet."""

    outcomes: Sequence[Shown] = ()
    held_result: Any = None
    """The result of the plan before, as the model wrote it, if all its steps succeeded."""

    @property
    def outputs(self) -> dict[str, types.Value]:
        found = [one.reference for one in self.outcomes if one.reference]
        return {one.step: one.value for one in found}


async def _news(request: PlanRequest, values: Values) -> _News:
    last = next(notes(request.conversation, _PLAN), None)
    if last is None:
        return _News()
    # A plan that was rejected has no outcomes: those of the plan before it have been told.
    new = [one for one in request.outcomes if is_of_plan(one.step_id, last["revision"])]
    untold = [await shown_again(one, values) for one in last.get("untold", ())]
    succeeded = bool(new) and all(one.output is not None for one in new)
    return _News(
        outcomes=[*untold, *[await _outcome(one, values) for one in new]],
        held_result=last.get("result") if succeeded and not request.feedback else None,
    )


async def _outcome(outcome: types.StepOutcome, values: Values) -> Shown:
    if outcome.output is not None:
        return await shown(outcome.output, outcome.step_id, outcome.tool, values)
    return Shown(f"Step {outcome.step_id}: {problem_of(outcome)}")


def _prompt(dialogue: Dialogue, news: _News, problems: Sequence[str]) -> list[Shown]:
    """What the model is told before it plans."""
    request = dialogue.request
    prompt = []
    if not dialogue.has_begun:
        prompt.append(Shown(task_prompt(request, dialogue.model)))
    if news.outcomes:
        prompt += [Shown("What the steps of your plan came to:"), *news.outcomes]
    if request.feedback:
        prompt.append(Shown(not_accepted("answer", request.feedback)))
    elif problems:
        prompt.append(Shown(listed("The result cannot be made of these outputs:", problems)))
    elif news.outcomes:
        prompt.append(Shown("Go on: give the result, or a plan of what is still to be done."))
    if request.limits.turns == 0:
        prompt.append(Shown(LAST_TURN))
    return prompt


async def _written(prompt: Sequence[Shown], under: WrittenUnder, dialogue: Dialogue) -> WrittenPlan:
    """A plan that can be run. Raises `PermanentError` where the model does not come to one."""
    schema = plan_schema(list(under.tools.values()))
    allowance = dialogue.allowance
    # Its turns have one task, as the requests of one turn: to write a plan that fits.
    allowance.most_requests = most = settings().max_requests
    while True:
        reply = await dialogue.turn(prompt, output_schema=schema)
        plan = await read_plan(reply.output, under)
        if not plan.problems:
            return plan
        if allowance.requests >= most:
            raise PermanentError(
                f"{dialogue.model.name} did not write a plan that can be run in {most} requests: "
                f"{'; '.join(plan.problems)}; use another model, or set ORCHESTRATOR_MODELS_MAX_REQUESTS",
                code="plan_does_not_fit",
            )
        prompt = [Shown(listed("This plan cannot be run. Write it again, the whole of it:", plan.problems))]


def _plan(
    written: WrittenPlan, under: WrittenUnder, dialogue: Dialogue, untold: Sequence[Shown] = ()
) -> Plan:
    held = bool(written.steps) and not is_certain(written.result, under)
    left = note(
        _PLAN,
        revision=under.revision,
        result=written.result_as_written if held else None,
        untold=[kept(one) for one in untold] or None,
    )
    return Plan(
        written.steps,
        open=bool(written.steps),
        result=None if held else written.result,
        rationale=written.why,
        messages=[*dialogue.messages, left],
        memo=dialogue.memory,
    )
