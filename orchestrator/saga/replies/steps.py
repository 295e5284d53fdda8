"""Replies of tool selectors and tool executors."""

from collections.abc import Iterable

from msgspec.structs import replace

from orchestrator.messages import events
from orchestrator.messages.types import CallKind
from orchestrator.messages.usage import rest_of
from orchestrator.saga.calls import failed, late_usage, matching, work_deadline
from orchestrator.saga.outputs import Draft, draft
from orchestrator.saga.state import Session


def tool_selected(session: Session, reply: events.ToolSelected, now: int) -> Iterable[Draft]:
    call = matching(session, reply, CallKind.SELECTION)
    if call is None:
        yield from late_usage(session, reply)
    else:
        # A cancelled session does not wait longer for its calls.
        due_at = call.due_at if session.cancel is not None else work_deadline(now, reply.timeout_ms)
        running = replace(
            call,
            kind=CallKind.TOOL,
            tool=reply.tool,
            alternatives=reply.alternatives,
            due_at=due_at,
            limits=rest_of(call.limits, reply.usage),
        )
        yield draft(events.StepAssigned, call=running, usage=reply.usage)


def selection_failed(session: Session, reply: events.SelectionFailed, now: int) -> Iterable[Draft]:
    call = matching(session, reply, CallKind.SELECTION)
    if call is None:
        yield from late_usage(session, reply)
    else:
        rest = rest_of(call.limits, reply.usage)
        yield failed(replace(call, limits=rest), reply.failure, reply.usage, now)


def tool_completed(session: Session, reply: events.ToolCompleted, _now: int) -> Iterable[Draft]:
    """The end of a run may be read before its selection, which another service wrote: both kinds match."""
    call = matching(session, reply, CallKind.SELECTION, CallKind.TOOL)
    if call is None:
        yield from late_usage(session, reply)
        return
    done = replace(call, kind=CallKind.TOOL, tool=reply.tool)
    yield draft(events.StepSucceeded, call=done, output=reply.output, usage=reply.usage)


def tool_failed(session: Session, reply: events.ToolFailed, now: int) -> Iterable[Draft]:
    call = matching(session, reply, CallKind.SELECTION, CallKind.TOOL)
    if call is None:
        yield from late_usage(session, reply)
        return
    alternatives = call.alternatives or reply.call.alternatives
    run = replace(call, kind=CallKind.TOOL, tool=reply.tool, alternatives=alternatives)
    yield failed(run, reply.failure, reply.usage, now)
