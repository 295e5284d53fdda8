"""What the transaction of a batch writes: messages, dead letters, forwarded records and snapshots, in order."""

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from orchestrator.bus.ports import Outgoing, Position, Received
from orchestrator.delivery.dead_letters import bounded_dead_letter
from orchestrator.delivery.failed_replies import TOO_LARGE
from orchestrator.engine.quarantine import (
    not_processable,
    quarantined_session,
    record_dead_letter,
    session_dead_letter,
)
from orchestrator.engine.state import snapshots
from orchestrator.engine.state.encoding import Encoder
from orchestrator.engine.state.partition import LiveSession
from orchestrator.engine.state.store_writes import StoreAway
from orchestrator.errors import ContractError, UnavailableError
from orchestrator.messages.base import Message
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.types import Failure
from orchestrator.saga import Session

logger: Final = logging.getLogger(__name__)


@dataclass
class StagedOutput:
    """The records of a batch that is decided at the time `now`, Unix time in microseconds."""

    encoder: Encoder
    now: int
    records: list[Outgoing] = field(default_factory=list)
    """All records, in order."""
    messages: list[Message] = field(default_factory=list)
    """The messages among them, decoded, for traces, logs and metrics after the commit."""
    dead_letters: Counter[tuple[Position, str]] = field(default_factory=Counter)
    """Dead letters of records and sessions, by the position of the record that caused them and by stage."""

    def write(self, message: Message, partition: int | None = None) -> None:
        """Raises `ContractError` for a message that cannot be encoded or is too large."""
        self.add(message, self.encoder.encode(message, partition))

    def add(self, message: Message, encoded: Outgoing) -> None:
        self.records.append(encoded)
        self.messages.append(message)

    def forward(self, received: Received, outgoing: Outgoing, refusal: str = "") -> None:
        """Forwards a record byte for byte. `refusal` is why the broker refused to take it; empty if it did not."""
        if self.encoder.fits(outgoing) and not refusal:
            self.records.append(outgoing)
            return
        problem = refusal or "too large to be forwarded to the partition of its session"
        self.dead_letter(received, not_processable(problem), "route", refusal)

    def dead_letter(self, received: Received, failure: Failure, stage: str, refusal: str = "") -> None:
        """Dead-letters a record that cannot be processed: whole, or in parts if the broker refused it whole."""
        made = record_dead_letter(received, failure, stage, self.now)
        self.dead_letters[(received.topic, received.partition), stage] += 1
        self.write(bounded_dead_letter(made) if refusal else made)

    def quarantine(
        self,
        partition: int,
        correlation_id: str,
        session: Session | None,
        failure: Failure,
        received: Received | None = None,
    ) -> None:
        """Dead-letters a session, and records in the snapshots topic that further inputs are dropped."""
        topic = received.topic if received else Topic.EVENTS
        made = session_dead_letter(correlation_id, session, failure, self.now, received)
        self.dead_letters[(topic, partition), made.stage] += 1
        self.write(bounded_dead_letter(made) if failure.code == TOO_LARGE else made)
        record = quarantined_session(correlation_id, session, failure, self.now)
        self.records.append(snapshots.quarantine(self.encoder, partition, record))

    def snapshots(self, partition: int, sessions: Iterable[LiveSession], end: int) -> dict[str, int]:
        """Writes snapshots, and returns their bytes by correlation id. `end` is the offset up to which they hold the
        history. A session whose snapshot cannot be written is left out: its restore reads more history."""
        sizes = {}
        for live in sessions:
            name = live.session.correlation_id
            try:
                outgoing = snapshots.snapshot(self.encoder, partition, live.session, end)
            except StoreAway:
                continue  # which is said once, not for each session
            except (UnavailableError, ContractError) as error:
                logger.error("the snapshot of session %s cannot be written: %s", name, error)
                continue
            self.records.append(outgoing)
            sizes[name] = len(outgoing.value or b"")
        return sizes
