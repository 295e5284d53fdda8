"""Step 2 of the orchestrator's loop: from what arrived, and what is due, to a batch."""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from orchestrator.bus.codec import Codec
from orchestrator.bus.ports import Outgoing, Received
from orchestrator.engine.assignment import SlotAssignment
from orchestrator.engine.routing import Routed, Router
from orchestrator.engine.staged_batch import StagedBatch, place_of
from orchestrator.engine.state.encoding import Encoder
from orchestrator.engine.state.timers import Horizon
from orchestrator.errors import ConfigurationError, ContractError, UnavailableError
from orchestrator.messages import identity
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.types import AgentProfile
from orchestrator.saga import TimePassed

logger: Final = logging.getLogger(__name__)


class Agents(Protocol):
    """Where profiles are looked up at acceptance."""

    def profile(self, name: str) -> AgentProfile | None:
        """The profile of that name, looked for again before the answer is no."""


class BatchDecider:
    """Tells sessions what is for them. Used by the loop's thread."""

    def __init__(
        self, owned: SlotAssignment, codec: Codec, encoder: Encoder, agents: Agents, clock: Callable[[], int]
    ) -> None:
        self._owned = owned
        self._encoder = encoder
        self._agents = agents
        self._router = Router(codec, owned.partition_count)
        self._horizon = Horizon(lambda numbers: owned.ends(Topic.EVENTS, numbers), clock)
        self._poisoned: dict[str, str] = {}
        """Inputs whose consequences the broker refused, and what it said."""

    def poison(self, input: str, reason: str) -> None:
        """The broker refuses what follows from this input: it is to be refused, or to fail."""
        self._poisoned[input] = reason

    def clear(self, inputs: Iterable[str]) -> None:
        """These are settled."""
        for input in inputs if self._poisoned else ():
            self._poisoned.pop(input, None)

    def staged(
        self, received: Sequence[Received], now: int, checkpoints: Sequence[int], limit: int
    ) -> StagedBatch:
        """All of the records and at most `limit` of what is due, decided. Raises `UnavailableError`."""
        batch = StagedBatch(self._owned.last_batch + 1, self._owned.partitions, self._encoder, now)
        for record in received:
            if batch.read(record):
                self._handle(batch, record)
        self._handle_times(batch, limit)
        if checkpoints:
            batch.checkpoint(self._owned.ends(Topic.SESSIONS, checkpoints), self._owned.partition_count)
        batch.close()
        return batch

    def _handle(self, batch: StagedBatch, record: Received) -> None:
        try:
            routed = self._router.route(record)
        except (UnavailableError, ConfigurationError):
            raise
        except ContractError as error:
            batch.reject(record, str(error), "decode")
            return
        except Exception as error:  # a bug in decoding must not stop the partition
            logger.exception("the record at %s cannot be decoded", place_of(record))
            batch.reject(record, f"{type(error).__name__}: {error}", "decode")
            return
        if isinstance(routed, Outgoing):
            batch.forward(record, routed)
        elif isinstance(routed, Routed):
            input = routed.input(record, self._agents.profile)
            refused = self._poisoned.get(place_of(record), "")
            batch.handle(record.partition, routed.correlation_id, input, record, refused)

    def _handle_times(self, batch: StagedBatch, limit: int) -> None:
        """Tells sessions that they are due, once everything was read that may have come before."""
        due = self._owned.timers.due(batch.now, limit if limit > 1 else 1 - len(batch.inputs))
        if not due:
            return
        latest = {number: at for at, _, number in due}
        self._horizon.look(latest)
        at_event = {number: self._owned.position(number) for number in latest}
        for at, correlation_id, number in due:
            until = self._horizon.reached(number, at, at_event[number])
            if until is not None:
                session = batch.session(number, correlation_id)
                sequence = session.sequence if session else 0
                input_id = identity.derived_id("due", correlation_id, sequence, at)
                input = TimePassed(message_id=input_id, until=until)
                batch.handle_time(number, correlation_id, input, self._poisoned.get(input.message_id, ""))
