"""Reading dead letters."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from orchestrator.bus.codec import Codec
from orchestrator.bus.errors import SchemaUnresolved
from orchestrator.bus.ports import Bus
from orchestrator.bus.standalone import all_partitions, read_to_end
from orchestrator.errors import ContractError
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.events import MessageDeadLettered


@dataclass(frozen=True)
class DeadLetter:
    """A dead letter and its position in the topic of dead letters."""

    partition: int
    offset: int
    event: MessageDeadLettered


Wanted = Callable[[MessageDeadLettered], bool]
"""Selects dead letters."""


def every(_event: MessageDeadLettered) -> bool:
    return True


def newest(bus: Bus, codec: Codec, limit: int, timeout_s: float, wanted: Wanted = every) -> list[DeadLetter]:
    """The newest `limit` dead letters that are `wanted`, newest last.

    Each is listed once even if the topic holds it twice: a writer that did not see the acknowledgement of its
    first attempt writes again. Raises `UnavailableError`.
    """
    known: set[str] = set()
    found: deque[DeadLetter] = deque(maxlen=limit)
    for one in _all(bus, codec, timeout_s):
        if wanted(one.event) and one.event.event_id not in known:
            known.add(one.event.event_id)
            found.append(one)
    return list(found)


def with_id(bus: Bus, codec: Codec, event_id: str, timeout_s: float) -> DeadLetter | None:
    """The dead letter with this id; None if it does not exist. Raises `UnavailableError`."""
    return next((one for one in _all(bus, codec, timeout_s) if one.event.event_id == event_id), None)


def _all(bus: Bus, codec: Codec, timeout_s: float) -> Iterator[DeadLetter]:
    for received in read_to_end(bus, all_partitions(bus, Topic.DEAD_LETTERS), timeout_s):
        try:
            event = codec.decode(received)
        except (ContractError, SchemaUnresolved):
            # Not written by the platform, so not a dead letter.
            continue
        if isinstance(event, MessageDeadLettered):
            yield DeadLetter(received.partition, received.offset, event)
