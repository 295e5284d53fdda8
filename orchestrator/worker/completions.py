"""Completed and abandoned work, on its way from the event loop and the outbox to the consumer's thread."""

import threading
from collections import deque

from orchestrator.worker.work import Work


class CompletionQueue:
    """Any thread reports to it; the consumer's thread applies the reports and waits for new ones.

    Work *finishes* when its handler returns. It is *completed* when Kafka has acknowledged its outputs, and
    *abandoned* when this worker will not complete it: then its offset stays incomplete.
    """

    def __init__(self) -> None:
        self.finished = 0
        """How many handlers have finished; counted by the event loop alone."""
        self._reports: deque[tuple[Work, bool]] = deque()
        """Work, and whether it was completed."""
        self._wakeup = threading.Event()
        self._is_armed = False

    def finish(self) -> None:
        """A handler has finished, or will not run."""
        self.finished += 1
        self._wake()

    def complete(self, work: Work) -> None:
        self._reports.append((work, True))
        self._wake()

    def abandon(self, work: Work) -> None:
        self._reports.append((work, False))
        self._wake()

    def apply(self) -> bool:
        """Completes the offsets of completed work; returns whether anything was reported."""
        reports = self._reports
        if not reports:
            return False
        while reports:
            work, is_completed = reports.popleft()
            if not work.at_most_once:
                work.partition.in_flight -= 1
            if is_completed:
                work.partition.tracker.complete(work.received.offset)
        return True

    def arm(self) -> None:
        """Makes the next report wake `wait`. Between the two calls, check again for what you wait for."""
        self._wakeup.clear()
        self._is_armed = True

    def wait(self, timeout_s: float) -> None:
        """Returns at the first report after `arm`, or after the timeout."""
        self._wakeup.wait(timeout_s)
        self._is_armed = False

    def _wake(self) -> None:
        # Setting an event costs more than all else here, and the consumer's thread mostly waits for Kafka.
        if self._is_armed:
            self._is_armed = False
            self._wakeup.set()
