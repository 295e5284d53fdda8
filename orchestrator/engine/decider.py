"""Step 2 of the orchestrator's loop: decides the records that were read and the timers that are due."""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from orchestrator.bus.codec import Codec
from orchestrator.bus.errors import SchemaPending, SchemaUnresolved
from orchestrator.bus.ports import Outgoing, Received
from orchestrator.delivery.caps import DECODE
from orchestrator.delivery.dead_letters import unresolved
from orchestrator.engine.assignment import SlotAssignment
from orchestrator.engine.quarantine import not_processable
from orchestrator.engine.routing import Routed, Router
from orchestrator.engine.staged_batch import StagedBatch
from orchestrator.engine.staged_output import StagedOutput
from orchestrator.engine.state.encoding import Encoder
from orchestrator.engine.state.store_writes import StoreAway
from orchestrator.engine.state.timers import Horizon
from orchestrator.errors import ConfigurationError, ContractError, UnavailableError
from orchestrator.messages import identity
from orchestrator.messages.call_ids import CallIds
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.types import AgentProfile
from orchestrator.saga import TimePassed

logger: Final = logging.getLogger(__name__)

_PENDING_S: Final = 0.05
"""After this long a record whose schema is being looked up is read again."""


class BatchAgents(Protocol):
    """Looks up agent profiles when the tasks of a batch are accepted."""

    def profile(self, name: str) -> AgentProfile | None:
        """The profile of that name. None if it was not defined before the batch was read."""


class Agents(Protocol):
    """Looks up agent profiles."""

    def for_batch(self) -> BatchAgents:
        """For a batch whose records were read before this call."""


