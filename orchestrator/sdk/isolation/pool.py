"""Runs in processes of their own, seen from the process that asks for them."""

import asyncio
import threading
from concurrent.futures import Future, InvalidStateError
from typing import Any, Final

from orchestrator.sdk.isolation.call import IsolatedCall
from orchestrator.sdk.isolation.outcome import not_started
from orchestrator.sdk.isolation.run import Run
from orchestrator.sdk.isolation.target import Target
from orchestrator.sdk.isolation.templates import templates

_LOOK_S: Final = 0.2
"""How often a run that waits for a free place looks whether it is still wanted."""


class ProcessPool:
    """At most so many runs at once; more wait. The processes belong to this one, and end with it."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._places = threading.BoundedSemaphore(processes)

    def warm(self, target: Target) -> None:
        """Starts what runs of this target are forked from, so that the first does not wait for it. Returns at once."""

        def work() -> None:
            templates.get(target.package).warm(target)

        threading.Thread(target=work, name="warming isolated runs", daemon=True).start()

    async def run(self, call: IsolatedCall) -> Any:
        """What the function returns.

        Raises the `HandlerError` that it raised; `RunFailedError` if it raised anything else, if its process died,
        or if it exceeded a limit; `TransientError` if it could not be started in time. If the caller is cancelled,
        the process of the run and all that it started are killed.
        """
        future: Future[Any] = Future()
        run = Run(call.name, call.limits)
        threading.Thread(
            target=self._work, args=(call, run, future), name=f"run of {call.name}", daemon=True
        ).start()
        try:
            return await asyncio.wrap_future(future)
        finally:
            run.end()

    def _work(self, call: IsolatedCall, run: Run, future: "Future[Any]") -> None:
        if not self._takes_place(call, run):
            _settle(
                future, not_started(call.name, f"all {self._processes} places for such runs stayed taken")
            )
            return
        try:
            with run:
                try:
                    template = templates.get((call.preload or call.target).package)
                    _settle(future, run.result(template, call))
                except BaseException as error:  # noqa: BLE001 - whatever it is, the caller waits for it
                    _settle(future, error)
        finally:
            self._places.release()

    def _takes_place(self, call: IsolatedCall, run: Run) -> bool:
        waited = 0.0
        while not self._places.acquire(timeout=_LOOK_S):
            waited += _LOOK_S
            if run.is_over or waited > call.limits.wall_s:
                return False
        if run.is_over:
            self._places.release()
            return False
        return True


def _settle(future: "Future[Any]", outcome: Any) -> None:
    try:
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
    except InvalidStateError:
        # Cancelled: nobody waits.
        return
