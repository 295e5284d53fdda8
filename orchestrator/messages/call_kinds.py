"""The table of call kinds: who replies to a call, what a missing reply means, and its name for people.

A new kind gets a row here. Where code matches on the kind, mypy names each place without a case for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, assert_never

from orchestrator.messages.types import Call, CallKind, FailureKind


@dataclass(frozen=True, slots=True)
class KindOfCall:
    """What holds for all calls of one kind."""

    service: str
    """Who replies, for people."""
    activity: str
    """What happens while the call is open, for people."""
    when_silent: FailureKind = FailureKind.TRANSIENT
    """The failure of a call without a reply in time."""
    of_step: bool = False
    """Whether it is an attempt at a step: it counts as a parallel step, and its failure is the step's."""
    in_flight: bool = False
    """Whether a cancelled session waits for it."""
    unreported_runs: int = 0
    """Tool runs that count as used when no reply says so."""


CALL_KINDS: Final[Mapping[CallKind, KindOfCall]] = {
    CallKind.PLAN: KindOfCall("planner", "planning"),
    CallKind.REVIEW: KindOfCall("reviewer", "reviewing"),
    CallKind.SELECTION: KindOfCall("tool selector", "running", of_step=True, in_flight=True),
    CallKind.TOOL: KindOfCall(
        "tool executor",
        "running",
        # The tool may have run.
        when_silent=FailureKind.UNKNOWN_OUTCOME,
        of_step=True,
        in_flight=True,
        unreported_runs=1,
    ),
    CallKind.RECOVERY: KindOfCall("recovery", "recovering"),
    CallKind.EVALUATION: KindOfCall("evaluator", "evaluating"),
    # A kind of a newer version, unknown to this one.
    CallKind.UNKNOWN: KindOfCall("service", "waiting"),
}
"""Every kind of call. A reader takes a kind that it does not know as UNKNOWN."""

OF_STEPS: Final = tuple(kind for kind in CallKind if CALL_KINDS[kind].of_step)
"""Kinds of calls that are attempts at steps."""

IN_FLIGHT: Final = tuple(kind for kind in CallKind if CALL_KINDS[kind].in_flight)
"""Kinds of calls that a cancelled session waits for: what they do cannot be undone."""


def purpose_of(call: Call) -> CallKind:
    """What the call is for: while recovery decides about it, the kind that it had when it failed."""
    return call.failed_kind if call.kind is CallKind.RECOVERY else call.kind


def call_of(message: object) -> Call | None:
    """The call that a command requests or an event is about; None for a message without one."""
    call = getattr(message, "call", None)
    return call if isinstance(call, Call) else None


def call_name(call: Call) -> str:
    """What a call is about, for people: `plan 2`, `step deploys`, `evaluation`."""
    match purpose_of(call):
        case CallKind.PLAN:
            return f"plan {call.revision}"
        case CallKind.REVIEW:
            return f"review by {call.step_id}"
        case CallKind.SELECTION | CallKind.TOOL:
            return f"step {call.step_id}"
        case CallKind.EVALUATION:
            # The first one of a session is the only one of most.
            number = call.step_id.rpartition("-")[2]
            return "evaluation" if number in ("", "1") else f"evaluation {number}"
        case CallKind.RECOVERY | CallKind.UNKNOWN:
            return f"call {call.step_id or call.call_id}"
        case kind:
            assert_never(kind)
