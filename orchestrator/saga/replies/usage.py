"""What is used without a reply."""

from collections.abc import Iterable

from orchestrator.messages import events
from orchestrator.saga.calls import late_usage
from orchestrator.saga.outputs import Draft
from orchestrator.saga.state import Session


def usage_reported(session: Session, report: events.UsageReported, _now: int) -> Iterable[Draft]:
    """Counts, and replies to nothing: a call that is open still waits."""
    return late_usage(session, report)
