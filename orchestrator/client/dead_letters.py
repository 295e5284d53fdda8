"""Looking at what could not be processed."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from orchestrator.bus.codec import Codec
from orchestrator.bus.ports import Bus
from orchestrator.bus.standalone import all_partitions, read_to_end
from orchestrator.errors import ContractError
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.events import MessageDeadLettered


@dataclass(frozen=True)
class DeadLetter:
    """A dead letter and where it lies."""

    partition: int
    offset: int
    letter: MessageDeadLettered


Wanted = Callable[[MessageDeadLettered], bool]


def every(_letter: MessageDeadLettered) -> bool:
    return True


def newest(bus: Bus, codec: Codec, limit: int, timeout_s: float, wanted: Wanted = every) -> list[DeadLetter]:
    """The wanted dead letters that were written last, oldest of them first, each once however often it lies
    there: whoever wrote it may not have been sure of the first time."""
    known: set[str] = set()
    found: deque[DeadLetter] = deque(maxlen=limit)
    for one in _letters(bus, codec, timeout_s):
        if wanted(one.letter) and one.letter.event_id not in known:
            known.add(one.letter.event_id)
            found.append(one)
    return list(found)


def named(bus: Bus, codec: Codec, event_id: str, timeout_s: float) -> DeadLetter | None:
    """The dead letter of that id; None where there is none."""
    return next(
        (found for found in _letters(bus, codec, timeout_s) if found.letter.event_id == event_id), None
    )


def _letters(bus: Bus, codec: Codec, timeout_s: float) -> Iterator[DeadLetter]:
    for received in read_to_end(bus, all_partitions(bus, Topic.DEAD_LETTERS), timeout_s):
        try:
            letter = codec.decode(received)
        except ContractError:
            # A stranger's record in this topic is nobody's dead letter.
            continue
        if isinstance(letter, MessageDeadLettered):
            yield DeadLetter(received.partition, received.offset, letter)
