"""A partition whose sessions handle inputs in transactions, in memory, and which is restored again and again."""

import itertools
from pathlib import Path
from typing import Any, cast

from orchestrator.bus.avro.schema_ids import CatalogueIds
from orchestrator.bus.codec import Codec
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import Commit, Consumer
from orchestrator.bus.values.folder import FolderValues
from orchestrator.bus.values.message_values import MessageValues
from orchestrator.engine.offset_metadata import metadata_of
from orchestrator.engine.recovery.restore import restore
from orchestrator.engine.staged_batch import StagedBatch
from orchestrator.engine.staged_output import StagedOutput
from orchestrator.engine.state.encoding import Encoder
from orchestrator.engine.state.partition import INPUT_TOPICS, Partition
from orchestrator.engine.state.timers import Timers
from orchestrator.messages import commands, identity
from orchestrator.messages.base import SessionEvent
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.types import AgentProfile
from orchestrator.saga import Input, Session, Submission, TimePassed, next_due
from orchestrator.testing.scenario import ORIGINAL, START
from tests.support.memory_log import MemoryLog
from tests.support.simulation import Choices, Services


class SagaPartition:
    """Sessions by number, the inputs in flight to them, and the log."""

    def __init__(self, choices: Choices, values: Path) -> None:
        self.now = START
        self.choices = choices
        self.log = MemoryLog()
        self.partition = Partition(0, positions=dict.fromkeys(INPUT_TOPICS, 0), sessions_end=0)
        self.timers = Timers()
        self.pool: list[tuple[str, Input]] = []
        self.handled: list[tuple[str, Input]] = []
        self.codec = Codec(CatalogueIds())
        self.encoder = Encoder(self.codec, MessageValues(FolderValues(values)), "/orchestrator/0")
        self._batch = 0
        self._ids = itertools.count()

    def new_number(self) -> int:
        return next(self._ids)

    def submit(self, number: int, profile: AgentProfile) -> None:
        name = identity.derived_id("partition", number)
        task = commands.SubmitTask(
            command_id=identity.derived_id("submit", number),
            correlation_id=name,
            occurred_at=1,
            goal="find out",
            key=f"order-{number}" if number % 2 else "",
        )
        self.pool.append((name, Submission(task=task, profile=profile, original=ORIGINAL)))

    def cancel(self, name: str) -> None:
        made = commands.CancelTask(command_id=self._new_id(), correlation_id=name, occurred_at=self.now)
        self.pool.append((name, made))

    def transaction(self, *, commit: bool = True, checkpoint: bool = False) -> None:
        """Handles some of the inputs in flight. If it is aborted, they are in flight again."""
        batch = StagedBatch(self._batch + 1, {0: self.partition}, StagedOutput(self.encoder, self.now))
        inputs = [self._next() for _ in range(self.choices.of(1, 2, 3)) if self.pool]
        for name, input in inputs:
            batch.handle(0, name, input)
        for due, name, number in self.timers.due(self.now, 10):
            batch.handle_timer(
                number, name, TimePassed(message_id=identity.derived_id(name, due), until=self.now)
            )
        if checkpoint:
            batch.checkpoint({0: self.log.end(Topic.SESSIONS)}, 1)
        batch.write_snapshots()
        if not commit:
            self.log.abort(batch.output.records)
            self.pool = inputs + self.pool
        elif batch.is_empty:
            batch.advance(self.timers)
        else:
            self.log.commit(batch.output.records)
            self._batch = batch.number
            batch.promote(self.timers)
            for output in batch.output.messages:
                self._reply_to(output)

    def wait(self) -> None:
        """Lets time pass until a timer is due."""
        due = self.timers.next_at()
        self.now = max(self.now + 1, due if due is not None else 0)

    def restored(self) -> Partition:
        committed: dict[Topic, Commit] = dict.fromkeys(
            INPUT_TOPICS, (0, metadata_of(self._batch, 1, self.partition.sessions_end))
        )
        reader = cast("Consumer", self.log)
        found, _ = restore(0, 1, reader, committed, self.codec, self.encoder.values, Deadline.after(60))
        return found

    def sessions(self, partition: Partition) -> dict[str, Session]:
        return {name: live.session for name, live in partition.live.items()}

    def dues(self, partition: Partition) -> dict[str, int | None]:
        return {name: next_due(live.session) for name, live in partition.live.items()}

    def history(self) -> dict[str, list[int]]:
        """Sequences in the order they were written, by session."""
        found: dict[str, list[int]] = {}
        for received in self.log._records[Topic.SESSIONS]:
            event: SessionEvent = self.codec.decode(received)
            found.setdefault(event.correlation_id, []).append(event.sequence)
        return found

    def _next(self) -> tuple[str, Input]:
        """An input in flight, or one that was handled before."""
        if self.handled and not self.choices.of(True, True, True, True, True, False):
            return self.choices.of(*self.handled)
        taken = self.pool.pop(self.choices.of(*range(len(self.pool))))
        self.handled.append(taken)
        return taken

    def _reply_to(self, output: Any) -> None:
        def event(kind: type[Any], **fields: Any) -> Any:
            return kind(
                event_id=self._new_id(), correlation_id=output.correlation_id, occurred_at=self.now, **fields
            )

        replies = Services(event).replies(output, self.choices)
        self.pool += [(output.correlation_id, reply) for reply in replies]

    def _new_id(self) -> str:
        return identity.derived_id("message", next(self._ids))
