"""Recovery: each class of failure has its answer, and the same failure always the same one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchestrator_services import recovery
from orchestrator_services.recovery.backoff import backoff_ms, bound_ms

from orchestrator.messages import events
from orchestrator.messages.types import (
    CallKind,
    Document,
    Failure,
    FailureKind,
    Limits,
    RetryPolicy,
    ToolDefinition,
    Usage,
)
from orchestrator.messages.values import json_value
from orchestrator.sdk import Context, FailedCall, Retry
from orchestrator.sdk import recovery as declare_recovery
from tests.unit.services.conftest import Setting
from tests.unit.services.support import World, call, event, failure

MAIL = ToolDefinition(name="mail.send", at_most_once=True)
SQL = ToolDefinition(name="sql.query")


def world() -> World:
    return World(recovery, tools={"mail.send": MAIL, "sql.query": SQL})


async def decision_on(kind: FailureKind, in_world: World | None = None, **fields: Any) -> Any:
    """What recovery writes when a tool run failed like this."""
    fields = {"tool": "sql.query", "retry": RetryPolicy(attempts=3), **fields}
    failed = event(events.ToolFailed, call=call(**fields), tool=fields["tool"], failure=failure(kind))
    return await (in_world or world()).reply(recovery.service, failed)


@pytest.mark.parametrize("attempt", [1, 2])
async def test_a_transient_failure_is_tried_again_while_there_are_attempts(attempt: int) -> None:
    decision = await decision_on(FailureKind.TRANSIENT, attempt=attempt)

    assert isinstance(decision, events.RetryScheduled)
    assert decision.call.attempt == attempt
    assert decision.reason == f"attempt {attempt} of 3 failed: broken"


@pytest.mark.parametrize("code", ["rate_limited", "overloaded", "model_unavailable"])
async def test_an_attempt_that_was_never_begun_counts_for_nothing(code: str) -> None:
    busy = Failure(kind=FailureKind.TRANSIENT, code=code, message="later", retry_after_ms=90_000)
    planning = call(kind=CallKind.PLAN, attempt=7, retry=RetryPolicy(attempts=3))

    decision = await world().reply(
        recovery.service, event(events.PlanningFailed, call=planning, failure=busy)
    )

    assert isinstance(decision, events.RetryScheduled)
    assert decision.spared
    assert decision.delay_ms == 90_000


async def test_a_failure_that_says_recovery_was_asked_two_billion_times_is_decided_at_once() -> None:
    limits = Limits(tokens=1_000)

    decision = await decision_on(FailureKind.TRANSIENT, asked=(1 << 31) - 1, limits=limits)

    assert isinstance(decision, events.RetryScheduled)


async def test_attempts_that_count_for_nothing_leave_the_others() -> None:
    decision = await decision_on(FailureKind.TRANSIENT, attempt=7, spared=5)

    assert isinstance(decision, events.RetryScheduled)
    assert decision.reason == "attempt 2 of 3 failed: broken"
    assert not decision.spared


async def test_a_strategy_may_mend_arguments_and_reports_what_it_used(setting: Setting) -> None:
    mended = Document(body=json_value({"text": "SELECT 1"}))

    @declare_recovery("mender")
    async def advise(failed: FailedCall, context: Context) -> Retry:
        context.use(tokens_input=7)
        return Retry(0, "mended", arguments=mended)

    setting("ORCHESTRATOR_RECOVERY_STRATEGY", "mender")
    decision = await decision_on(FailureKind.INVALID_INPUT, World(recovery, advise))

    assert isinstance(decision, events.RetryScheduled)
    assert decision.arguments == mended
    assert decision.usage.tokens_input == 7


@pytest.mark.parametrize(
    ("tool", "runs", "given"),
    [("mail.send", 1, False), ("mail.send", 0, True), ("sql.query", 1, True), ("unheard.of", 1, False)],
)
async def test_a_strategy_has_no_arguments_to_mend_of_a_run_that_must_be_the_only_one(
    setting: Setting, tool: str, runs: int, given: bool
) -> None:
    heard: list[FailedCall] = []

    @declare_recovery("mender")
    async def advise(failed: FailedCall, context: Context) -> Retry:
        heard.append(failed)
        return Retry(0)

    setting("ORCHESTRATOR_RECOVERY_STRATEGY", "mender")
    refused = event(
        events.ToolFailed,
        call=call(tool=tool),
        tool=tool,
        failure=failure(FailureKind.INVALID_INPUT),
        usage=Usage(tool_calls=runs),
        arguments=Document(body=json_value({})),
    )
    in_world = World(recovery, advise, tools={"mail.send": MAIL, "sql.query": SQL})
    await in_world.reply(recovery.service, refused)

    (failed,) = heard
    assert (failed.arguments is not None, failed.tools) == (given, (tool,) if given else ())


async def test_when_attempts_are_used_up_another_tool_is_tried() -> None:
    decision = await decision_on(
        FailureKind.TRANSIENT, attempt=3, avoid=("duck.query",), alternatives=("csv.query",)
    )

    assert isinstance(decision, events.FallbackChosen)
    assert decision.avoid == ("duck.query", "sql.query")


async def test_when_attempts_and_tools_are_used_up_nothing_is_left() -> None:
    decision = await decision_on(FailureKind.TRANSIENT, attempt=3)

    assert isinstance(decision, events.RecoveryExhausted)
    assert decision.reason == "all 3 attempts failed"
    assert decision.failure.kind is FailureKind.TRANSIENT


@pytest.mark.parametrize("kind", [FailureKind.PERMANENT, FailureKind.UNKNOWN])
async def test_after_a_permanent_failure_another_tool_runs_at_once(kind: FailureKind) -> None:
    decision = await decision_on(kind, alternatives=("csv.query",))

    assert isinstance(decision, events.FallbackChosen)
    assert decision.avoid == ("sql.query",)


async def test_a_permanent_failure_without_another_tool_is_the_end() -> None:
    decision = await decision_on(FailureKind.PERMANENT)

    assert isinstance(decision, events.RecoveryExhausted)


async def test_invalid_input_is_never_tried_again_even_with_other_tools() -> None:
    decision = await decision_on(FailureKind.INVALID_INPUT, alternatives=("csv.query",))

    assert isinstance(decision, events.RecoveryExhausted)


async def test_an_unknown_outcome_of_a_repeatable_tool_is_tried_again() -> None:
    decision = await decision_on(FailureKind.UNKNOWN_OUTCOME)

    assert isinstance(decision, events.RetryScheduled)


@pytest.mark.parametrize("tool", ["mail.send", "gone.away"])
async def test_an_unknown_outcome_of_an_at_most_once_or_unknown_tool_is_never_tried_again(tool: str) -> None:
    decision = await decision_on(FailureKind.UNKNOWN_OUTCOME, tool=tool, alternatives=("sql.query",))

    assert isinstance(decision, events.RecoveryExhausted)
    assert "must not run twice" in decision.reason


@pytest.mark.parametrize(
    ("kind", "call_kind"),
    [
        (events.PlanningFailed, CallKind.PLAN),
        (events.SelectionFailed, CallKind.SELECTION),
        (events.EvaluationFailed, CallKind.EVALUATION),
    ],
)
async def test_calls_of_other_services_are_recovered_too(kind: Any, call_kind: CallKind) -> None:
    failed = event(kind, call=call(call_kind), failure=failure(FailureKind.UNKNOWN_OUTCOME))

    decision = await world().reply(recovery.service, failed)

    assert isinstance(decision, events.RetryScheduled)


async def test_a_call_that_timed_out_is_decided_as_it_waits_now() -> None:
    waiting = call(
        CallKind.RECOVERY,
        tool="mail.send",
        failed_kind=CallKind.TOOL,
        failure=failure(FailureKind.UNKNOWN_OUTCOME, "timed_out"),
    )
    timed_out = event(events.CallTimedOut, call=call(tool="mail.send"), next=waiting)

    decision = await world().reply(recovery.service, timed_out)

    assert isinstance(decision, events.RecoveryExhausted)
    assert decision.call == waiting
    assert decision.failure.code == "timed_out"


async def test_a_timed_out_call_that_waits_no_more_needs_nothing() -> None:
    assert await world().handle(recovery.service, event(events.CallTimedOut, call=call(), next=None)) == ()


async def test_the_same_failure_handled_twice_gives_the_same_message() -> None:
    assert await decision_on(FailureKind.TRANSIENT) == await decision_on(FailureKind.TRANSIENT)


async def test_another_strategy_is_named_by_a_setting(setting: Setting) -> None:
    @declare_recovery("patient")
    async def patient(failed: FailedCall) -> Retry:
        return Retry(delay_ms=86_400_000, reason="tomorrow")

    setting("ORCHESTRATOR_RECOVERY_STRATEGY", "patient")
    decision = await decision_on(FailureKind.PERMANENT, World(recovery, patient))

    assert decision.delay_ms == 86_400_000


async def test_a_strategy_that_is_missing_or_raises_does_not_hang_the_session(
    setting: Setting,
) -> None:
    @declare_recovery("broken")
    async def broken(failed: FailedCall) -> Retry:
        raise KeyError("oops")

    for name, reason in (("nope", "recovery strategy nope not found"), ("broken", "KeyError: 'oops'")):
        setting("ORCHESTRATOR_RECOVERY_STRATEGY", name)
        decision = await decision_on(FailureKind.TRANSIENT, World(recovery, broken))

        assert isinstance(decision, events.RecoveryExhausted)
        assert reason in decision.reason


POLICIES = st.builds(
    RetryPolicy,
    attempts=st.integers(1, 50),
    initial_ms=st.integers(0, 60_000),
    max_ms=st.integers(0, 600_000),
    multiplier=st.floats(1.0, 10.0),
)


@given(POLICIES, st.integers(1, 2_000), st.uuids())
def test_a_delay_stays_within_its_bound_and_follows_from_the_id(
    policy: RetryPolicy, attempt: int, call_id: Any
) -> None:
    delay = backoff_ms(policy, attempt, str(call_id))

    assert 0 <= delay <= bound_ms(policy, attempt) <= policy.max_ms
    assert delay == backoff_ms(policy, attempt, str(call_id))


def test_bounds_grow_by_the_multiplier_up_to_the_longest() -> None:
    policy = RetryPolicy(initial_ms=500, multiplier=2.0, max_ms=3_000)

    assert [bound_ms(policy, attempt) for attempt in range(1, 6)] == [500, 1000, 2000, 3000, 3000]


def test_calls_that_fail_together_are_spread_over_the_whole_bound() -> None:
    policy = RetryPolicy(initial_ms=1_000, max_ms=1_000)
    delays = [backoff_ms(policy, 1, f"call-{number}") for number in range(400)]

    quarters = [sum(low <= delay < low + 250 for delay in delays) for low in (0, 250, 500, 750)]
    assert min(quarters) > 60
