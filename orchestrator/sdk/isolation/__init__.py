"""Running a function in a process of its own, within limits, killed when it takes too long.

`limits` says what a run may have, `pool` runs it from this side. `template` and `child` are the other side:
a template is a process with one thread that has imported what runs need and forks one child for each run.
"""

from orchestrator.sdk.isolation.call import IsolatedCall
from orchestrator.sdk.isolation.limits import Isolation
from orchestrator.sdk.isolation.outcome import ProcessEndedError
from orchestrator.sdk.isolation.pool import ProcessPool
from orchestrator.sdk.isolation.target import Target

__all__ = ["IsolatedCall", "Isolation", "ProcessEndedError", "ProcessPool", "Target"]
