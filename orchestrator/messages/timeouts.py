"""How long messages may wait, where services and the orchestrator have to agree on it."""

from typing import Final

QUEUE_MS: Final = 120_000
"""How long a command may wait in its topic: later it has expired and is answered, not run. The time limit of
the work itself counts from its start, so that a backlog does not make time-outs that make more backlog."""

GRACE_MS: Final = 5_000
"""How much longer the orchestrator waits than the service may take: the reply's way, and clocks that differ."""
