"""A session from its task to its end."""

import pytest

from orchestrator.messages import commands, events
from orchestrator.messages.types import (
    EvaluationPoint,
    EvaluationPolicy,
    NextMove,
    RecoveryDecision,
    Reference,
    ToolPolicy,
)
from orchestrator.messages.values import json_value
from orchestrator.saga import Outcome, Phase, StepStatus
from orchestrator.testing.scenario import (
    Scenario,
    agent,
    completed,
    done,
    evaluated,
    failed,
    given,
    plan_created,
    retry,
    selected,
    step,
    task,
)

EACH_STEP = agent(evaluation=EvaluationPolicy(after=EvaluationPoint.STEP))


def test_a_task_is_accepted_and_a_plan_requested() -> None:
    session = given(task("find out", context=json_value({"city": "Oslo"}), playbook="trip"))
    session.then("TaskReceived", "PlanRequested plan 1", "CreatePlan plan 1")
    command = session.wrote(commands.CreatePlan)
    assert (command.goal, command.playbook) == ("find out", "trip")
    assert command.context == json_value({"city": "Oslo"})
    assert session.state.phase is Phase.PLANNING


def test_one_step_from_ready_to_completed() -> None:
    session = given(task())
    session.when(plan_created("a", result="a")).then("PlanAccepted plan 1", "PlanStepReady a")
    session.when(selected("a")).then("StepAssigned a")
    session.when(completed("a", "42")).then(
        "StepSucceeded a", "EvaluationRequested evaluation-1", "EvaluateTask evaluation-1"
    )
    assert session.state.phase is Phase.EVALUATING
    session.when(evaluated(result=json_value("42"))).then("EvaluationRecorded evaluation-1", "TaskCompleted")
    assert session.state.outcome is Outcome.COMPLETED
    assert session.state.result == json_value("42")
    assert session.due_in is None


def test_steps_without_dependencies_run_in_parallel() -> None:
    given(task()).when(plan_created("a", "b", step("c", needs=("a", "b")))).then(
        "PlanAccepted plan 1", "PlanStepReady a", "PlanStepReady b"
    )


def test_a_step_waits_for_all_its_dependencies() -> None:
    session = given(task(), plan_created("a", "b", step("c", needs=("a", "b"))))
    session.when(*done("b")).then("StepAssigned b", "StepSucceeded b")
    session.when(*done("a")).then("StepAssigned a", "StepSucceeded a", "PlanStepReady c")


def test_a_step_gets_the_outputs_that_its_arguments_name() -> None:
    session = given(task(), plan_created("a", "b", step("c", uses={"left": "a"}, needs=("b",))))
    session.when(*done("a", {"x": 1}), *done("b", {"y": 2}))
    ready = session.wrote(events.PlanStepReady)
    assert ready.inputs == {"a": json_value({"x": 1})}
    assert ready.step.arguments.references == (Reference(into="/left", step_id="a"),)


def test_a_step_carries_the_tool_policy_and_timeout_of_its_agent() -> None:
    tools = ToolPolicy(allow=("sql.*",), deny=("sql.write",))
    session = given(task(profile=agent(tools=tools))).when(plan_created("a"))
    ready = session.wrote(events.PlanStepReady)
    assert ready.tools == tools
    assert ready.step_timeout_ms == 60_000


def test_outputs_that_nothing_needs_any_more_are_dropped() -> None:
    plan = plan_created("a", "b", step("c", uses={"x": "a"}), step("d", uses={"x": "c"}), result="d")
    session = given(task(), plan, *done("a"), *done("b"))
    assert kept(session) == {"a"}
    session.when(*done("c"))
    assert kept(session) == {"c"}
    session.when(*done("d"))
    assert kept(session) == {"d"}


def kept(session: Scenario) -> set[str]:
    """Steps whose outputs are kept."""
    return {name for name, step in session.state.steps.items() if step.output is not None}


def test_the_evaluator_gets_what_criteria_and_result_name() -> None:
    session = given(task(), plan_created("a", "b", "c", result="a", criteria=("b",)))
    session.when(*done("a", 1), *done("b", 2), *done("c", 3))
    command = session.wrote(commands.EvaluateTask)
    assert command.outputs == {"a": json_value(1), "b": json_value(2)}
    assert command.point is EvaluationPoint.PLAN
    assert command.remaining_steps == ()


def test_a_run_that_is_read_before_its_selection_counts() -> None:
    session = given(task(), plan_created("a", "b"))
    late_news = session.prepared(selected("a"))
    session.when(completed("a")).then("StepSucceeded a")
    assert session.state.steps["a"].tool == "work"
    session.when(late_news).then_nothing()


def test_a_failed_run_that_is_read_before_its_selection_counts_and_keeps_the_alternatives() -> None:
    session = given(task(), plan_created("a"))
    late_news = session.prepared(selected("a"))
    session.when(failed("a", alternatives=("other",))).then("CallFailed a")
    assert session.wrote(events.CallFailed).call.alternatives == ("other",)
    session.when(late_news).then_nothing()


def test_the_selection_names_alternative_tools() -> None:
    session = given(task(), plan_created("a")).when(selected("a", alternatives=("other",)))
    assert session.wrote(events.StepAssigned).call.alternatives == ("other",)


