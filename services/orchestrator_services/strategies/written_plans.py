"""Plans as models write them: the form that is asked for, and whether a plan can be run."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from orchestrator.sdk import (
    InvalidInput,
    PermanentError,
    Plan,
    PlanStep,
    ToolDefinition,
    Values,
    document,
    step,
)
from orchestrator.sdk.messages import first_of, read_json, short, types
from orchestrator_services.json_schemas import InvalidSchemaError
from orchestrator_services.prompting.data import json_text
from orchestrator_services.strategies.bindings import Binding, earlier_step, loaded, planned_step
from orchestrator_services.strategies.tools import READ_ON, reading_on
from orchestrator_services.tool_selector.arguments import Arguments

_RULES: Final = """\
You do not call tools. You answer with a plan: steps, each of which runs a tool, and the result that they lead to.
- Steps run side by side. A step waits for the steps whose outputs it uses, and for those that it names in after.
- Where the output of a step is needed, in arguments or in the result, write {"$output": "STEP"} in its place, or \
{"$output": "STEP", "at": "/rows/0/name"} for the part at a JSON pointer. Outputs of your earlier plans are used in \
the same way, by the step that their data names.
- Leave the result out to see the outputs of the steps first.
- Give a result and no steps where no tool is needed, or when you know enough."""


def plan_rules(tools: Sequence[ToolDefinition], output_schema: dict[str, Any] | None) -> str:
    """What a model is told about plans, the tools among it: nothing else offers them."""
    parts = [_RULES]
    if output_schema is not None:
        parts.append(f"The result must fit this JSON Schema: {json_text(output_schema)}")
    described = [_described(tool) for tool in tools]
    parts.append("\n".join(["Tools:", *described]) if described else "There are no tools.")
    return "\n\n".join(parts)


def plan_schema(tools: Sequence[ToolDefinition]) -> dict[str, Any]:
    """JSON Schema of a plan that uses these tools."""
    text = {"type": "string"}
    written_step = {
        "type": "object",
        "properties": {
            "step": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_-]*$", "description": "Its name."},
            "tool": {**text, "enum": [tool.name for tool in tools]},
            "arguments": {"type": "object"},
            "after": {"type": "array", "items": text, "description": "Other steps to wait for."},
        },
        "required": ["step", "tool", "arguments"],
        "additionalProperties": False,
    }
    steps = {"type": "array", "items": written_step} if tools else {"type": "array", "maxItems": 0}
    return {
        "type": "object",
        "properties": {
            "why": {**text, "description": "In a sentence."},
            "steps": steps,
            "result": {"description": "The answer to the task."},
        },
        "required": ["steps"],
        "additionalProperties": False,
    }


@dataclass(frozen=True, kw_only=True)
class WrittenUnder:
    """What holds for a plan."""

    revision: int
    tools: Mapping[str, ToolDefinition]
    may_run: bool
    """Whether another turn follows: without one, nothing could go on from what steps come to."""
    output_schema: dict[str, Any] | None
    outputs: Mapping[str, types.Value]
    """Of the steps of earlier plans, by step."""
    values: Values


@dataclass
class WrittenPlan:
    """A plan of a model, and what is wrong with it."""

    why: str = ""
    steps: list[PlanStep] = field(default_factory=list)
    result: Any = None
    result_as_written: Any = None
    has_result: bool = True
    problems: list[str] = field(default_factory=list)


async def read_plan(written: Mapping[str, Any], under: WrittenUnder) -> WrittenPlan:
    """The plan that a model wrote, in the form of `plan_schema`, with its references bound."""
    earlier = await loaded(written, under.outputs, under.values)
    names = {one["step"]: planned_step(under.revision, one["step"]) for one in written["steps"]}
    binding = Binding(names, earlier)
    plan = WrittenPlan(why=written.get("why", ""), result_as_written=written.get("result"))
    # Many models write null for what they leave out: only an output schema says what null would mean.
    plan.has_result = plan.result_as_written is not None or (
        "result" in written and under.output_schema is not None
    )
    plan.steps = [_step(one, names, binding, under) for one in written["steps"]]
    plan.result = binding.bound(plan.result_as_written, "result")
    plan.problems = binding.problems or _problems(plan, under)
    return plan


async def read_result(written: Any, under: WrittenUnder) -> WrittenPlan:
    """The result that a model wrote when the steps had not run yet, now that they have."""
    binding = Binding({}, await loaded(written, under.outputs, under.values))
    result = binding.bound(written, "result")
    return WrittenPlan(result=result, problems=binding.problems or result_problems(result, under))


def result_problems(result: Any, under: WrittenUnder) -> list[str]:
    """What in a result does not fit the agent's output schema, as far as it is known."""
    try:
        written = document(result)
    except InvalidInput as error:
        return [f"the result: {error}"]
    if under.output_schema is None:
        return []
    try:
        misfits = _known(written).misfits(json.dumps(under.output_schema))
    except InvalidSchemaError as error:
        raise PermanentError(
            f"the agent's output schema is invalid: {error}", code="output_schema"
        ) from error
    return [f"the result does not fit its schema: {one}" for one in misfits]


