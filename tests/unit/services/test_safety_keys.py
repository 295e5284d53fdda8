"""What a rule of the safety monitor names decides to which steps it applies: no step, item or tool that is harmless
takes another one out of it."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.messages.types import Document, Reference, ReviewVerdict, ToolDefinition
from orchestrator.messages.values import json_value
from orchestrator.sdk import PlanStep, step
from tests.unit.services.safety import review, write

FILES = 'step.arguments.files.exists(f, f.path.startsWith("/etc"))'
ALLOWED = '!step.arguments.files.all(f, f.path.startsWith("/safe"))'


@pytest.mark.parametrize("odd", [{}, {"p": 1}, {"path": 7}, None, "x"])
@pytest.mark.parametrize(
    "rule",
    [
        FILES,
        ALLOWED,
        f'{FILES} || step.arguments.mode == "all"',
        f'step.arguments.mode == "all" || {FILES}',
        f'step.tool == "t" && ({FILES} || step.arguments.mode == "all")',
        f'(!({ALLOWED}) && step.arguments.mode == "safe") == false',
        f'!({ALLOWED}) && step.arguments.mode == "safe" ? false : true',
        'step.arguments.files.exists(f, step.arguments.path == f.path || f.path.startsWith("/etc"))',
        'step.arguments.files.filter(f, f.path.startsWith("/etc")).size() > 0',
        'step.arguments.files.exists(f, f["path"].startsWith("/etc"))',
        'step.arguments.files[0].path.startsWith("/etc")',
        'step.arguments.files.exists(step, step.path.startsWith("/etc"))',
        '!has(step.arguments.t) && step.arguments.files.exists(f, f.path == "/etc" || step.arguments.t == 1)',
        'has(step.arguments.path) || step.arguments.files.exists(f, f.path.startsWith("/etc"))',
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
async def test_an_item_without_a_key_does_not_turn_a_rule_off(
    rules_file: Path, rule: str, odd: Any, is_first: bool
) -> None:
    write(rules_file, f"reject: [{{when: '{rule}'}}]")
    files = [odd, {"path": "/etc/passwd"}]

    reviewed = await review(step("a", "t", files=files if is_first else files[::-1]))

    assert reviewed.review.verdict is ReviewVerdict.REJECT


@pytest.mark.parametrize(
    "rule",
    [
        FILES,
        ALLOWED,
        f'{FILES} || step.arguments.mode == "all"',
        f'step.tool == "t" && ({FILES} || step.arguments.mode == "all")',
        'step.arguments.files[0].path.startsWith("/etc")',
        'step.arguments["files"].exists(f, f.path == "/etc")',
        "step.arguments.a.exists(x, step.arguments.b.exists(y, x.id == y.id))",
        'step.arguments.path.startsWith("/etc") && step.arguments.mode == "w"',
        'step.arguments.to.path.startsWith("/etc")',
        "step.arguments.files.exists(f, step.arguments.files.exists(g, f.path == g.path && f.id != g.id))",
        'has(step.arguments.to.path) && step.arguments.to.path == "/etc"',
    ],
)
async def test_a_rule_does_not_apply_to_a_step_without_a_key_that_it_names(
    rules_file: Path, rule: str
) -> None:
    write(rules_file, f"reject: [{{when: '{rule}'}}]")

    reviewed = await review(step("a", "other", url="x"))

    assert (reviewed.review.verdict, reviewed.review.reason) == (ReviewVerdict.ACCEPT, "")


@pytest.mark.parametrize(
    "either",
    [
        'step.arguments.path.startsWith("/etc") || step.arguments.mode == "all"',
        'step.arguments.mode == "all" || step.arguments.path.startsWith("/etc")',
    ],
)
async def test_a_missing_argument_does_not_hide_one_that_comes_from_another_step(
    rules_file: Path, either: str
) -> None:
    write(rules_file, f"reject: [{{when: '({either}) && step.tool == \"t\"'}}]")
    given = step("b", "t")
    path = Reference(step_id="a", at="/p", into="/path")
    bound = PlanStep(
        replace(given.step, arguments=Document(body=json_value({"path": None}), references=(path,)))
    )

    reviewed = await review(step("a", "find"), bound)

    assert reviewed.review.verdict is ReviewVerdict.REJECT


async def test_a_list_whose_items_lack_a_key_passes_a_rule_that_asks_for_it(rules_file: Path) -> None:
    rule = 'step.arguments.files.exists(f, has(f.path) && f.path.startsWith("/etc"))'
    write(rules_file, f"reject: [{{when: '{rule}'}}]")

    sound = await review(step("a", "t", files=[{"p": 1}, {"path": "/data"}]))
    broken = await review(step("a", "t", files=[{"p": 1}, {"path": "/etc/passwd"}]))

    assert sound.review.verdict is ReviewVerdict.ACCEPT
    assert broken.review.reason == f"step a: {rule}"


async def test_a_rule_about_what_no_step_has_rejects_and_says_so(rules_file: Path) -> None:
    write(rules_file, "reject: [{when: 'step.argument.path.startsWith(\"/etc\")'}]")

    reviewed = await review(step("a", "t", path="/etc"))

    assert "argument not found; has(…) asks whether there is a key" in reviewed.review.reason


SHELL = 'step.tool == "i.sh" && step.arguments.command.contains("rm ")'


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (step("a", "i.sh", command="rm -rf /"), "step a: {}"),
        (step("a", capability="sh", command="rm -rf /"), "step a, if it runs i.sh: {}"),
        (step("a", "t", fallback=("u", "i.sh"), command="rm -rf /"), "step a, if it runs i.sh: {}"),
        (step("a", "i.sh", command="ls"), ""),
        (step("a", capability="sh", command="ls"), ""),
        (step("a", capability="other", command="rm -rf /"), ""),
    ],
)
@pytest.mark.parametrize(
    "rule", [SHELL, 'plan.steps.exists(s, "i.sh" in s.may_run && s.arguments.command != "ls")']
)
async def test_a_rule_about_a_tool_is_about_all_that_the_step_may_run(
    rules_file: Path, rule: str, given: PlanStep, reason: str
) -> None:
    write(rules_file, f"reject: [{{when: '{rule}'}}]")
    tools = {"i.sh": ToolDefinition(name="i.sh", capabilities=("sh",))}

    reviewed = await review(given, tools=tools)

    expected = reason if rule == SHELL else reason and "the plan: {}"
    assert reviewed.review.reason == expected.format(rule)


async def test_a_step_with_more_fallbacks_than_are_reviewed_is_rejected(rules_file: Path) -> None:
    write(rules_file, f"reject: [{{when: '{SHELL}'}}]")
    names = tuple(f"t{number}" for number in range(101))

    reviewed = await review(step("a", "t", fallback=names, command="ls"))

    assert reviewed.review.reason == "step a has 101 fallbacks; at most 100 are reviewed"


async def test_a_costly_rule_does_not_apply_to_a_step_without_a_key_either(
    rules_file: Path,
) -> None:
    files = "step.arguments.files"
    write(rules_file, f"reject: [{{when: '{files}.exists(a, {files}.exists(b, a.path == b.path))'}}]")

    without = await review(step("a", "t", rows=[0] * 2_000))
    with_one = await review(step("a", "t", files=[{"p": 1}] * 2_000))

    assert without.review.verdict is ReviewVerdict.ACCEPT
    assert "path not found; has(…)" in with_one.review.reason
