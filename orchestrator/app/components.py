"""The components of a process behind one interface: the orchestrator's loop, workers, sinks."""

import logging
import threading
from collections.abc import Collection
from typing import Final, Protocol

from orchestrator.bus.deadline import Deadline
from orchestrator.engine.loop import SagaLoop
from orchestrator.engine.recovery.partition_counts import SESSION_TOPICS
from orchestrator.errors import UnavailableError
from orchestrator.messages.catalogue import Topic
from orchestrator.sdk.containment import as_exception
from orchestrator.worker.loop import Worker

logger: Final = logging.getLogger(__name__)


class Component(Protocol):
    """Runs in threads of its own."""

    @property
    def failure(self) -> Exception | None:
        """Why it failed; None while it has not."""

    @property
    def topics(self) -> Collection[Topic]:
        """What it reads."""

    def start(self) -> None: ...

    def wait_ready(self, deadline: Deadline) -> None:
        """Returns when it is ready. Raises its failure, or `UnavailableError` at the deadline."""

    def stop(self, deadline: Deadline) -> None:
        """Drains: finishes work in flight until the deadline, then stops."""


class OrchestratorComponent:
    """The orchestrator's loop in a thread."""

    topics = SESSION_TOPICS

    def __init__(self, loop: SagaLoop) -> None:
        self.failure: Exception | None = None
        self._loop = loop
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="orchestrator", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wait_ready(self, deadline: Deadline) -> None:
        while not self._loop.ready.wait(0.05):
            if self.failure is not None:
                raise self.failure
            # Restoring has a timeout of its own: a start that is cut off would only begin again.
            if deadline.passed and not self._loop.restoring:
                raise UnavailableError(
                    "the orchestrator was not assigned partitions in time: check that Kafka is reachable and that "
                    "no other orchestrator runs in this slot"
                )

    def stop(self, deadline: Deadline) -> None:
        self._loop.stop()
        self._thread.join(deadline.remaining())

    def _run(self) -> None:
        try:
            self._loop.run()
        except BaseException as error:
            logger.error("the orchestrator failed: %s", error, exc_info=error)
            self.failure = as_exception(error)


class WorkerComponent:
    """A service's worker."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    @property
    def failure(self) -> Exception | None:
        return self._worker.failure

    @property
    def topics(self) -> Collection[Topic]:
        return self._worker.service.topics

    def start(self) -> None:
        self._worker.start()

    def wait_ready(self, deadline: Deadline) -> None:
        """Returns when the worker has joined its group, even without partitions: with more copies than partitions
        some stand by."""
        while True:
            if self._worker.failure is not None:
                raise self._worker.failure
            try:
                self._worker.wait_assigned(Deadline.after(min(0.1, deadline.remaining())))
            except UnavailableError:
                if deadline.passed:
                    raise
            else:
                return

    def stop(self, deadline: Deadline) -> None:
        self._worker.stop(deadline)
