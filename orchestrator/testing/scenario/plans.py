"""Agents, plans and failures in few words, for scenarios."""

from collections.abc import Mapping
from typing import Any, Final

from orchestrator.messages.types import (
    AgentProfile,
    Criterion,
    Document,
    Failure,
    FailureKind,
    Limits,
    OriginalMessage,
    Plan,
    Reference,
    Step,
    Usage,
)
from orchestrator.messages.values import json_value

ONE_RUN: Final = Usage(tool_calls=1, duration_ms=5)
ORIGINAL: Final = OriginalMessage(
    topic="tasks", partition=3, offset=17, key=b"k", value=b"\x00task", headers=()
)
"""The record of every submitted task."""


def agent(**fields: Any) -> AgentProfile:
    return AgentProfile(name="default", **fields)


def bounded(**limits: Any) -> AgentProfile:
    """An agent with these limits."""
    return agent(limits=Limits(**limits))


def step(
    name: str, *, needs: tuple[str, ...] = (), uses: Mapping[str, str] | None = None, **fields: Any
) -> Step:
    """A step that runs the tool `work`; `needs` come before it, `uses` are bound into its arguments."""
    references = tuple(Reference(into=f"/{into}", step_id=name) for into, name in (uses or {}).items())
    body = json_value(dict.fromkeys(uses or {}))
    arguments = Document(body=body, references=references)
    if "capability" not in fields:
        fields.setdefault("tool", "work")
    return Step(step_id=name, arguments=arguments, after=needs, **fields)


def plan(
    *steps: Step | str,
    result: str = "",
    answer: Any = None,
    criteria: tuple[str, ...] = (),
    open: bool = False,
) -> Plan:
    """A plan of these steps; `result` names the step whose output is the task's result, `answer` is one itself."""
    document = Document(references=(Reference(step_id=result),)) if result else None
    if answer is not None:
        document = Document(body=json_value(answer))
    return Plan(
        steps=tuple(step(one) if isinstance(one, str) else one for one in steps),
        result=document,
        open=open,
        criteria=tuple(Criterion(expression=f"outputs.{name}", steps=(name,)) for name in criteria),
    )


def failure(kind: FailureKind = FailureKind.TRANSIENT) -> Failure:
    return Failure(kind=kind, code="broken", message="it did not work")
