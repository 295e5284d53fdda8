"""How a process waits for its orchestrator."""

import threading
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from orchestrator.app.components import OrchestratorComponent
from orchestrator.bus.deadline import Deadline
from orchestrator.errors import UnavailableError

PASSED = 0.0
TIMEOUT_S = 10.0


@dataclass
class Loop:
    """The loop as its component uses it."""

    restoring: bool
    ready: threading.Event = field(default_factory=threading.Event)


def test_waiting_for_an_orchestrator_without_partitions_ends_at_the_deadline() -> None:
    component = OrchestratorComponent(cast(Any, Loop(restoring=False)))
    with pytest.raises(UnavailableError, match="was not assigned partitions in time"):
        component.wait_ready(Deadline.after(PASSED))


def test_waiting_for_one_that_restores_goes_on_beyond_the_deadline() -> None:
    loop = Loop(restoring=True)
    component = OrchestratorComponent(cast(Any, loop))
    waiting = threading.Thread(target=component.wait_ready, args=(Deadline.after(PASSED),))
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    loop.ready.set()
    waiting.join(TIMEOUT_S)
    assert not waiting.is_alive()
