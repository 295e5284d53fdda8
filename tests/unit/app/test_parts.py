"""How a process waits for its orchestrator."""

import threading
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from orchestrator.app.parts import OrchestratorPart
from orchestrator.bus.deadline import Deadline
from orchestrator.errors import UnavailableError

PASSED = 0.0
TIMEOUT_S = 10.0


@dataclass
class Loop:
    """What the part sees of a loop."""

    restoring: bool
    ready: threading.Event = field(default_factory=threading.Event)


def test_an_orchestrator_without_partitions_is_waited_for_until_the_deadline() -> None:
    part = OrchestratorPart(cast(Any, Loop(restoring=False)))
    with pytest.raises(UnavailableError, match="got no partitions in time"):
        part.wait_ready(Deadline.after(PASSED))


def test_one_that_restores_is_waited_for_beyond_the_deadline() -> None:
    loop = Loop(restoring=True)
    part = OrchestratorPart(cast(Any, loop))
    waiting = threading.Thread(target=part.wait_ready, args=(Deadline.after(PASSED),))
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    loop.ready.set()
    waiting.join(TIMEOUT_S)
    assert not waiting.is_alive()
