"""References to outputs, as models write them into plans: `{"$output": "step", "at": "/pointer"}`."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from orchestrator.sdk import ContractError, Output, Values
from orchestrator.sdk.messages import MOST_PROBLEMS, Room, fill_content, first_of, named, short, types

OUTPUT: Final = "$output"
_AT: Final = "at"
_LONGEST_PROBLEM: Final = 500


def planned_step(revision: int, name: str) -> str:
    """The step that a plan calls `name`: no other plan of the session has a step of that name."""
    return f"plan{revision}-{name}"


def is_of_plan(step: str, revision: int) -> bool:
    """Whether a step belongs to the plan of a revision."""
    return step.startswith(planned_step(revision, ""))


def earlier_step(name: str, outputs: Mapping[str, Any]) -> str | None:
    """The step of an earlier plan that is meant: by its own name, or the last one that its plan called so."""
    return _earlier_steps(outputs).get(name)


def _earlier_steps(outputs: Mapping[str, Any]) -> dict[str, str]:
    """Each name that a step of an earlier plan goes by, and the step."""
    return {step.partition("-")[2]: step for step in outputs} | {step: step for step in outputs}


class Binding:
    """Fills in what a plan refers to: outputs of its own steps when they run, those of earlier plans at once."""

    def __init__(self, steps: Mapping[str, str], earlier: Mapping[str, Any]) -> None:
        """`steps` are those of the plan by the names that it gives them; `earlier` are loaded outputs by step."""
        self._problems: list[str] = []
        self._steps = steps
        self._earlier = earlier
        self._earlier_steps = _earlier_steps(earlier)
        self._known = named((*steps, *earlier))
        self._room = Room()
        """For earlier outputs in all steps of the plan together: they are written out in it."""

    @property
    def problems(self) -> list[str]:
        """What is wrong, as a model is told: a plan may have thousands of references and steps."""
        return first_of(self._problems)

    def is_wrong(self, problem: str) -> None:
        """Keeps what is wrong, unless so much is that nobody reads it."""
        if len(self._problems) <= MOST_PROBLEMS:
            self._problems.append(short(problem, _LONGEST_PROBLEM))

    def is_earlier(self, name: str) -> bool:
        """Whether a name is that of a step of an earlier plan."""
        return name in self._earlier_steps

    def bound(self, content: Any, place: str) -> Any:
        """The content, with an `Output` or a literal value for each reference in it."""
        match content:
            case {"$output": name}:
                return self._output(str(name), content, place)
            case Mapping():
                return {
                    key: self.bound(value, f"{place}.{short(str(key))}") for key, value in content.items()
                }
            case list():
                return [self.bound(value, f"{place}.{index}") for index, value in enumerate(content)]
            case _:
                return content

    def _output(self, name: str, reference: Mapping[str, Any], place: str) -> Any:
        at = reference.get(_AT) or ""
        if reference.keys() - {OUTPUT, _AT} or not isinstance(at, str) or (at and not at.startswith("/")):
            self.is_wrong(
                f'{place}: a reference is {{"{OUTPUT}": "STEP"}}, with "{_AT}": "/POINTER" for a part of the output'
            )
            return None
        if name in self._steps:
            return Output(self._steps[name], at)
        step = self._earlier_steps.get(name)
        if step is None:
            self.is_wrong(
                f"{place}: there is no output of a step {short(name)}; there are those of {self._known}"
            )
            return None
        try:
            part = fill_content(None, [types.Reference(step_id=step, at=at)], self._earlier)
            self._room.take((step, at), lambda: part)
        except ContractError as error:
            self.is_wrong(f"{place}: {error}")
            return None
        return part


async def loaded(content: Any, outputs: Mapping[str, types.Value], values: Values) -> dict[str, Any]:
    """The earlier outputs that the content may refer to, by step. The others are not loaded, and null."""
    steps = _earlier_steps(outputs)
    wanted = {steps.get(name) for name in _names(content)}
    return {step: await values.load(value) if step in wanted else None for step, value in outputs.items()}


def _names(content: Any) -> Iterator[str]:
    match content:
        case {"$output": name}:
            yield str(name)
        case Mapping():
            for value in content.values():
                yield from _names(value)
        case list():
            for value in content:
                yield from _names(value)
        case _:
            pass
