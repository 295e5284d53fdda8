"""All benchmarks."""

from collections.abc import Callable
from typing import Any, Final

from benchmarks import burst, isolation, restore, saga_loop, sessions, timers, worker
from benchmarks.cluster import Cluster
from benchmarks.conversation import benchmark as conversation

Run = Callable[[Cluster, str], dict[str, Any]]
"""Takes a cluster and the form, `short` or `long`; returns figures."""

BENCHMARKS: Final[dict[str, tuple[int, Run]]] = {
    "saga_loop": (1, saga_loop.run),
    "sessions": (1, sessions.run),
    "restore": (1, restore.run),
    "worker": (1, worker.run),
    "burst": (1, burst.run),
    "timers": (1, timers.run),
    "conversation": (1, conversation.run),
    "isolation": (1, isolation.run),
    "sessions3": (3, sessions.run),
}
"""By name: how many brokers a benchmark needs, and the function that runs it."""