def test_evaluation_after_every_step_lets_the_plan_go_on() -> None:
    session = given(task(profile=EACH_STEP), plan_created("a", step("b", needs=("a",))))
    session.when(*done("a")).then(
        "StepAssigned a", "StepSucceeded a", "EvaluationRequested evaluation-1", "EvaluateTask evaluation-1"
    )
    command = session.wrote(commands.EvaluateTask)
    assert (command.point, command.remaining_steps) == (EvaluationPoint.STEP, ("b",))
    session.when(evaluated(NextMove.CONTINUE)).then("EvaluationRecorded evaluation-1", "PlanStepReady b")
    session.when(*done("b"))
    assert session.wrote(commands.EvaluateTask).point is EvaluationPoint.PLAN
    session.when(evaluated()).then("EvaluationRecorded evaluation-2", "TaskCompleted")


def test_steps_that_end_during_an_evaluation_are_evaluated_next() -> None:
    session = given(task(profile=EACH_STEP), plan_created("a", "b", step("c", needs=("a",))))
    session.when(*done("a")).then(
        "StepAssigned a", "StepSucceeded a", "EvaluationRequested evaluation-1", "EvaluateTask evaluation-1"
    )
    session.when(*done("b")).then("StepAssigned b", "StepSucceeded b")
    session.when(evaluated(NextMove.REVISE)).then(
        "EvaluationRecorded evaluation-1", "EvaluationRequested evaluation-2", "EvaluateTask evaluation-2"
    )


def test_an_evaluation_after_a_step_may_find_the_goal_met_already() -> None:
    session = given(task(profile=EACH_STEP), plan_created("a", step("b", needs=("a",))), *done("a"))
    session.when(evaluated(NextMove.FINISH)).then("EvaluationRecorded evaluation-1", "TaskCompleted")


def test_an_evaluation_may_ask_for_another_plan() -> None:
    session = given(task(), plan_created("a"), *done("a"))
    session.when(evaluated(NextMove.REVISE, reason="too cold")).then(
        "EvaluationRecorded evaluation-1", "PlanRequested plan 2", "CreatePlan plan 2"
    )
    command = session.wrote(commands.CreatePlan)
    assert command.feedback == "too cold"
    assert command.evaluation is not None
    assert [one.step_id for one in command.previous.steps] == ["a"]
    session.when(plan_created("a")).then("PlanAccepted plan 2", "PlanStepReady a")
    session.when(*done("a"), evaluated())
    assert session.wrote(events.TaskCompleted).revision == 2


def test_another_plan_voids_the_open_calls_of_the_last() -> None:
    session = given(task(profile=EACH_STEP), plan_created("a", "b"), *done("a"), selected("b"))
    running = session.state.steps["b"]
    assert running.status is StepStatus.RUNNING
    session.when(evaluated(NextMove.REVISE)).then(
        "EvaluationRecorded evaluation-1", "CallsVoided", "PlanRequested plan 2", "CreatePlan plan 2"
    )
    assert session.wrote(commands.CreatePlan).call.revision == 2


def test_a_retry_that_is_due_when_the_plan_is_replaced_does_not_start() -> None:
    session = given(task(profile=EACH_STEP), plan_created("a", "b"), failed("b"), retry("10s"), *done("a"))
    session.now += 10_000_000
    session.when(evaluated(NextMove.REVISE)).then(
        "EvaluationRecorded evaluation-1", "PlanRequested plan 2", "CreatePlan plan 2"
    )


@pytest.mark.parametrize("move", [NextMove.FINISH, NextMove.CONTINUE, NextMove.UNKNOWN])
def test_once_all_steps_are_done_the_goal_decides(move: NextMove) -> None:
    session = given(task(), plan_created("a"), *done("a"))
    session.when(evaluated(move, met=True)).then("EvaluationRecorded evaluation-1", "TaskCompleted")
    session = given(task(), plan_created("a"), *done("a"))
    session.when(evaluated(move, met=False)).then(
        "EvaluationRecorded evaluation-1", "PlanRequested plan 2", "CreatePlan plan 2"
    )


def test_an_evaluator_may_advise_to_give_up() -> None:
    session = given(task(), plan_created("a"), *done("a"))
    session.when(evaluated(NextMove.GIVE_UP, reason="hopeless")).then(
        "EvaluationRecorded evaluation-1", "TaskEscalated", "MessageDeadLettered"
    )
    assert session.state.escalated is not None
    assert session.state.escalated.message == "hopeless"


def test_plans_are_revised_as_often_as_the_agent_allows() -> None:
    profile = agent(evaluation=EvaluationPolicy(max_revisions=2))
    session = given(task(profile=profile), plan_created("a"), *done("a"), evaluated(NextMove.REVISE))
    session.when(plan_created("a"), *done("a"))
    session.when(evaluated(NextMove.REVISE, reason="still too cold")).then(
        "EvaluationRecorded evaluation-2", "TaskEscalated", "MessageDeadLettered"
    )
    assert session.state.escalated is not None
    assert session.state.escalated.code == "revisions_exhausted"
    assert "still too cold" in session.state.escalated.message


def test_a_failed_run_is_retried_after_its_delay() -> None:
    session = given(task(), plan_created("a"), selected("a"))
    session.when(failed("a")).then("CallFailed a")
    session.when(retry("2s")).then("RecoveryRecorded a")
    assert session.wrote(events.RecoveryRecorded).decision is RecoveryDecision.RETRY
    assert session.due_in == 2.0
    session.after("1s").then_nothing()
    session.after("1s").then("PlanStepReady a #2")
    session.when(*done("a")).then(
        "StepAssigned a #2",
        "StepSucceeded a #2",
        "EvaluationRequested evaluation-1",
        "EvaluateTask evaluation-1",
    )
    assert session.state.steps["a"].attempts == 2
