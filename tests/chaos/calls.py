"""Derives from a session's history which calls were open when, and which replies had to be taken."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tests.chaos.topics import Record

EFFECTS: Final[Mapping[str, frozenset[str]]] = {
    "PlanCreated": frozenset({"PlanProposed", "PlanAccepted", "PlanRejected"}),
    "PlanningFailed": frozenset({"CallFailed"}),
    "PlanReviewed": frozenset({"ReviewRecorded"}),
    "ReviewFailed": frozenset({"ReviewRecorded"}),
    "ToolSelected": frozenset({"StepAssigned"}),
    "SelectionFailed": frozenset({"CallFailed"}),
    "ToolCompleted": frozenset({"StepSucceeded"}),
    "ToolFailed": frozenset({"CallFailed"}),
    "RetryScheduled": frozenset({"RecoveryRecorded"}),
    "FallbackChosen": frozenset({"RecoveryRecorded"}),
    "RecoveryExhausted": frozenset({"RecoveryRecorded"}),
    "TaskEvaluated": frozenset({"EvaluationRecorded"}),
    "EvaluationFailed": frozenset({"CallFailed"}),
}
"""Events that show in the history that a reply was taken, if the reply caused them."""

_ENDS_CALLS_OF: Final[Mapping[str, frozenset[str]]] = {
    "PlanCreated": frozenset({"PLAN"}),
    "PlanningFailed": frozenset({"PLAN"}),
    "PlanReviewed": frozenset({"REVIEW"}),
    "ReviewFailed": frozenset({"REVIEW"}),
    "ToolSelected": frozenset({"SELECTION"}),
    "SelectionFailed": frozenset({"SELECTION"}),
    "ToolCompleted": frozenset({"SELECTION", "TOOL"}),
    "ToolFailed": frozenset({"SELECTION", "TOOL"}),
    "RetryScheduled": frozenset({"RECOVERY"}),
    "FallbackChosen": frozenset({"RECOVERY"}),
    "RecoveryExhausted": frozenset({"RECOVERY"}),
    "TaskEvaluated": frozenset({"EVALUATION"}),
    "EvaluationFailed": frozenset({"EVALUATION"}),
}
"""The kinds of calls that a reply ends. The end of a run may overtake the report of its selection."""

_BEGINS: Final = frozenset({"PlanStepReady", "StepAssigned", "CallFailed", "EvaluationRequested"})
_ENDS: Final = frozenset(
    {
        "PlanAccepted",
        "StepSucceeded",
        "StepFailed",
        "EvaluationRecorded",
        "ReviewRecorded",
        "RecoveryRecorded",
    }
)
_ENDS_ALL: Final = frozenset(
    {"PlanRejected", "TaskEscalated", "TaskCompleted", "TaskFailed", "TaskCancelled", "TaskRefused"}
)

Waiting = Mapping[str, str]
"""The kind of each open call, by call id."""


def after(waiting: Waiting, event: Record) -> Waiting:
    """The open calls after an event of the history."""
    name, body = event.name, event.body
    call: Any = body.get("call")
    if name in _BEGINS:
        return {**waiting, call["call_id"]: call["kind"]}
    if name in _ENDS:
        return {other: kind for other, kind in waiting.items() if other != call["call_id"]}
    if name == "PlanRequested":
        return {call["call_id"]: call["kind"]}
    if name == "PlanProposed":
        return {review["call_id"]: review["kind"] for review in body["reviews"]}
    if name == "CallTimedOut":
        rest = {other: kind for other, kind in waiting.items() if other != call["call_id"]}
        following = body["next"]
        return {**rest, following["call_id"]: following["kind"]} if following else rest
    if name == "CancelRequested":
        return {other: kind for other, kind in waiting.items() if kind in ("SELECTION", "TOOL")}
    return {} if name in _ENDS_ALL else waiting


def reply_faults(history: Sequence[Record], events: Sequence[Record]) -> Iterator[tuple[str, str]]:
    """Yields sessions with a fault in how their replies were taken, and the fault.

    The orchestrator reads each partition of events in order, and writes in the same order to the same partition of
    sessions. So a reply that was not taken was read between what the replies before it and those after it caused,
    whichever session they belong to. If its call was open all that time, the reply was ignored.
    """
    partitions = {record.partition for record in history} | {record.partition for record in events}
    for number in sorted(partitions):
        yield from _Partition(
            [record for record in history if record.partition == number],
            [record for record in events if record.partition == number and record.name in EFFECTS],
        ).faults()


class _Partition:
    def __init__(self, history: Sequence[Record], replies: Sequence[Record]) -> None:
        self.replies = replies
        self.states: dict[str, list[tuple[int, Waiting]]] = defaultdict(list)
        """By session: its open calls after an event, with the offset of the event."""
        self.reviews: dict[tuple[str, str], str] = {}
        self.taken: dict[str, int] = {}
        """By message id: offset of the event that shows that the reply was taken."""
        self.late: dict[str, int] = {}
        """By message id: offset of the event that shows that the reply was late."""
        names = {reply.message_id: reply.name for reply in replies}
        for event in history:
            self._add(event, EFFECTS.get(names.get(event.causation_id, ""), frozenset()))

    def _add(self, event: Record, effects: frozenset[str]) -> None:
        states = self.states[event.session]
        states.append((event.offset, after(states[-1][1] if states else {}, event)))
        if event.name in effects:
            self.taken.setdefault(event.causation_id, event.offset)
        if event.name == "UsageRecorded":
            self.late.setdefault(event.causation_id, event.offset)
        if event.name == "PlanProposed":
            for review in event.body["reviews"]:
                self.reviews[event.body["call"]["call_id"], review["step_id"]] = review["call_id"]

    def faults(self) -> Iterator[tuple[str, str]]:
        seen: set[str] = set()
        furthest = -1
        for reply, bound in zip(self.replies, self._bounds_after(), strict=True):
            shown_at = self._shown_at(reply)
            if reply.message_id in seen:
                continue
            seen.add(reply.message_id)
            if shown_at is not None and shown_at < furthest:
                yield reply.session, f"{reply} was taken at offset {shown_at}, after replies that follow it"
            if reply.message_id not in self.taken:
                window = (furthest, bound) if shown_at is None else (shown_at - 1, shown_at)
                yield from self._untaken(reply, *window)
            furthest = max(furthest, -1 if shown_at is None else shown_at)

    def _shown_at(self, reply: Record) -> int | None:
        return self.taken.get(reply.message_id, self.late.get(reply.message_id))

    def _bounds_after(self) -> list[float]:
        """For each reply the offset of the first event that a later reply caused. A reply that was sent twice caused
        its events at its first offset."""
        first = {reply.message_id: reply for reply in reversed(self.replies)}
        bounds: list[float] = []
        bound = float("inf")
        for reply in reversed(self.replies):
            bounds.append(bound)
            shown_at = self._shown_at(reply) if first[reply.message_id] is reply else None
            bound = bound if shown_at is None else min(bound, shown_at)
        return bounds[::-1]

    def _untaken(self, reply: Record, after_offset: int, before_offset: float) -> Iterator[tuple[str, str]]:
        call = self._call_of(reply)
        if call is None:
            return
        states = self.states.get(reply.session, [])
        if not any(call in waiting for _, waiting in states):
            yield reply.session, f"{reply} replies to call {call}, which was never opened"
            return
        waits = [(offset, waiting.get(call) in _ENDS_CALLS_OF[reply.name]) for offset, waiting in states]
        # A service replies after it has read the call, so the history before that does not count.
        opened = next((offset for offset, waited in waits if waited), float("inf"))
        earlier = [waited for offset, waited in waits if opened <= offset <= after_offset][-1:]
        since = max(opened, after_offset + 1)
        meanwhile = earlier + [waited for offset, waited in waits if since <= offset < before_offset]
        if meanwhile and all(meanwhile):
            yield reply.session, f"{reply} was ignored, although call {call} was open"

    def _call_of(self, reply: Record) -> str | None:
        """The call that a reply belongs to; None for a review by a reviewer that was not asked."""
        body = reply.body
        if reply.name == "PlanReviewed":
            return self.reviews.get((body["plan_call_id"], body["review"]["reviewer"]))
        if reply.name == "ReviewFailed":
            return self.reviews.get((body["plan_call_id"], body["reviewer"]))
        return str(body["call"]["call_id"])
