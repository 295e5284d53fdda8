"""Failures in the place of replies that cannot be sent: one always comes."""

from typing import Any

import pytest

from orchestrator.bus.avro.schema_ids import CatalogueIds
from orchestrator.bus.codec import Codec
from orchestrator.delivery.failed_replies import UNENCODABLE, failed_reply
from orchestrator.messages import events
from orchestrator.messages.types import (
    CallKind,
    Failure,
    FailureKind,
    Plan,
    Review,
    ReviewVerdict,
    Usage,
)
from tests.unit.services.support import call, event


def reply(usage: Usage) -> events.PlanCreated:
    made: events.PlanCreated = event(events.PlanCreated, call=call(CallKind.PLAN), plan=Plan(), usage=usage)
    return made


def encoded(message: Any) -> Any:
    return Codec(CatalogueIds()).encode(message, source="/planner/0")


@pytest.mark.parametrize("tokens", [1.5, 2**70, -1, float("nan"), "many", None])
def test_usage_that_cannot_be_sent_is_left_out(tokens: Any) -> None:
    made = failed_reply(reply(Usage(tokens_input=tokens, cost_micro_usd=7)), "no", 2, UNENCODABLE)

    assert isinstance(made, events.PlanningFailed)
    assert made.usage == Usage()
    assert made.failure == Failure(kind=FailureKind.PERMANENT, code="unencodable", message="no")
    assert encoded(made)


def test_usage_that_can_be_sent_counts() -> None:
    usage = Usage(tokens_input=5, cost_micro_usd=7)

    made = failed_reply(reply(usage), "no", 2)

    assert isinstance(made, events.PlanningFailed)
    assert made.usage == usage


def test_a_review_that_cannot_be_sent_fails_as_the_review_of_its_plan() -> None:
    usage = Usage(tokens_input=5, cost_micro_usd=7)
    review = Review(reviewer="model", verdict=ReviewVerdict.ACCEPT)
    reviewed = event(events.PlanReviewed, plan_call_id="plan", revision=3, review=review, usage=usage)

    made = failed_reply(reviewed, "no", 2)

    assert isinstance(made, events.ReviewFailed)
    assert (made.plan_call_id, made.revision, made.reviewer, made.usage) == ("plan", 3, "model", usage)
