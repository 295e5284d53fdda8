"""How planners write plans."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeVar

from orchestrator.messages import types
from orchestrator.messages.filling import MOST_REFERENCES
from orchestrator.messages.plans import problems_of
from orchestrator.messages.texts import short
from orchestrator.messages.types import Criterion, Document, Reference, RetryPolicy
from orchestrator.messages.values import json_value
from orchestrator.sdk.durations import milliseconds
from orchestrator.sdk.errors import InvalidInput
from orchestrator.sdk.tools import Tool

T = TypeVar("T")


@dataclass(frozen=True)
class Output:
    """The output of a step, or a part of it. It is filled in when a later step runs."""

    step_id: str
    pointer: str = ""

    def at(self, pointer: str) -> "Output":
        """The part at a JSON pointer (RFC 6901) below this one."""
        return Output(self.step_id, self.pointer + pointer)


@dataclass(frozen=True)
class PlanStep:
    """A planned step. `output` stands for what it will return."""

    step: types.Step

    @property
    def output(self) -> Output:
        return Output(self.step.step_id)


def document(content: Any) -> Document:
    """A JSON document made of plain data, with `Output` at any depth.

    Raises `InvalidInput` for one that is too large, has too many references, or has one at too long a pointer.
    """
    written = _Written()
    body = written.without_outputs(content, ())
    return Document(body=json_value(body), references=tuple(written.references))


LONGEST_POINTER: Final = 1_000
"""Characters of the place of a reference: the keys above it are repeated for each."""
LARGEST_BODY: Final = 64 << 20
"""Characters of a document. The same data may stand in many places of it, and is written out in each."""


class _Written:
    """A document that is being written."""

    def __init__(self) -> None:
        self.references: list[Reference] = []
        self._size = 0

    def without_outputs(self, content: Any, path: tuple[Any, ...]) -> Any:
        if isinstance(content, PlanStep):
            content = content.output
        if isinstance(content, Output):
            self._refer(content, path)
            return None
        self._count(1 + (len(content) if isinstance(content, str) else 0))
        if isinstance(content, Mapping):
            return {key: self._below(value, path, str(key)) for key, value in content.items()}
        if isinstance(content, list | tuple):
            return [self._below(value, path, index) for index, value in enumerate(content)]
        return content

    def _below(self, content: Any, path: tuple[Any, ...], key: str | int) -> Any:
        self._count(len(key) if isinstance(key, str) else 0)
        return self.without_outputs(content, (*path, key))

    def _refer(self, output: Output, path: tuple[Any, ...]) -> None:
        if sum(len(key) if isinstance(key, str) else 1 for key in path) + len(path) > LONGEST_POINTER:
            raise InvalidInput(
                f"the place of a reference, below {short(str(path[0]))}, has more than {LONGEST_POINTER:,} characters: "
                "shorten the keys above it",
                code="document_too_large",
            )
        if len(self.references) == MOST_REFERENCES:
            raise InvalidInput(
                f"there are more than {MOST_REFERENCES:,} references in one document",
                code="document_too_large",
            )
        into = "".join(f"/{_escaped(str(key))}" for key in path)
        self.references.append(Reference(into=into, step_id=output.step_id, at=output.pointer))

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > LARGEST_BODY:
            raise InvalidInput(
                f"a document has more than {LARGEST_BODY >> 20} MiB: keep large data in files or the outputs of steps",
                code="document_too_large",
            )


def _escaped(token: str) -> str:
    return token.replace("~", "~0").replace("/", "~1")


def retry_policy(
    attempts: int = 3,
    initial: str | int = "500ms",
    longest: str | int = "30s",
    multiplier: float = 2.0,
) -> RetryPolicy:
    """A retry policy. Durations are text such as `500ms`, or milliseconds."""
    return RetryPolicy(
        attempts=attempts,
        initial_ms=milliseconds(initial),
        max_ms=milliseconds(longest),
        multiplier=multiplier,
    )


def step(
    step_id: str,
    use: Tool | str = "",
    /,
    *,
    capability: str = "",
    after: Iterable[str | PlanStep] = (),
    retry: RetryPolicy | None = None,
    timeout: str | int = 0,
    fallback: Iterable[str] = (),
    arguments: Mapping[str, Any] | None = None,
    **more_arguments: Any,
) -> PlanStep:
    """A step that runs a tool (its name, or the tool itself), or any tool with a capability.

    Its arguments are the other keyword arguments, or `arguments` where a name collides. An `Output` among them
    is filled in when the step runs. `timeout` 0 is the tool's own.
    """
    tool_name = use.name if isinstance(use, Tool) else use
    return PlanStep(
        types.Step(
            step_id=step_id,
            tool=tool_name,
            capability=capability,
            arguments=document({**(arguments or {}), **more_arguments}),
            after=tuple(name.step.step_id if isinstance(name, PlanStep) else name for name in after),
            retry=retry,
            timeout_ms=milliseconds(timeout),
            fallback=tuple(fallback),
        )
    )


MOST_ITEMS: Final = 10_000
"""Steps, criteria or messages of one plan: an iterator of a planner may have no end."""


def _bounded(items: Iterable[T], what: str) -> tuple[T, ...]:
    found = tuple(islice(items, MOST_ITEMS + 1))
    if len(found) > MOST_ITEMS:
        raise InvalidInput(f"a plan has at most {MOST_ITEMS} {what}", code="invalid_plan")
    return found


_NO_RESULT: Final = object()


class Plan:
    """A plan: its steps, what it returns, and what must be true for success.

    With `open`, the planner is asked again when the steps have settled: it sees what they came to, and decides
    what follows. An open plan that has a result is done if all its steps succeed. A plan without steps ends the
    session with its result, which may be None; with steps None is no result.

    `messages` (JSON data) are added to the session's conversation, which the planner gets with the next turn.
    `memo` is kept beside it in the process, for as long as there is room.

    Raises `InvalidInput` that lists every mistake: cycles, unknown steps, duplicate names.
    """

    def __init__(
        self,
        steps: Iterable[PlanStep] = (),
        *,
        result: Any = _NO_RESULT,
        open: bool = False,
        success: str | Iterable[Criterion] = (),
        rationale: str = "",
        playbook: str = "",
        messages: Iterable[Any] = (),
        memo: Any = None,
    ) -> None:
        self.messages = _bounded(messages, "messages")
        self.memo = memo
        criteria = (
            (Criterion(expression=success),) if isinstance(success, str) else _bounded(success, "criteria")
        )
        planned = tuple(one.step for one in _bounded(steps, "steps"))
        has_none = result is _NO_RESULT or (result is None and bool(planned))
        self.plan = types.Plan(
            steps=planned,
            result=None if has_none else document(result),
            open=open,
            criteria=criteria,
            rationale=rationale,
            playbook=playbook,
        )
        if problems := problems_of(self.plan):
            raise InvalidInput("; ".join(problems), code="invalid_plan")
