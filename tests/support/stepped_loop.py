"""The orchestrator's loop on the embedded broker, with faults that a test injects before chosen steps."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator.engine.loop import SagaLoop
from orchestrator.engine.observer import LoopObserver, Transaction
from orchestrator.messages.base import Message
from orchestrator.messages.events import TaskCompleted
from tests.support.remembering_bus import RememberingBus
from tests.support.saga_lab import SagaLab
from tests.support.workers import TIMEOUT_S, Lab, until


class SteppedLoop(LoopObserver):
    """A loop that sends the replies to its own outputs after each commit. Between two of its steps no other client
    sends the broker a request, so a fault hits the request that it is meant for."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.saga = SagaLab(lab, folder)
        self.outcomes: Counter[str] = Counter()
        """Transactions, by outcome."""
        self.written: list[Message] = []
        """Messages of committed transactions. The embedded broker also returns those of aborted ones."""
        self.active: Mapping[int, int] = {}
        self.failure: Exception | None = None
        self.loop: SagaLoop
        self._bus = RememberingBus(lab.bus)
        self._before: dict[str, Callable[[], None]] = {}

    @contextmanager
    def running(self) -> Iterator["SteppedLoop"]:
        self.start()
        try:
            until(
                lambda: self.loop.ready.is_set() or self.failure is not None, "the loop owns its partitions"
            )
            yield self
        finally:
            self.loop.stop()
            self.await_end()

    def start(self) -> None:
        options: dict[str, Any] = {
            "transaction_s": 5.0,
            "unavailable_wait_s": 0.01,
            "observer": self,
            "on_step": self._step,
        }
        self.loop = self.saga.loop(0, self._bus, **options)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def await_end(self) -> None:
        self._thread.join(TIMEOUT_S)
        assert not self._thread.is_alive()

    def once_before(self, step: str, act: Callable[[], None]) -> None:
        """Calls `act` on the loop's thread, once, before the step."""
        self._before[step] = act

    def complete(self, name: str = "") -> None:
        """Runs a session from its task to its end, with the faults that were injected."""
        [session] = self.saga.submit(name or self.saga.new_id())
        until(
            lambda: self.failure is not None or session in self._completed(),
            f"{session} completes: {[type(each).__name__ for each in self.written]}",
        )
        if self.failure is not None:
            raise self.failure
        assert not self._before, f"the loop never reached {list(self._before)}"

    def committed(self, transaction: Transaction) -> None:
        self.outcomes["committed"] += 1
        for message in transaction.messages:
            self.written.append(message)
            self.saga.send(*self.saga.replies(message))

    def failed(self, outcome: str) -> None:
        self.outcomes[outcome] += 1

    def owns(self, active: Mapping[int, int]) -> None:
        self.active = active

    def _completed(self) -> set[str]:
        return {each.correlation_id for each in self.written if isinstance(each, TaskCompleted)}

    def _step(self, step: str) -> None:
        act = self._before.pop(step, None)
        if act is not None:
            act()

    def _run(self) -> None:
        try:
            self.loop.run()
        except Exception as error:  # noqa: BLE001 - the test reads what it failed with
            self.failure = error
