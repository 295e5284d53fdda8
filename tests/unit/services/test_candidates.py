"""Which playbooks are evaluated for a task: those that it could match, compiled once."""

from collections.abc import Mapping
from typing import Any

import pytest
from orchestrator_services.expressions import Expression, compiled
from orchestrator_services.planner import candidates as module
from orchestrator_services.planner.candidates import Candidates, required_text
from orchestrator_services.planner.compilation import compiled_playbook
from orchestrator_services.planner.matching import matching_playbook

from orchestrator.messages.events import PlaybookDefined
from orchestrator.sdk import PermanentError, playbook_defined

NAMES = [f"p{number:04}" for number in range(1_000)]


def definition(name: str, match: str) -> PlaybookDefined:
    source = f"playbook: {name}\nmatch: {match!r}\nsteps: {{a: {{tool: t}}}}"
    return playbook_defined(name, "1", source, 0)


def task(**fields: Any) -> dict[str, Any]:
    return {"goal": "", "context": {}, "agent": "default", "tenant": "default", **fields}


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often playbooks are compiled, and their expressions evaluated."""
    found = {"compiled": 0, "evaluated": 0}
    evaluate = Expression.evaluate

    def counted_evaluate(self: Expression, variables: Mapping[str, Any], *rest: Any) -> Any:
        found["evaluated"] += 1
        return evaluate(self, variables, *rest)

    def counted_compiled(source: str) -> Any:
        found["compiled"] += 1
        return compiled_playbook(source)

    monkeypatch.setattr(Expression, "evaluate", counted_evaluate)
    monkeypatch.setattr(module, "compiled_playbook", counted_compiled)
    return found


async def test_a_thousand_playbooks_of_others_cost_a_task_nothing(counts: dict[str, int]) -> None:
    defined = {name: definition(name, f'task.agent == "{name}" && size(task.goal) > 0') for name in NAMES}

    for name in (*NAMES[:5], *NAMES[:5]):
        found = await matching_playbook(task(agent=name, goal="x"), defined)
        assert found.playbook.playbook == name

    assert counts == {"compiled": 1_000, "evaluated": 10}


async def test_a_new_definition_is_compiled_alone(counts: dict[str, int]) -> None:
    defined = {name: definition(name, f'task.agent == "{name}"') for name in NAMES[:20]}
    with pytest.raises(PermanentError):
        await matching_playbook(task(), defined)

    defined["p0003"] = definition("p0003", 'task.agent == "default"')
    del defined["p0004"]

    assert (await matching_playbook(task(), defined)).playbook.playbook == "p0003"
    assert counts == {"compiled": 21, "evaluated": 1}
    with pytest.raises(PermanentError, match="no playbook matches"):
        await matching_playbook(task(agent="p0004"), defined)


async def test_an_invalid_definition_is_named_and_not_compiled_again(counts: dict[str, int]) -> None:
    defined = {"bad": definition("bad", "task.goal ==")}

    for _ in range(3):
        with pytest.raises(PermanentError, match="bad is invalid"):
            await matching_playbook(task(), defined)

    assert counts["compiled"] == 1


async def test_a_match_that_costs_too_much_for_a_task_is_named() -> None:
    defined = {"costly": definition("costly", "task.context.items.all(i, task.context.items.all(j, i == j))")}

    with pytest.raises(PermanentError, match="match of costly@1 was not evaluated"):
        await matching_playbook(task(context={"items": [0] * 3_000}), defined)


@pytest.mark.parametrize(
    ("match", "required"),
    [
        ('task.agent == "a"', (("agent",), "a")),
        ('"a" == task.agent', (("agent",), "a")),
        ("task.goal.contains('x') && task.context.env == 'prod'", (("context", "env"), "prod")),
        ("task.context.n > 1 && (task.agent == 'a' || true)", None),
        ("task.agent == 'a' || task.agent == 'b'", None),
        ("task.agent == 'a' && true ? true : false", None),
        ("task.agent != 'a'", None),
        ("!(task.agent == 'a')", None),
        ("task.agent == 'a' + 'b'", None),
        ("task.context['env'] == 'a'", None),
        ('has(task.context.x) && task.tenant == "a && b"', (("tenant",), "a && b")),
        ("task.context.items.exists(i, i == 'a' && task.agent == 'a')", None),
    ],
)
def test_the_text_that_an_expression_requires(match: str, required: Any) -> None:
    assert required_text(compiled(match, ("task",))) == required


def test_what_a_task_lacks_is_no_candidate() -> None:
    defined = {"p": definition("p", 'task.context.a.b == "x"')}

    for context in ({}, {"a": "x"}, {"a": {"b": 1}}, {"a": {"b": ["x"]}}):
        assert Candidates().of(task(context=context), defined) == []
    assert len(Candidates().of(task(context={"a": {"b": "x"}}), defined)) == 1
