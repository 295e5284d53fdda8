"""Which fault befalls a request, and the gates that hold requests back."""

import threading
from collections import Counter

from tests.support.model_server.faults import Fault, Planted
from tests.support.model_server.requests import Request


class PlantedFaults:
    """The faults that tests have planted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planted: list[Planted] = []
        self._used: Counter[tuple[int, str, int]] = Counter()

    def plant(self, planted: Planted) -> None:
        with self._lock:
            self._planted.append(planted)

    def due(self, request: Request) -> Fault | None:
        """The fault of this request, the one planted first; it counts as used."""
        with self._lock:
            for number, each in enumerate(self._planted):
                turn = (number, request.conversation, request.turn)
                if _is_for(each, request) and self._used[turn] < each.times:
                    self._used[turn] += 1
                    return each.fault
        return None


class Gates:
    """Gates are shut until they are opened, and stay open."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open: set[str] = set()
        self._held: Counter[str] = Counter()

    def open(self, gate: str) -> None:
        with self._changed:
            self._open.add(gate)
            self._changed.notify_all()

    def arrive(self, gate: str) -> None:
        with self._changed:
            self._held[gate] += 1
            self._changed.notify_all()

    def leave(self, gate: str) -> None:
        with self._changed:
            self._held[gate] -= 1

    def is_open(self, gate: str, wait_s: float) -> bool:
        """Waits at most so long."""
        with self._changed:
            return self._changed.wait_for(lambda: gate in self._open, wait_s)

    def wait_held(self, gate: str, count: int, wait_s: float) -> bool:
        """Whether so many requests are held at once within the time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._held[gate] >= count, wait_s)


def _is_for(planted: Planted, request: Request) -> bool:
    return (
        planted.about in request.task
        and planted.model in (None, request.model)
        and planted.turn in (None, request.turn)
    )
