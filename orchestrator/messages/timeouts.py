"""Timeouts on which services and the orchestrator have to agree."""

from typing import Final

QUEUE_MS: Final = 120_000
"""How long a command may wait in its topic. After that it has expired: it gets a reply, and is not run. The
timeout of the work itself starts with the work, so that a backlog does not cause timeouts, whose retries would
add to the backlog."""

GRACE_MS: Final = 5_000
"""How much longer the orchestrator waits than the service may take, for the reply to arrive and for clock skew."""
