"""Playbooks: plans written in YAML."""

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Final, Literal

import pydantic

from orchestrator.messages.texts import named, short
from orchestrator.sdk.grammar import Duration, Grammar, Name, Retry, StepName, Version
from orchestrator.sdk.templates import steps_in, template_problems
from orchestrator.sdk.yaml_documents import Path

JsonType = Literal["string", "integer", "number", "boolean", "object", "array"]

_PYTHON_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}


def is_of_type(value: Any, json_type: str) -> bool:
    """Whether JSON data is of a JSON Schema type. True and false are not numbers."""
    if isinstance(value, bool):
        return json_type == "boolean"
    return isinstance(value, _PYTHON_TYPES[json_type])


class Input(Grammar):
    """An input that the playbook takes from the task's context."""

    type: JsonType = pydantic.Field(description="JSON type of the input.")
    default: Any = pydantic.Field(
        None, description="Value if the context lacks it. An input without a default is required."
    )
    description: str = pydantic.Field(default="", description="What it is, for people.")

    @property
    def is_required(self) -> bool:
        return "default" not in self.model_fields_set


class PlaybookStep(Grammar):
    """A step: a tool, by name or by capability, and its arguments."""

    model_config = pydantic.ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["tool"]}, {"required": ["capability"]}]}
    )

    tool: str = pydantic.Field(default="", description="Name of the tool.")
    capability: str = pydantic.Field("", description="What the tool must be able to do, if it is not named.")
    arguments: dict[str, Any] = pydantic.Field(
        default_factory=dict,
        description="Arguments by name. `${input}` is filled when planning, "
        "`{$from: step, at: /pointer}` from that step's output when the step runs.",
    )
    retry: Retry | None = pydantic.Field(default=None, description="Overrides the agent's retry policy.")
    timeout: Duration = pydantic.Field(
        default=0, description="Timeout of one run; the tool's own if left out."
    )
    after: list[str] = pydantic.Field(
        default_factory=list, description="Steps to wait for, besides those whose outputs are used."
    )
    fallback: list[str] = pydantic.Field(
        default_factory=list, description="Tools to try in this order if the first keeps failing."
    )

    @pydantic.model_validator(mode="after")
    def _one_way_to_find_the_tool(self) -> "PlaybookStep":
        if bool(self.tool) == bool(self.capability):
            raise ValueError("set exactly one of tool and capability")
        return self

    @property
    def needs(self) -> frozenset[str]:
        """Steps that must complete before this one starts."""
        return steps_in(self.arguments) | frozenset(self.after)


class Playbook(Grammar):
    """A plan: which tasks it is for, what it needs, its steps, and what success is."""

    playbook: Name = pydantic.Field(description="Name of the playbook.")
    version: Version = pydantic.Field(default="1", description="Version of the playbook.")
    description: str = pydantic.Field(default="", description="What it is for.")
    match: str = pydantic.Field(
        default="",
        description="CEL over task.goal, task.context, task.agent and task.tenant: true for the tasks that it "
        "is for. Without it the playbook is used by name only.",
    )
    inputs: dict[StepName, Input] = pydantic.Field(
        default_factory=dict, description="What it takes from the task's context."
    )
    steps: dict[StepName, PlaybookStep] = pydantic.Field(min_length=1, description="The steps by name.")
    success: Annotated[
        list[str],
        pydantic.BeforeValidator(lambda given: [given] if isinstance(given, str) else given),
        pydantic.WithJsonSchema(
            {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
        ),
    ] = pydantic.Field(
        default_factory=list,
        description="CEL over outputs.STEP, result and goal that must be true for the goal to be met.",
    )
    result: Any = pydantic.Field(default=None, description="What the task returns, written like arguments.")

    @property
    def label(self) -> str:
        """NAME@VERSION."""
        return f"{self.playbook}@{self.version}"

    def mistakes(self) -> Iterator[tuple[Path, str]]:
        """What is wrong beyond the grammar: unknown names, defaults of a wrong type, cycles."""
        for name, declared in self.inputs.items():
            if declared.default is not None and not is_of_type(declared.default, declared.type):
                yield ("inputs", name, "default"), f"the default must be of the input's type, {declared.type}"
        for name, step in self.steps.items():
            place: Path = ("steps", name)
            yield from template_problems(step.arguments, (*place, "arguments"), self.inputs, self.steps)
            for index, other in enumerate(step.after):
                if other not in self.steps:
                    known = named(self.steps)
                    yield (*place, "after", index), f"step {short(other)} not found; the steps are {known}"
        yield from template_problems(self.result, ("result",), self.inputs, self.steps)
        yield from self._cycle()

    def _cycle(self) -> Iterator[tuple[Path, str]]:
        needs = {name: step.needs & self.steps.keys() for name, step in self.steps.items()}
        try:
            TopologicalSorter(needs).prepare()
        except CycleError as error:
            circle = list(reversed(error.args[1]))
            yield (
                ("steps", circle[0]),
                f"these steps wait for each other in a cycle: {' -> '.join(circle)}; remove one dependency",
            )


def playbook_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a playbook, for editors and checks."""
    schema = Playbook.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
