"""Errors of our callbacks, kept away from the client.

An error that passes through the client is never freed (confluent-kafka 2.16 does not give up its references), nor is
anything that its traceback reaches: clients, with their threads and connections.
"""

from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


class Callbacks:
    """Runs callbacks for one client. Used by the thread that calls the client."""

    def __init__(self) -> None:
        self.running = False
        """Whether the client is inside a callback, so that it belongs to this thread."""
        self._raised: BaseException | None = None

    def run(self, act: Callable[[], Result]) -> Result | None:
        """What `act` returns; None if it raises, which `raise_error` then does."""
        self.running = True
        try:
            return act()
        except BaseException as error:  # noqa: BLE001 - raised after the call of the client
            self._raised = self._raised or error
            return None
        finally:
            self.running = False

    def raise_error(self) -> None:
        """Raises what a callback has raised. Call it after each call of the client that may run callbacks."""
        raised, self._raised = self._raised, None
        if raised is not None:
            try:
                raise raised
            finally:
                # The error refers to this frame, which would refer to the error.
                del raised