class BatchDecider:
    """Has sessions handle their inputs and collects the outcome in a staged batch. Used by the loop's thread."""

    def __init__(
        self,
        assignment: SlotAssignment,
        codec: Codec,
        encoder: Encoder,
        agents: Agents,
        clock: Callable[[], int],
        call_ids: CallIds,
    ) -> None:
        self._assignment = assignment
        self._encoder = encoder
        self._agents = agents
        self._call_ids = call_ids
        self._router = Router(codec, assignment.partition_count, assignment.installation)
        self._horizon = Horizon(lambda numbers: assignment.end_offsets(Topic.EVENTS, numbers), clock)
        self._poisoned: dict[str, str] = {}
        """Inputs whose outputs the broker refused, and its reason."""

    @property
    def problem(self) -> str | None:
        """What waits for the value store, and why; None if nothing does. Any thread may read it."""
        owned, timers = list(self._assignment.partitions.values()), self._assignment.timers.postponed
        waiting = [f"{topic}/{one.number}" for one in owned for topic in tuple(one.awaiting_store)]
        waiting += [f"timers ({timers})"] if timers else []
        reason = self._encoder.writes.problem
        return f"{', '.join(waiting)} wait: {reason}" if waiting and reason else None

    def poison(self, input: str, reason: str) -> None:
        """Marks an input whose outputs the broker refuses: it is decided as too large when it is read again."""
        self._poisoned[input] = reason

    def clear(self, inputs: Iterable[str]) -> None:
        """Unmarks inputs that were committed."""
        for input in inputs if self._poisoned else ():
            self._poisoned.pop(input, None)

    def decide(
        self, received: Sequence[Received], now: int, checkpoints: Sequence[int], limit: int
    ) -> StagedBatch:
        """Decides all records and at most `limit` due timers; adds snapshots, and checkpoints of the partitions in
        `checkpoints`. `now` is Unix time in microseconds. Records behind one whose schema is being looked up, or which
        needs the value store while that is away, are left out, and their positions are held. Raises
        `UnavailableError`."""
        number = self._assignment.last_batch + 1
        batch = StagedBatch(
            number, self._assignment.partitions, StagedOutput(self._encoder, now), self._call_ids
        )
        agents = self._agents.for_batch()
        for record in received:
            if (record.topic, record.partition) in batch.held:
                # Their schemas are looked up together with the first one.
                self._router.is_pending(record)
            elif batch.mark_read(record):
                self._handle_record(batch, record, agents)
        self._handle_timers(batch, limit)
        if checkpoints:
            ends = self._assignment.end_offsets(Topic.SESSIONS, checkpoints)
            batch.checkpoint(ends, self._assignment.partition_count)
        batch.write_snapshots()
        return batch

    def _handle_record(self, batch: StagedBatch, record: Received, agents: BatchAgents) -> None:
        refusal = self._poisoned.get(record.location, "")
        try:
            routed = self._router.route(record)
        except SchemaPending:
            batch.hold(record, _PENDING_S)
            return
        except SchemaUnresolved as error:
            batch.output.dead_letter(record, unresolved(error), DECODE, refusal)
            return
        except (UnavailableError, ConfigurationError):
            raise
        except ContractError as error:
            batch.output.dead_letter(record, not_processable(str(error)), DECODE, refusal)
            return
        except Exception as error:  # a bug in decoding must not stop the partition
            logger.exception("decoding the record at %s failed; it is dead-lettered", record.location)
            failure = not_processable(f"{type(error).__name__}: {error}")
            batch.output.dead_letter(record, failure, DECODE, refusal)
            return
        if isinstance(routed, Outgoing):
            batch.output.forward(record, routed, refusal)
        elif isinstance(routed, Routed):
            self._handle_routed(batch, record, routed, agents, refusal)

    def _handle_routed(
        self, batch: StagedBatch, record: Received, routed: Routed, agents: BatchAgents, refusal: str
    ) -> None:
        """Handles an input of a session, or holds its position where that needs a value store that is away."""
        awaiting = self._assignment.partitions[record.partition].awaiting_store
        input = routed.input(record, agents.profile)
        try:
            batch.handle(record.partition, routed.correlation_id, input, record, refusal)
        except StoreAway:
            batch.hold(record, self._encoder.writes.pause_s)
            awaiting.add(record.topic)
        else:
            awaiting.discard(record.topic)

    def _handle_timers(self, batch: StagedBatch, limit: int) -> None:
        """Handles the timers that are due, once every event that was in the topic at the due time has been read."""
        due = self._assignment.timers.due(batch.now, limit if limit > 1 else 1 - len(batch.inputs))
        if not due:
            return
        latest = {number: at for at, _, number in due}
        self._horizon.refresh(latest)
        positions = {number: self._position(batch, number) for number in latest}
        for at, correlation_id, number in due:
            until = self._horizon.reached(number, at, positions[number])
            if until is not None:
                self._handle_timer(batch, at, correlation_id, number, until)
            elif Topic.EVENTS in self._assignment.partitions[number].awaiting_store:
                # The others must not wait behind all that are due in its partition.
                self._postpone(batch, correlation_id)

    def _handle_timer(
        self, batch: StagedBatch, at: int, correlation_id: str, number: int, until: int
    ) -> None:
        session = batch.session(number, correlation_id)
        sequence = session.sequence if session else 0
        input_id = identity.derived_id("due", correlation_id, sequence, at)
        input = TimePassed(message_id=input_id, until=until)
        try:
            batch.handle_timer(number, correlation_id, input, self._poisoned.get(input_id, ""))
        except StoreAway:
            self._postpone(batch, correlation_id)

    def _postpone(self, batch: StagedBatch, correlation_id: str) -> None:
        """Has a timer fire once the value store is tried again."""
        pause = int(self._encoder.writes.pause_s * 1e6)
        self._assignment.timers.postpone(correlation_id, batch.now + pause)

    def _position(self, batch: StagedBatch, number: int) -> int:
        """Up to where the events of a partition are handled, markers of transactions included."""
        if (Topic.EVENTS, number) in batch.held:
            return batch.position((Topic.EVENTS, number))
        return self._assignment.position(number)
