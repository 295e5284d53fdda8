"""Playbooks with their expressions compiled."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.sdk import ConfigurationError, Criterion, Playbook, parse_playbooks, steps_in
from orchestrator_services.expressions import Expression, ExpressionError, compiled

MATCH_VARIABLES: Final = ("task",)
SUCCESS_VARIABLES: Final = ("outputs", "result", "goal")


@dataclass(frozen=True)
class CompiledPlaybook:
    """A playbook that can be matched and rendered."""

    playbook: Playbook
    match: Expression | None
    """None: the playbook is used by name only."""
    criteria: tuple[Criterion, ...]

    def matches(self, task: dict[str, Any]) -> bool:
        """Whether the playbook is for a task. Raises `ExpressionError`, also for a key that the task lacks."""
        return self.match is not None and self.match.holds({"task": task})


def compiled_playbook(source: str) -> CompiledPlaybook:
    """The playbook of a YAML text. Raises `ConfigurationError` that lists every mistake.

    A large one takes a second: the planner has `matching.prepared` do it.
    """
    found = parse_playbooks(source, "playbook")
    if len(found) != 1:
        raise ConfigurationError(f"the text must define exactly one playbook, not {len(found)}")
    (playbook,) = found
    problems: list[str] = []
    match = None
    if playbook.match:
        match = _compiled("match", playbook.match, MATCH_VARIABLES, problems)
    criteria = tuple(_criteria(playbook, problems))
    if problems:
        raise ConfigurationError(*problems)
    return CompiledPlaybook(playbook, match, criteria)


def _criteria(playbook: Playbook, problems: list[str]) -> Iterator[Criterion]:
    for source in playbook.success:
        expression = _compiled("success", source, SUCCESS_VARIABLES, problems)
        if expression is None:
            continue
        unknown = (expression.members("outputs") or frozenset()) - playbook.steps.keys()
        problems += [
            f"success: {source!r} uses outputs.{name}, but step {name} does not exist"
            for name in sorted(unknown)
        ]
        needed = steps_needed(expression, playbook.steps, steps_in(playbook.result))
        yield Criterion(expression=source, steps=needed)


def steps_needed(
    expression: Expression, steps: Iterable[str], behind_result: frozenset[str]
) -> tuple[str, ...]:
    """Steps whose outputs a success expression needs; empty means all.

    `behind_result`: the steps that the result uses. An expression that uses the result needs them.
    """
    members = expression.members("outputs")
    if members is None:
        return ()
    needed = members | (behind_result if expression.names("result") else frozenset())
    return tuple(name for name in steps if name in needed)


def _compiled(key: str, source: str, variables: tuple[str, ...], problems: list[str]) -> Expression | None:
    try:
        return compiled(source, variables)
    except ExpressionError as error:
        problems.append(f"{key}: {error}")
        return None
