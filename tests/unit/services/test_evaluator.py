"""The evaluator: how far the goal is met, why, and what to do next."""

from typing import Any

import pytest
from orchestrator_services import evaluator, expression_runs

from orchestrator.messages import commands, events
from orchestrator.messages.types import CallKind, Criterion, EvaluationPoint, FailureKind, NextMove, Value
from orchestrator.messages.values import json_value
from orchestrator.sdk import Evaluation, EvaluationRequest, Isolation, Output, document
from orchestrator.sdk import evaluator as declare_evaluator
from tests.unit.services.support import START, World, call, command, plain


def evaluation(*criteria: Criterion | str, **fields: Any) -> commands.EvaluateTask:
    given = {
        "call": call(CallKind.EVALUATION),
        "evaluator": "criteria",
        "point": EvaluationPoint.PLAN,
        "goal": "find it",
        "criteria": tuple(Criterion(expression=one) if isinstance(one, str) else one for one in criteria),
        "outputs": {"count": json_value({"n": 3}), "text": json_value("found")},
        **fields,
    }
    message: commands.EvaluateTask = command(commands.EvaluateTask, **given)
    return message


async def evaluate(*criteria: Criterion | str, world: World | None = None, **fields: Any) -> Any:
    return await (world or World(evaluator)).reply(evaluator.service, evaluation(*criteria, **fields))


async def test_when_every_criterion_holds_the_task_is_finished() -> None:
    reply = await evaluate("outputs.count.n == 3", "outputs.text == 'found' && goal == 'find it'")

    assert isinstance(reply, events.TaskEvaluated)
    assert reply.evaluation.goal_met
    assert reply.evaluation.score == 1.0
    assert reply.evaluation.next is NextMove.FINISH
    assert reply.evaluation.reason == "2 of 2 criteria met"


async def test_what_is_not_met_is_named_and_asks_for_a_revision() -> None:
    reply = await evaluate(
        "outputs.count.n > 5", "outputs.count.n > 1", "outputs.count.m > 1", "outputs.text"
    )

    found = reply.evaluation
    assert not found.goal_met
    assert found.score == 0.25
    assert found.next is NextMove.REVISE
    assert [one.met for one in found.criteria] == [False, True, False, False]
    assert [one.reason for one in found.criteria] == [
        "it is false",
        "",
        "m not found",
        "it must be true or false, not str",
    ]
    assert "not met: outputs.count.n > 5 (it is false)" in found.reason


async def test_a_criterion_that_is_not_cel_is_not_met() -> None:
    reply = await evaluate("outputs.count.n >")

    assert not reply.evaluation.goal_met
    assert "is not valid CEL" in reply.evaluation.criteria[0].reason


async def test_without_criteria_the_goal_is_met() -> None:
    reply = await evaluate()

    assert (reply.evaluation.goal_met, reply.evaluation.score) == (True, 1.0)
    assert reply.evaluation.next is NextMove.FINISH
    assert reply.result is None


async def test_the_result_is_filled_and_seen_by_criteria() -> None:
    result = document({"n": Output("count").at("/n"), "text": Output("text")})

    reply = await evaluate("result.n == 3", result=result)

    assert plain(reply.result) == {"n": 3, "text": "found"}
    assert reply.evaluation.goal_met


async def test_a_result_that_cannot_be_filled_is_invalid_input() -> None:
    reply = await evaluate(result=document(Output("count").at("/nope")))

    assert isinstance(reply, events.EvaluationFailed)
    assert (reply.failure.kind, reply.failure.code) == (FailureKind.INVALID_INPUT, "result_not_filled")
    assert "the output of step count has nothing at /nope" in reply.failure.message


async def test_while_steps_remain_what_names_them_waits() -> None:
    reply = await evaluate(
        Criterion(expression="outputs.count.n == 3", steps=("count",)),
        Criterion(expression="outputs.report.ok", steps=("report",)),
        "size(outputs) == 3",
        point=EvaluationPoint.STEP,
        remaining_steps=("report",),
        result=document(Output("report")),
    )

    found = reply.evaluation
    assert [one.expression for one in found.criteria] == ["outputs.count.n == 3"]
    assert found.next is NextMove.CONTINUE
    assert not found.goal_met
    assert found.reason == "1 of 1 criteria met; 2 wait for steps that are not done"
    assert reply.result is None


async def test_a_step_that_misses_its_criterion_asks_for_a_revision_at_once() -> None:
    reply = await evaluate(
        Criterion(expression="outputs.count.n == 4", steps=("count",)),
        point=EvaluationPoint.STEP,
        remaining_steps=("report",),
    )

    assert reply.evaluation.next is NextMove.REVISE


async def test_after_the_last_step_the_task_is_finished() -> None:
    reply = await evaluate("outputs.count.n == 3", point=EvaluationPoint.STEP)

    assert reply.evaluation.next is NextMove.FINISH


async def test_an_expired_command_fails_and_is_not_handled() -> None:
    reply = await evaluate(not_after=START - 1)

    assert (reply.failure.kind, reply.failure.code) == (FailureKind.TRANSIENT, "expired")


async def test_the_failure_on_an_unknown_evaluator_lists_the_installed_ones() -> None:
    reply = await evaluate(evaluator="picky")

    assert reply.failure.code == "unknown_evaluator"
    assert reply.failure.message == "evaluator picky not found; installed: criteria, judge"


@pytest.mark.parametrize("returned", [None, RuntimeError("model said no")])
async def test_an_evaluator_that_breaks_is_a_failure(returned: Any) -> None:
    @declare_evaluator("picky")
    async def picky(request: EvaluationRequest) -> Evaluation:
        if isinstance(returned, Exception):
            raise returned
        return returned  # type: ignore[no-any-return]

    reply = await evaluate(evaluator="picky", world=World(evaluator, picky))

    assert (reply.failure.kind, reply.failure.code) == (FailureKind.PERMANENT, "evaluator_error")


async def test_a_criterion_that_takes_too_long_is_not_met(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expression_runs, "LIMITS", Isolation(memory="128MB", cpu="1s"))
    rows = json_value([0] * 2_000)

    reply = await evaluate(
        "outputs.rows.all(a, outputs.rows.all(b, outputs.rows.all(c, true)))",
        "outputs.rows.all(a, a == 0)",
        outputs={"rows": rows},
    )

    slow, quick = reply.evaluation.criteria
    assert not slow.met
    assert "make it simpler, or give it less input" in slow.reason
    assert quick.met


async def test_a_result_whose_references_stand_for_too_much_is_refused_before_anything_is_loaded() -> None:
    stored = Value(media_type="application/json", uri="file:///nowhere", size=1_000_000, sha256="")

    failed = await evaluate(outputs={"a": stored}, result=document([Output("a")] * 3000))

    assert isinstance(failed, events.EvaluationFailed)
    assert failed.failure.kind is FailureKind.INVALID_INPUT
    assert failed.failure.code == "result_not_filled"
    assert "stand for more than 32 MiB together" in failed.failure.message
