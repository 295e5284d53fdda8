"""The transactional producer of one slot, replaced whenever its state is unknown."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.errors import FatalError
from orchestrator.bus.ports import Bus, Commit, GroupMetadata, Outgoing, Position, TransactionalProducer
from orchestrator.errors import OrchestratorError

_LAST_ABORT_S: Final = 5.0

OnStep = Callable[[str], None]
"""Called with the name of each step before it begins. Tests crash the loop between two steps with it."""


class Transactions:
    """Commits transactions under one stable transactional id. Used by one thread."""

    def __init__(self, bus: Bus, name: str, on_step: OnStep) -> None:
        self._bus = bus
        self._name = name
        self._on_step = on_step
        self._producer: TransactionalProducer | None = None
        self._open = False

    def prepare(self, deadline: Deadline) -> TransactionalProducer:
        """The producer; a new one fences its predecessors and waits until their transactions have ended."""
        if self._producer is None:
            producer = self._bus.transactional_producer(self._name)
            try:
                producer.init(deadline)
            except BaseException:
                producer.close()
                raise
            self._producer = producer
        return self._producer

    def commit(
        self,
        records: Iterable[Outgoing],
        offsets: Mapping[Position, Commit],
        group: GroupMetadata,
        deadline: Deadline,
    ) -> None:
        """Commits records and offsets in one transaction. Raises as `ports.TransactionalProducer` does."""
        producer = self.prepare(deadline)
        self._on_step("begin")
        producer.begin()
        self._open = True
        self._on_step("send")
        for outgoing in records:
            producer.send(outgoing)
        self._on_step("send offsets")
        producer.send_offsets(offsets, group, deadline)
        self._on_step("commit")
        producer.commit(deadline)
        self._open = False

    def abort(self, deadline: Deadline) -> None:
        """Aborts the open transaction, if there is one."""
        if self._producer is not None and self._open:
            self._producer.abort(deadline)
            self._open = False

    def discard(self) -> None:
        """Drops the producer without waiting. The next one ends its transaction, committed if the broker already
        began to commit it, aborted otherwise."""
        if self._producer is not None:
            self._producer.close()
        self._producer = None
        self._open = False

    def close(self) -> None:
        """Aborts an open transaction, so that readers need not wait for its timeout, and drops the producer."""
        try:
            self.abort(Deadline.after(_LAST_ABORT_S))
        except (OrchestratorError, FatalError):
            pass
        finally:
            self.discard()
