"""Replies to calls that nobody has opened."""

import pytest

from orchestrator.engine.claims import forged
from orchestrator.messages import events
from orchestrator.messages.call_ids import CallIds
from orchestrator.messages.types import Call, CallKind, FailureKind, Review, ReviewVerdict
from orchestrator.saga import Reply
from tests.unit.services.support import SESSION, event, failure

KEYS = CallIds([b"k" * 32])
PLAN = Call(call_id="", kind=CallKind.PLAN, revision=2, attempt=3, due_at=0)


def reviews_of(plan_call_id: str) -> list[Reply]:
    of_plan = {"plan_call_id": plan_call_id, "revision": 2}
    return [
        event(events.PlanReviewed, review=Review(reviewer="model", verdict=ReviewVerdict.ACCEPT), **of_plan),
        event(events.ReviewFailed, reviewer="model", failure=failure(FailureKind.TRANSIENT), **of_plan),
    ]


@pytest.mark.parametrize("reply", reviews_of(KEYS.issued(SESSION, PLAN)))
def test_a_review_of_a_plan_that_was_asked_for_is_no_forgery(reply: Reply) -> None:
    assert forged(KEYS, SESSION, reply) is None


@pytest.mark.parametrize("reply", reviews_of("guessed"))
def test_a_review_of_a_plan_that_nobody_asked_for_is_a_forgery(reply: Reply) -> None:
    found = forged(KEYS, SESSION, reply)

    assert found is not None
    assert found.code == "forged"
