"""The saga loop in this process, wired as `orchestrator run` wires it."""

import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self

from orchestrator.app.agents import DefinedAgents
from orchestrator.app.session_observer import SessionObserver
from orchestrator.app.wiring import Wiring
from orchestrator.bus.deadline import Deadline
from orchestrator.clock import unix_micros
from orchestrator.engine.loop import SagaLoop
from orchestrator.engine.observer import Transaction
from orchestrator.messages.base import Message
from orchestrator.telemetry.metrics import ProcessMetrics
from orchestrator.telemetry.tracing import NoTracing
from orchestrator.worker.broadcast.definitions import DefinitionsReader
from orchestrator.worker.host import BROADCAST_GROUP

TIMEOUT_S: Final = 300.0


class _MessageObserver(SessionObserver):
    """Does what the orchestrator's own observer does, and passes on the messages that were written."""

    def __init__(self, metrics: ProcessMetrics, on_committed: Callable[[Sequence[Message]], None]) -> None:
        super().__init__(NoTracing(), metrics)
        self._on_committed = on_committed

    def committed(self, transaction: Transaction) -> None:
        super().committed(transaction)
        self._on_committed(transaction.messages)


class RunningLoop:
    """The loop in a thread; restored and ready inside `with`. Calls `on_committed` on that thread with the messages of
    each transaction. `failure` is the error that ended the loop."""

    def __init__(self, wiring: Wiring, on_committed: Callable[[Sequence[Message]], None]) -> None:
        self.failure: Exception | None = None
        self._definitions = DefinitionsReader(wiring.bus, wiring.codec, BROADCAST_GROUP)
        self.loop = SagaLoop(
            wiring.bus,
            wiring.codec,
            wiring.values,
            DefinedAgents(self._definitions),
            unix_micros,
            wiring.settings.loop,
            _MessageObserver(wiring.metrics, on_committed),
            call_ids=wiring.settings.call_ids,
        )
        self._thread = threading.Thread(target=self._run, name="orchestrator")

    def __enter__(self) -> Self:
        self._definitions.start()
        self._definitions.catch_up(Deadline.after(TIMEOUT_S))
        self._thread.start()
        deadline = Deadline.after(TIMEOUT_S)
        while not self.loop.ready.wait(0.01):
            if self.failure is not None or deadline.passed:
                self._end()
                raise RuntimeError("the loop got no partitions in time") from self.failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        self.loop.stop()
        self._thread.join()
        self._definitions.stop()

    def _run(self) -> None:
        try:
            self.loop.run()
        except Exception as error:  # noqa: BLE001 - raised in the thread that waits for the loop
            self.failure = error


class Ends:
    """Waits until a number of events of a kind have been committed."""

    def __init__(self) -> None:
        self._kind: type[Message] = Message
        self._left = 0
        self._done = threading.Event()

    def expect(self, kind: type[Message], count: int) -> None:
        self._kind, self._left = kind, count
        self._done.clear()

    def committed(self, messages: Sequence[Message]) -> None:
        kind = self._kind
        self._left -= sum(type(message) is kind for message in messages)
        if self._left <= 0:
            self._done.set()

    def wait(self) -> None:
        if not self._done.wait(TIMEOUT_S):
            raise RuntimeError(f"{self._left} {self._kind.__name__} events were not committed in time")
