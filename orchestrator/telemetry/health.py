"""What is wrong with a process: its liveness and its readiness."""

from collections.abc import Callable, Mapping
from threading import Lock

Check = Callable[[], str | None]
"""Returns what is wrong, or None. Runs on the thread of the status server, so it must be quick and must not block."""


class Health:
    """The liveness and readiness checks of a process. Any thread may call.

    A failed *liveness* check gets the process restarted: only what a restart can fix belongs there. A process
    that is not *ready* gets no requests.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._liveness: dict[str, Check] = {}
        self._readiness: dict[str, Check] = {}

    def add_liveness_check(self, name: str, check: Check) -> None:
        with self._lock:
            self._liveness[name] = check

    def add_readiness_check(self, name: str, check: Check) -> None:
        with self._lock:
            self._readiness[name] = check

    def liveness(self) -> dict[str, str]:
        """Problems by the name of their check; empty while the process is alive."""
        return self._problems(self._liveness)

    def readiness(self) -> dict[str, str]:
        """Problems by the name of their check; empty while the process is ready."""
        return self._problems(self._liveness) | self._problems(self._readiness)

    def _problems(self, checks: Mapping[str, Check]) -> dict[str, str]:
        with self._lock:
            named = tuple(checks.items())
        return {name: problem for name, check in named if (problem := _run(check))}


def _run(check: Check) -> str | None:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - a check that raises is a problem to report
        return f"the check failed: {type(error).__name__}"
