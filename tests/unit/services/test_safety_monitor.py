"""The safety monitor: a plan that breaks a rule is rejected before a step of it runs."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from orchestrator_services import expression_runs

from orchestrator.messages import events
from orchestrator.messages.types import Document, Reference, ReviewVerdict, ToolDefinition
from orchestrator.messages.values import json_value
from orchestrator.sdk import Isolation, Output, PlanStep, step
from tests.unit.services.safety import review, write

pytestmark = pytest.mark.usefixtures("rules_file")


async def test_a_plan_that_breaks_no_rule_is_accepted() -> None:
    reviewed = await review(step("a", "files.read", path="/data/x"), step("b", "http.get", url="u"))

    assert isinstance(reviewed, events.PlanReviewed)
    assert (reviewed.plan_call_id, reviewed.revision) == ("plan-call", 2)
    assert (reviewed.review.reviewer, reviewed.review.verdict) == ("safety", ReviewVerdict.ACCEPT)


async def test_a_plan_is_rejected_with_every_rule_that_it_breaks() -> None:
    reviewed = await review(
        step("a", "files.read", path="/etc/passwd"),
        step("b", "shell.run", command="x"),
        step("c", "http.get", fallback=("files.delete",)),
        step("d", "http.get"),
    )

    assert reviewed.review.verdict is ReviewVerdict.REJECT
    assert reviewed.review.reason.split("; ") == [
        "step b may run shell.run, which the rules forbid (shell.*)",
        "step c may run files.delete, which the rules forbid (files.delete)",
        "the plan has 4 steps, at most 3 are allowed",
        "step a: system files are none of an agent's business",
        'the plan: size(plan.steps.filter(s, s.tool == "http.get")) > 1',
    ]


async def test_a_capability_that_a_forbidden_tool_has_is_rejected() -> None:
    shell = ToolDefinition(name="shell.run", capabilities=("run",))

    reviewed = await review(step("a", capability="run"), tools={"shell.run": shell})

    assert reviewed.review.verdict is ReviewVerdict.REJECT


async def test_a_rule_that_cannot_be_evaluated_rejects() -> None:
    reviewed = await review(step("a", "find"), step("b", "files.read", path=Output("a")))

    assert reviewed.review.verdict is ReviewVerdict.REJECT
    assert "cannot be evaluated" in reviewed.review.reason


PLAIN = step("a", "http.get", url="http://x")
OTHER = step("b", "files.list")


@pytest.mark.parametrize("steps", [(PLAIN,), (PLAIN, OTHER), (OTHER, PLAIN)])
@pytest.mark.parametrize(
    "rule",
    [
        'plan.steps.exists(s, s.arguments.url.startsWith("http:"))',
        'plan.steps.filter(s, s.arguments.url.startsWith("http:")).size() > 0',
        '!plan.steps.all(s, s.arguments.url.startsWith("https:"))',
        'step.tool != "" && plan.steps.exists(s, s.arguments.url.startsWith("http:"))',
        'plan.steps.exists(s, has(s.arguments.url) && s.arguments.url.startsWith("http:"))',
    ],
)
async def test_a_step_without_a_key_does_not_turn_a_rule_off(
    rules_file: Path, rule: str, steps: tuple[PlanStep, ...]
) -> None:
    write(rules_file, f"reject: [{{when: '{rule}'}}]")

    assert (await review(*steps)).review.verdict is ReviewVerdict.REJECT


async def test_a_rule_about_the_plan_may_ask_for_keys(rules_file: Path) -> None:
    write(
        rules_file,
        "reject: [{when: 'plan.steps.exists(s, has(s.arguments.url) && s.arguments.url.startsWith(\"http:\"))'}]",
    )

    reviewed = await review(OTHER, step("a", "http.get", url="https://x"))

    assert reviewed.review.verdict is ReviewVerdict.ACCEPT


@pytest.mark.parametrize(
    ("body", "into"),
    [({}, "/path"), ({}, ""), (None, ""), ({}, "/a/path"), ("x", "/0"), ({"path": "/data"}, "/path")],
)
async def test_what_comes_from_another_step_is_null_to_rules_wherever_it_goes(
    rules_file: Path, body: Any, into: str
) -> None:
    write(rules_file, 'reject: [{when: \'step.id == "b" && step.arguments.path.startsWith("/etc")\'}]')
    given = step("b", "files.read")
    arguments = Document(body=json_value(body), references=(Reference(step_id="a", at="/p", into=into),))
    bound = PlanStep(replace(given.step, arguments=arguments))

    reviewed = await review(step("a", "find"), bound)

    assert "cannot be evaluated" in reviewed.review.reason


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "cannot be read: No such file or directory"),
        ("max_steps: [", "invalid YAML"),
        ("max_step: 3", "max_step: Extra inputs are not permitted"),
        ("reject: [{when: 'stp.tool'}, {when: '1 +'}]", "reject.1.when: '1 +' is not valid CEL"),
    ],
)
async def test_rules_that_cannot_be_read_reject_everything(
    rules_file: Path, text: str | None, problem: str
) -> None:
    write(rules_file, text)

    reviewed = await review(step("a", "t"))

    assert reviewed.review.verdict is ReviewVerdict.REJECT
    assert problem in reviewed.review.reason


async def test_without_rules_only_the_number_of_steps_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORCHESTRATOR_SAFETY_RULES")

    accepted = await review(*(step(f"s{number}", "shell.run") for number in range(100)))
    rejected = await review(*(step(f"s{number}", "t") for number in range(101)))

    assert accepted.review.verdict is ReviewVerdict.ACCEPT
    assert rejected.review.verdict is ReviewVerdict.REJECT


async def test_a_rule_that_takes_too_long_rejects(rules_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expression_runs, "LIMITS", Isolation(memory="128MB", cpu="1s"))
    over = "step.arguments.rows"
    write(rules_file, f"reject: [{{when: '{over}.all(a, {over}.all(b, {over}.all(c, true)))'}}]")

    reviewed = await review(step("a", "t", rows=[0] * 2_000))

    assert reviewed.review.verdict is ReviewVerdict.REJECT
    assert "cannot be evaluated: " in reviewed.review.reason
    assert "make it simpler" in reviewed.review.reason
