"""Step 2 of the orchestrator's loop: from what arrived, and what is due, to a stage."""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol, cast

from orchestrator.bus.codec import Codec
from orchestrator.bus.ports import Outgoing, Received
from orchestrator.errors import ConfigurationError, ContractError, UnavailableError
from orchestrator.messages import commands, identity
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.types import AgentProfile
from orchestrator.runtime.encoding import Encoder
from orchestrator.runtime.intake import Intake, Taken, submission
from orchestrator.runtime.ownership import Ownership
from orchestrator.runtime.stage import Stage, place_of
from orchestrator.runtime.timers import Horizon
from orchestrator.saga import Input, TimePassed

log: Final = logging.getLogger(__name__)


class Agents(Protocol):
    """Where profiles are looked up at acceptance."""

    def profile(self, name: str) -> AgentProfile | None:
        """The profile of that name, looked for again before the answer is no."""


class Deciding:
    """Tells sessions what is for them. Used by the loop's thread."""

    def __init__(
        self, owned: Ownership, codec: Codec, encoder: Encoder, agents: Agents, clock: Callable[[], int]
    ) -> None:
        self._owned = owned
        self._encoder = encoder
        self._agents = agents
        self._intake = Intake(codec, owned.partition_count)
        self._horizon = Horizon(lambda numbers: owned.ends(Topic.EVENTS, numbers), clock)
        self._condemned: dict[str, str] = {}
        """Inputs whose consequences the broker refused, and what it said."""

    def condemn(self, told: str, reason: str) -> None:
        """The broker refuses what follows from this input: it is to be refused, or to fail."""
        self._condemned[told] = reason

    def absolve(self, inputs: Iterable[str]) -> None:
        """These are settled."""
        for told in inputs if self._condemned else ():
            self._condemned.pop(told, None)

    def staged(self, received: Sequence[Received], now: int, upkeep: Sequence[int], limit: int) -> Stage:
        """All of the records and at most `limit` of what is due, decided. Raises `UnavailableError`."""
        stage = Stage(self._owned.last_batch + 1, self._owned.partitions, self._encoder, now)
        for record in received:
            if stage.read(record):
                self._tell(stage, record)
        self._tell_times(stage, limit)
        if upkeep:
            stage.keep_up(self._owned.ends(Topic.SESSIONS, upkeep), self._owned.partition_count)
        stage.close()
        return stage

    def _tell(self, stage: Stage, record: Received) -> None:
        try:
            taken = self._intake.take(record)
        except (UnavailableError, ConfigurationError):
            raise
        except ContractError as error:
            stage.reject(record, str(error), "decode")
            return
        except Exception as error:  # a bug in decoding must not stop the partition
            log.exception("the record at %s cannot be decoded", place_of(record))
            stage.reject(record, f"{type(error).__name__}: {error}", "decode")
            return
        if isinstance(taken, Outgoing):
            stage.forward(record, taken)
        elif isinstance(taken, Taken):
            message = taken.message
            told = (
                submission(message, self._agents.profile(message.agent), record)
                if isinstance(message, commands.SubmitTask)
                else cast("Input", message)
            )
            refused = self._condemned.get(place_of(record), "")
            stage.tell(record.partition, taken.correlation_id, told, record, refused)

    def _tell_times(self, stage: Stage, limit: int) -> None:
        """Tells sessions that they are due, once everything was read that may have come before."""
        due = self._owned.timers.due(stage.now, limit if limit > 1 else 1 - len(stage.inputs))
        if not due:
            return
        latest = {number: at for at, _, number in due}
        self._horizon.look(latest)
        at_event = {number: self._owned.position(number) for number in latest}
        for at, correlation_id, number in due:
            until = self._horizon.reached(number, at, at_event[number])
            if until is not None:
                session = stage.session(number, correlation_id)
                sequence = session.sequence if session else 0
                told_id = identity.derived_id("due", correlation_id, sequence, at)
                told = TimePassed(message_id=told_id, until=until)
                stage.tell_time(number, correlation_id, told, self._condemned.get(told.message_id, ""))
