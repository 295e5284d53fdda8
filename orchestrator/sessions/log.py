"""Events of a session, read from the topics instead of the session store."""

from dataclasses import dataclass

from orchestrator.bus.codec import Codec
from orchestrator.bus.errors import SchemaUnresolved
from orchestrator.bus.ports import Bus
from orchestrator.bus.standalone import read_to_end, session_partition
from orchestrator.errors import ContractError
from orchestrator.messages.base import Event
from orchestrator.messages.catalogue import Topic

TIMEOUT_S = 30.0
"""How long a partition may stay silent before the cluster counts as unavailable."""


@dataclass(frozen=True)
class Logged:
    """A session's events in the order of their topics, and what could not be read, for people."""

    events: tuple[Event, ...]
    problems: tuple[str, ...]


def logged_events(
    bus: Bus,
    codec: Codec,
    correlation_id: str,
    topics: tuple[Topic, ...] = (Topic.SESSIONS, Topic.EVENTS),
    timeout_s: float = TIMEOUT_S,
) -> Logged:
    """Reads the session's partition of these topics from beginning to end, `read_committed`.

    An event that was written twice is returned twice. Raises `UnavailableError` when the cluster is silent.
    """
    positions = [session_partition(bus, topic, correlation_id) for topic in topics]
    key = correlation_id.encode()
    events: list[Event] = []
    problems: list[str] = []
    records = [each for each in read_to_end(bus, positions, timeout_s) if each.key == key]
    codec.ask(records)
    for received in records:
        try:
            message = codec.decode(received)
        except (ContractError, SchemaUnresolved) as error:
            place = f"{received.topic}/{received.partition} at {received.offset}"
            problems.append(f"the record in {place} cannot be decoded: {error}")
            continue
        if isinstance(message, Event):
            events.append(message)
    return Logged(tuple(events), tuple(problems))
