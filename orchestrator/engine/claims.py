"""Who may have a session: a task gets the session that it names, unless its business key has one already."""

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from orchestrator.delivery.dead_letters import FORGED
from orchestrator.engine.quarantine import not_processable
from orchestrator.engine.state.ended import is_within_window
from orchestrator.engine.state.ended_index import Entry
from orchestrator.engine.state.partition import Partition
from orchestrator.messages import commands, events
from orchestrator.messages.call_ids import CallIds
from orchestrator.messages.identity import claim_of, has_key
from orchestrator.messages.types import Call, CallKind, Failure, FailureKind
from orchestrator.saga import Input, Request, Session, Submission, TimePassed, mismatch

MATCH: Final = "match"
"""Stage: the record belongs to something else than the session that it names."""
_PLAN_ATTEMPTS: Final = 32
"""Attempts at a plan whose review is recognised."""


def claim_of_task(task: commands.SubmitTask) -> bytes:
    return claim_of(task.tenant, task.key)


def ended_session(
    partition: Partition, session: Session | None, correlation_id: str, input: Input
) -> Entry | None:
    """The ended session that a request names. Only a request could begin a session: nothing is looked up for others.

    Raises `UnavailableError`.
    """
    if session is not None or not isinstance(input, Request):
        return None
    return partition.ended.with_id(correlation_id)


def foreign(session: Session | None, ended: Entry | None, input: Input) -> Failure | None:
    """Why the input belongs to something else than the session it names, which is live or has ended; None if it is
    the session's."""
    if session is not None:
        problem = mismatch(session, input)
        return not_processable(problem) if problem else None
    if ended is None or ended.claim is None or not isinstance(input, Submission):
        return None
    if ended.claim == claim_of_task(input.task):
        return None
    return not_processable(
        f"session {ended.correlation_id}, which has ended, did a task of another tenant or business key"
    )


def forged(call_ids: CallIds, correlation_id: str, input: Input) -> Failure | None:
    """Why nobody was asked for what the input replies; None for a reply to a call that an orchestrator has opened."""
    if isinstance(input, TimePassed | Request):
        return None
    if isinstance(input, events.PlanReviewed | events.ReviewFailed):
        is_known = any(call_ids.has_issued(correlation_id, call) for call in _plan_calls(input))
    else:
        is_known = call_ids.has_issued(correlation_id, input.call)
    if is_known:
        return None
    return Failure(
        kind=FailureKind.PERMANENT,
        code=FORGED,
        message="no orchestrator of this installation has opened the call that it replies to",
    )


def _plan_calls(review: events.PlanReviewed | events.ReviewFailed) -> Iterator[Call]:
    """The calls that the reviewed plan may have answered: its attempt is not in the review."""
    for attempt in range(1, _PLAN_ATTEMPTS + 1):
        yield Call(
            call_id=review.plan_call_id,
            kind=CallKind.PLAN,
            revision=review.revision,
            attempt=attempt,
            due_at=0,
        )


def has_ended(session: Session | None, ended: Entry | None, input: Input) -> bool:
    """Whether the input comes after its session's end."""
    return session is None and (ended is not None or not isinstance(input, Request))


def with_link(
    partition: Partition, claim: bytes, live: str | None, submission: Submission, now: int
) -> Submission:
    """The task with the session whose business key it repeats, or which had that key long before.

    `claim` is the task's, `live` the session that has it. Raises `UnavailableError`.
    """
    if not has_key(claim):
        return submission
    if live is not None:
        return replace(submission, repeats=live)
    ended = partition.ended.with_claim(claim)
    if ended is None:
        return submission
    if is_within_window(ended, now):
        return replace(submission, repeats=ended.correlation_id)
    return replace(submission, previous=ended.correlation_id)