def is_certain(result: Any, under: WrittenUnder) -> bool:
    """Whether nothing can be wrong with a result once the steps that it refers to have run."""
    places = document(result).references
    return not places or (under.output_schema is None and not any(one.at for one in places))


def _problems(plan: WrittenPlan, under: WrittenUnder) -> list[str]:
    if not plan.steps and not plan.has_result:
        return ["it has neither steps nor a result"]
    if plan.steps and not under.may_run:
        return ["no more steps run: give a result, and no steps"]
    try:
        Plan(plan.steps, result=plan.result)
    except InvalidInput as error:
        return [str(error)]
    problems = first_of(
        f"the arguments of step {short(one.step.step_id)} do not fit {one.step.tool}: {problem}"
        for one in plan.steps
        if one.step.tool != READ_ON
        for problem in _known(one.step.arguments).problems(under.tools[one.step.tool])
    )
    if plan.steps and plan.result is None:
        return problems
    return problems + result_problems(plan.result, under)


def _step(
    written: Mapping[str, Any], names: Mapping[str, str], binding: Binding, under: WrittenUnder
) -> PlanStep:
    name, tool = written["step"], written["tool"]
    arguments = binding.bound(written["arguments"], name)
    if not isinstance(arguments, dict):
        binding.is_wrong(f"{name}: arguments must be an object, with references inside it")
        arguments = {}
    # Steps of earlier plans are over.
    after = [
        names.get(other, other)
        for other in written.get("after", ())
        if other in names or not binding.is_earlier(other)
    ]
    try:
        if tool == READ_ON:
            arguments = _reading_on(name, arguments, binding, under)
        return step(names[name], tool, arguments=arguments, after=after)
    except InvalidInput as error:
        binding.is_wrong(f"{name}: {error}")
        return step(names[name], tool)


def _reading_on(
    name: str, arguments: dict[str, Any], binding: Binding, under: WrittenUnder
) -> dict[str, Any]:
    """A large output is named by its step: reading on in it cannot wait for a step of the same plan."""
    given = arguments.get("step")
    problems = _known(document(arguments)).problems(under.tools[READ_ON])
    if problems or not isinstance(given, str):
        problems = problems or ["step must be the name of a step"]
        for one in problems:
            binding.is_wrong(f"the arguments of step {name} do not fit {READ_ON}: {one}")
        return arguments
    return reading_on({**arguments, "step": earlier_step(given, under.outputs) or given}, under.outputs)


def _known(given: types.Document) -> Arguments:
    return Arguments.of(read_json(given.body), given.references)


def _described(tool: ToolDefinition) -> str:
    lines = [f"- {tool.name}: {tool.description}", f"  arguments: {tool.arguments_schema}"]
    if tool.output_schema.strip("{ }"):
        lines.append(f"  output: {tool.output_schema}")
    return "\n".join(lines)
