"""Which playbooks are evaluated for a task: those that it could match, compiled once, and never on the event loop."""

import asyncio
import threading
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from orchestrator_services.expressions import Expression, compiled
from orchestrator_services.planner import candidates as module
from orchestrator_services.planner.candidates import Candidates, required_text
from orchestrator_services.planner.compilation import compiled_playbook
from orchestrator_services.planner.matching import Playbooks, matching_playbook
from orchestrator_services.planner.matching import playbooks as of_this_process
from orchestrator_services.strategies.routes import routes

from orchestrator.messages.events import PlaybookDefined
from orchestrator.messages.types import AgentProfile
from orchestrator.sdk import PermanentError, playbook_defined

NAMES = [f"p{number:04}" for number in range(1_000)]


def definition(name: str, match: str) -> PlaybookDefined:
    source = f"playbook: {name}\nmatch: {match!r}\nsteps: {{a: {{tool: t}}}}"
    return playbook_defined(name, "1", source, 0)


def described(name: str, match: str) -> PlaybookDefined:
    source = f"playbook: {name}\ndescription: D\nmatch: {match!r}\nsteps: {{a: {{tool: t}}}}"
    return playbook_defined(name, "1", source, 0)


def task(**fields: Any) -> dict[str, Any]:
    return {"goal": "", "context": {}, "agent": "default", "tenant": "default", **fields}


async def found_for(
    a_task: dict[str, Any], defined: Mapping[str, PlaybookDefined], playbooks: Playbooks = of_this_process
) -> str:
    found = await matching_playbook(a_task, await playbooks.prepared(defined))
    return found.playbook.playbook


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
        assert await found_for(task(agent=name, goal="x"), defined) == name

    assert counts == {"compiled": 1_000, "evaluated": 10}


async def test_a_new_definition_is_compiled_alone(counts: dict[str, int]) -> None:
    defined = {name: definition(name, f'task.agent == "{name}"') for name in NAMES[:20]}
    with pytest.raises(PermanentError):
        await found_for(task(), defined)

    defined["p0003"] = definition("p0003", 'task.agent == "default"')
    del defined["p0004"]

    assert await found_for(task(), defined) == "p0003"
    assert counts == {"compiled": 21, "evaluated": 1}
    with pytest.raises(PermanentError, match="no playbook matches"):
        await found_for(task(agent="p0004"), defined)


async def test_an_invalid_definition_is_named_and_not_compiled_again(counts: dict[str, int]) -> None:
    defined = {"bad": definition("bad", "task.goal ==")}

    for _ in range(3):
        with pytest.raises(PermanentError, match="bad is invalid"):
            await found_for(task(), defined)

    assert counts["compiled"] == 1


async def test_a_match_that_costs_too_much_for_a_task_is_named() -> None:
    defined = {"costly": definition("costly", "task.context.items.all(i, task.context.items.all(j, i == j))")}

    with pytest.raises(PermanentError, match="match of costly@1 was not evaluated"):
        await found_for(task(context={"items": [0] * 3_000}), defined)


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
        assert Candidates().updated(defined).of(task(context=context)) == []
    assert len(Candidates().updated(defined).of(task(context={"a": {"b": "x"}}))) == 1


class Gate:
    """Compiles a playbook when it may, and knows which threads have asked."""

    def __init__(self) -> None:
        self.threads: set[int] = set()
        self.begun = threading.Event()
        self.may_go_on = threading.Event()
        self.sources: list[str] = []

    def __call__(self, source: str) -> Any:
        self.threads.add(threading.get_ident())
        self.sources.append(source)
        self.begun.set()
        assert self.may_go_on.wait(30), "nothing on the event loop went on while a playbook was compiled"
        return compiled_playbook(source)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    found = Gate()
    monkeypatch.setattr(module, "compiled_playbook", found)
    return found


async def test_while_playbooks_are_compiled_the_loop_serves_others_that_need_them(gate: Gate) -> None:
    playbooks = Playbooks()
    defined = {"p": definition("p", 'task.agent == "default"')}

    first = asyncio.create_task(found_for(task(), defined, playbooks))
    await asyncio.to_thread(gate.begun.wait)
    second = asyncio.create_task(found_for(task(), defined, playbooks))
    await asyncio.sleep(0)
    gate.may_go_on.set()

    assert [await first, await second] == ["p", "p"]
    assert len(gate.sources) == 1
    assert threading.get_ident() not in gate.threads


async def test_a_plan_that_is_given_up_leaves_what_is_compiled_to_the_next(gate: Gate) -> None:
    playbooks = Playbooks()
    defined = {"p": definition("p", 'task.agent == "default"')}

    first = asyncio.create_task(found_for(task(), defined, playbooks))
    await asyncio.to_thread(gate.begun.wait)
    first.cancel()
    second = asyncio.create_task(found_for(task(), defined, playbooks))
    gate.may_go_on.set()

    assert await second == "p"
    assert len(gate.sources) == 1


def router_with(patterns: tuple[str, ...], defined: Mapping[str, PlaybookDefined]) -> Any:
    return SimpleNamespace(agents={"desk": AgentProfile(name="desk", routes=patterns)}, playbooks=defined)


async def test_routes_are_compiled_once_however_many_there_are(counts: dict[str, int]) -> None:
    valid = {name: described(name, "true") for name in NAMES}
    defined = {**valid, "bad": described("bad", "task.goal ==")}

    for _ in range(3):
        found = await routes(router_with((), defined), "desk")
        assert [route.name for route in found] == [f"playbook {name}" for name in NAMES]

    assert counts["compiled"] == len(defined)


async def test_routes_are_compiled_outside_of_the_event_loop(gate: Gate) -> None:
    gate.may_go_on.set()

    await routes(router_with(("one",), {"one": described("one", "true || false")}), "desk")

    assert gate.threads
    assert threading.get_ident() not in gate.threads


async def test_a_router_whose_patterns_fit_no_playbook_has_none_compiled(counts: dict[str, int]) -> None:
    defined = {"far": described("far", "true && true")}

    assert await routes(router_with(("agent *",), defined), "desk") == []

    assert counts["compiled"] == 0
