"""Which span is over with an event: each kind of call has one of its own."""

import pytest

from orchestrator.app.session_observer import span_of
from orchestrator.messages import events
from orchestrator.messages.call_kinds import call_of, purpose_of
from orchestrator.messages.types import Call, CallKind, Failure, Usage
from tests.golden.record import FOLDER, read
from tests.support.samples import sample_of

NAMES = {
    CallKind.PLAN: "plan",
    CallKind.REVIEW: "review x",
    CallKind.SELECTION: "step x",
    CallKind.TOOL: "step x",
    CallKind.EVALUATION: "evaluate",
    # What a newer version waits for has a name that this version does not know.
    CallKind.UNKNOWN: None,
}


@pytest.mark.parametrize("kind", NAMES)
def test_a_call_that_timed_out_ends_the_span_of_its_kind(kind: CallKind) -> None:
    silent = Call(call_id="id", kind=kind, step_id="x", opened_at=1, due_at=2)
    span = span_of(sample_of(events.CallTimedOut, call=silent, occurred_at=2))
    assert (span and span.name) == NAMES[kind]
    assert span is None or (span.error, span.started_at, span.ended_at) == ("timed_out", 1, 2)


@pytest.mark.parametrize("kind", NAMES)
def test_a_call_that_failed_ends_the_span_of_the_kind_that_failed(kind: CallKind) -> None:
    broken = Failure(code="broken", message="")
    lost = Call(
        call_id="id",
        kind=CallKind.RECOVERY,
        failed_kind=kind,
        step_id="x",
        opened_at=1,
        due_at=2,
        failure=broken,
    )
    span = span_of(sample_of(events.CallFailed, call=lost))
    assert (span and span.name) == NAMES[kind]
    assert span is None or span.error == "broken"


def test_a_span_says_what_models_used() -> None:
    used = Usage(model_requests=2, tokens_input=900, tokens_cached=600, tokens_output=100)
    call = Call(call_id="id", kind=CallKind.PLAN, opened_at=1, due_at=2)
    span = span_of(sample_of(events.PlanAccepted, call=call, usage=used))
    assert span is not None
    assert {name: amount for name, amount in span.attributes.items() if ".usage." in name} == {
        "gen_ai.usage.input_tokens": 900,
        "gen_ai.usage.cache_read.input_tokens": 600,
        "gen_ai.usage.output_tokens": 100,
        "agents.usage.model_requests": 2,
    }


def test_the_span_of_a_plan_says_which_turn_it_is_of() -> None:
    call = Call(call_id="id", kind=CallKind.PLAN, revision=4, turn=3, opened_at=1, due_at=2)
    broken = Failure(code="broken", message="")
    lost = Call(
        call_id="id",
        kind=CallKind.RECOVERY,
        failed_kind=CallKind.PLAN,
        turn=3,
        opened_at=1,
        due_at=2,
        failure=broken,
    )
    for event in (
        sample_of(events.PlanAccepted, call=call),
        sample_of(events.PlanRejected, call=call),
        sample_of(events.CallTimedOut, call=call),
        sample_of(events.CallFailed, call=lost),
    ):
        span = span_of(event)
        assert span is not None
        assert (span.name, span.attributes["agents.plan.turn"]) == ("plan", 3)


def test_the_plans_of_a_history_are_of_its_turns() -> None:
    history, _ = read((FOLDER / "thought_around.json").read_bytes())
    plans = [span for event in history if (span := span_of(event)) is not None and span.name == "plan"]
    assert [span.attributes["agents.plan.turn"] for span in plans] == list(range(1, len(plans) + 1))


def test_every_kind_of_call_in_a_history_has_spans() -> None:
    history = [event for path in FOLDER.glob("*.json") for event in read(path.read_bytes())[0]]
    calls = [call for event in history if (call := call_of(event))]
    spans = {span.name.partition(" ")[0] for event in history if (span := span_of(event)) is not None}
    opened = {name.partition(" ")[0] for call in calls if (name := NAMES[purpose_of(call)]) is not None}
    assert opened == spans - {"invoke_agent"}


def test_recovery_that_times_out_ends_no_span() -> None:
    asked = Call(call_id="id", kind=CallKind.RECOVERY, failed_kind=CallKind.TOOL, opened_at=1, due_at=2)
    assert span_of(sample_of(events.CallTimedOut, call=asked)) is None
