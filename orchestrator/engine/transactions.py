"""One slot's transactional producer, made anew whenever nobody can say in what state it is."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.errors import FatalError
from orchestrator.bus.ports import Bus, Commit, GroupMetadata, Outgoing, Position, TransactionalProducer
from orchestrator.errors import OrchestratorError

_LAST_ABORT_S: Final = 5.0

OnStep = Callable[[str], None]
"""Told before each step that can be crashed between: for tests alone."""


class Transactions:
    """Writes transactions under one stable id. Used by one thread."""

    def __init__(self, bus: Bus, name: str, on_step: OnStep) -> None:
        self._bus = bus
        self._name = name
        self._on_step = on_step
        self._producer: TransactionalProducer | None = None
        self._open = False

    def prepare(self, deadline: Deadline) -> TransactionalProducer:
        """A producer that works: fences predecessors, and waits for the end of their transactions."""
        if self._producer is None:
            producer = self._bus.transactional_producer(self._name)
            try:
                producer.init(deadline)
            except BaseException:
                producer.close()
                raise
            self._producer = producer
        return self._producer

    def run(
        self,
        records: Iterable[Outgoing],
        offsets: Mapping[Position, Commit],
        group: GroupMetadata,
        deadline: Deadline,
    ) -> None:
        """One transaction, committed. Raises as `ports.TransactionalProducer` does."""
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
        if self._producer is not None and self._open:
            self._producer.abort(deadline)
            self._open = False

    def give_up(self) -> None:
        """Drops the producer, whatever it is doing: the next one ends its transaction, if it can be ended."""
        if self._producer is not None:
            self._producer.close()
        self._producer = None
        self._open = False

    def close(self) -> None:
        """Ends; an open transaction is taken back, so that readers need not wait for its time-out."""
        try:
            self.abort(Deadline.after(_LAST_ABORT_S))
        except (OrchestratorError, FatalError):
            pass
        finally:
            self.give_up()
