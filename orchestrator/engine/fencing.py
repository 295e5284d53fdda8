"""What ends a membership of the group: another process in the slot, or partitions that cannot be restored now."""

from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.bus.errors import FatalError, FencedError
from orchestrator.errors import OrchestratorError


class RestoreError(OrchestratorError):
    """Assigned partitions could not be restored now. Rejoin the group: until then, no process reads them."""


@contextmanager
def fatal_is_fenced(name: str) -> Iterator[None]:
    """Only another member with the same instance id is fatal to a member of a classic group. The client does not
    always report it as such."""
    try:
        yield
    except FatalError as error:
        raise FencedError(
            f"another process runs as {name}: give each process its own slot ({error})"
        ) from error
