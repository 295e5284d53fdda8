"""Sessions in the session store, written by the recorder."""

from collections.abc import Iterable

from orchestrator.messages.base import Event
from orchestrator.messages.catalogue import entry_of
from orchestrator.sdk import Delivery
from orchestrator.sessions.recorder import SessionRecorder
from orchestrator.sessions.store import SessionStore


def record(store: SessionStore, history: Iterable[Event], partition: int = 0) -> None:
    """Records the events as if they were all that their topics' partitions hold."""
    batch = [
        Delivery(entry_of(type(event)).topic, partition, offset, event.occurred_at // 1000, event)
        for offset, event in enumerate(history)
    ]
    SessionRecorder(store).write(batch, {(one.topic, partition): one.offset + 1 for one in batch})
