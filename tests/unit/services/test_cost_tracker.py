"""The cost tracker: what is used is counted once, by session, agent and tenant."""

import logging
import tracemalloc
from typing import Any

import pytest
from orchestrator_services import cost_tracker
from orchestrator_services.cost_tracker import handlers, totals
from orchestrator_services.cost_tracker.totals import Ledger

from orchestrator.messages import events
from orchestrator.messages.types import CallKind, FailureKind, Review, ReviewVerdict, Usage
from orchestrator.messages.values import json_value
from tests.unit.services.support import SESSION, World, call, event, failure

USAGE = Usage(tool_calls=1, tokens_input=100, tokens_output=20, cost_micro_usd=250_000, duration_ms=5)


@pytest.fixture(autouse=True)
def ledger(monkeypatch: pytest.MonkeyPatch) -> Ledger:
    fresh = Ledger()
    monkeypatch.setattr(handlers, "ledger", fresh)
    return fresh


def completed(call_id: str = "call-1", **fields: Any) -> events.ToolCompleted:
    given = {"agent": "triage", "tenant": "acme", "usage": USAGE, **fields}
    message: events.ToolCompleted = event(
        events.ToolCompleted, call=call(call_id=call_id), tool="t", output=json_value(1), **given
    )
    return message


async def track(*messages: Any) -> World:
    world = World(cost_tracker)
    for message in messages:
        assert await world.handle(cost_tracker.service, message) == ()
    return world


async def test_totals_are_kept_by_session_agent_and_tenant(ledger: Ledger) -> None:
    world = await track(
        completed("one"),
        completed("two", correlation_id="other", tenant="beta"),
        completed("three", agent="writer"),
    )

    assert ledger.of_session(SESSION).tool_calls == 2
    assert ledger.of_agent("triage").cost_micro_usd == 500_000
    assert ledger.of_tenant("acme").tokens_input == 200
    assert ledger.of_tenant("nobody") == Usage()
    assert world.metrics.of("agents_cost_usd", agent="triage", tenant="acme") == 0.25
    assert world.metrics.of("agents_tokens", agent="triage", tenant="acme", direction="output") == 20
    assert world.metrics.of("agents_tool_calls", agent="writer", tenant="acme") == 1


async def test_what_a_handler_used_without_a_reply_counts(ledger: Ledger) -> None:
    asked = Usage(model_requests=1, tokens_input=10)
    report = event(
        events.UsageReported, call=call(kind=CallKind.PLAN), service="planner", usage=asked, tenant="acme"
    )
    await track(report, report)

    assert ledger.of_tenant("acme") == asked


async def test_what_requests_without_a_response_may_have_used_is_counted_apart() -> None:
    lost = Usage(requests_unsettled=1, tokens_unsettled=900, cost_unsettled_micro_usd=500_000)
    report = event(
        events.UsageReported, call=call(kind=CallKind.PLAN), service="planner", usage=lost, tenant="acme"
    )

    world = await track(report)

    labels = {"agent": report.agent, "tenant": "acme"}
    assert world.metrics.of("agents_model_requests_unsettled", **labels) == 1
    assert world.metrics.of("agents_tokens_unsettled", **labels) == 900
    assert world.metrics.of("agents_cost_unsettled_usd", **labels) == 0.5


async def test_a_selection_its_run_and_the_advice_about_it_count_each(ledger: Ledger) -> None:
    asked = Usage(model_requests=1, tokens_input=10)
    one = call(call_id="call-1")
    selected = event(events.ToolSelected, call=one, tool="t", timeout_ms=1, usage=asked)
    advised = event(events.RetryScheduled, call=one, delay_ms=1, usage=asked)

    await track(selected, completed("call-1"), advised, advised)

    used = ledger.of_session(SESSION)
    assert (used.model_requests, used.tokens_input, used.tool_calls) == (2, 120, 1)


async def test_a_reply_that_comes_twice_is_counted_once(ledger: Ledger) -> None:
    world = await track(completed(), completed(), completed(event_id="sent-again-by-another-run"))

    assert ledger.of_session(SESSION) == USAGE
    assert world.metrics.of("agents_tool_calls", agent="triage", tenant="acme") == 1


async def test_models_that_were_asked_twice_for_one_call_are_counted_twice(ledger: Ledger) -> None:
    """A command that is delivered again is handled again; its run counts as one."""
    await track(completed(occurred_at=1), completed(occurred_at=1), completed(occurred_at=2))

    used = ledger.of_session(SESSION)
    assert (used.tool_calls, used.tokens_input, used.cost_micro_usd) == (1, 200, 500_000)


async def test_a_command_that_was_refused_does_not_hide_its_run(ledger: Ledger) -> None:
    refused = event(
        events.ToolFailed, call=call(call_id="call-1"), tool="t", failure=failure(FailureKind.TRANSIENT)
    )

    await track(refused, completed())

    assert ledger.of_session(SESSION) == USAGE


async def test_everything_that_reports_its_use_is_counted(ledger: Ledger) -> None:
    review = Review(reviewer="boss", verdict=ReviewVerdict.ACCEPT)
    other = Review(reviewer="safety", verdict=ReviewVerdict.ACCEPT)

    await track(
        event(
            events.PlanningFailed,
            call=call(CallKind.PLAN, call_id="plan"),
            failure=failure(FailureKind.TRANSIENT),
            usage=USAGE,
        ),
        event(events.PlanReviewed, plan_call_id="plan", revision=1, review=review, usage=USAGE),
        event(events.PlanReviewed, plan_call_id="plan", revision=1, review=other, usage=USAGE),
        event(
            events.ReviewFailed,
            plan_call_id="plan",
            revision=1,
            reviewer="model",
            failure=failure(FailureKind.TRANSIENT),
            usage=USAGE,
        ),
    )

    assert ledger.of_session(SESSION).tokens_output == 80


async def test_the_end_of_a_session_is_one_line_with_its_total(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        await track(event(events.TaskCompleted, revision=1, total=USAGE, agent="triage", tenant="acme"))

    (record,) = caplog.records
    assert record.getMessage() == "the session used 1 tool calls, 120 tokens, 0.250000 USD"
    assert vars(record)["correlation_id"] == SESSION
    assert vars(record)["cost_micro_usd"] == 250_000


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "MOST_SESSIONS", 2)
    monkeypatch.setattr(totals, "MOST_PAIRS", 2)
    ledger = Ledger()

    pairs = [ledger.add(f"s{number}", "call", (f"t{number}", "a"), USAGE) for number in range(4)]

    assert ledger.of_session("s0") == Usage()
    assert ledger.of_session("s3") == USAGE
    assert pairs == [("t0", "a"), ("t1", "a"), totals.OTHERS, totals.OTHERS]
    assert ledger.of_agent("others").tool_calls == 2


def test_reports_of_one_session_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "MOST_REPORTS", 100)
    ledger = Ledger()
    for number in range(250):
        ledger.add("one", f"{number}", ("acme", "triage"), Usage(tool_calls=1))

    assert ledger.add("one", "249", ("acme", "triage"), Usage(tool_calls=1)) is None
    assert ledger.of_tenant("acme").tool_calls == 250
    assert ledger.remembered <= 100


def test_long_texts_of_others_are_not_kept() -> None:
    ledger = Ledger()
    tracemalloc.start()
    try:
        for number in range(50):
            text = f"{number}" * 100_000
            assert ledger.add(text, text, (text, text), Usage(tool_calls=1)) == totals.OTHERS
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < 1_000_000
    assert ledger.of_session(text) == Usage(tool_calls=1)
