"""Processes are killed over and over while hundreds of sessions are in flight, and nothing is lost or doubled."""

import os
import time
from collections.abc import Callable
from random import Random
from typing import Final

import pytest

from tests.chaos.checker import Run, check
from tests.chaos.fleet import Fleet
from tests.chaos.load import Load
from tests.chaos.topics import LiveReader, Reader
from tests.support.installation import Installation

IN_FLIGHT: Final = 200
SETTLED_S: Final = 600.0
"""Twice what a call may wait that nobody answers: then even one that was lost has been driven again."""


@pytest.mark.integration
@pytest.mark.parametrize("kills", [30, pytest.param(300, marks=pytest.mark.soak)])
def test_whatever_is_killed_every_session_settles_once(
    kills: int, installation: Installation, reading: Callable[[Installation], Reader]
) -> None:
    # given: two copies of everything, and sessions with retries, timers and parallel steps
    random = Random(os.environ.get("ORCHESTRATOR_TEST_SEED", "kill"))  # noqa: S311 - the same kills in each run
    with LiveReader(reading(installation)) as live, Fleet(installation) as fleet:
        load = Load(installation, live)
        # when: members are killed at random, and started again
        for _ in range(kills):
            until = time.monotonic() + random.uniform(0.2, 3.0)
            while time.monotonic() < until:
                load.keep(IN_FLIGHT)
                time.sleep(0.1)
            fleet.restart_fallen()
            member = fleet.members[random.choice(sorted(fleet.members))]
            member.kill()
            member.start()
        load.await_settled(SETTLED_S, fleet.restart_fallen)
        load.close()
        # then: all members end in order, and the topics tell a story without a fault
        codes = fleet.stop()
        seen_meanwhile = live.finish()
    records = reading(installation).catch_up()
    run = Run(records)
    assert not fleet.fallen
    assert set(codes.values()) == {0}
    assert check(records, seen_meanwhile) == []
    assert run.outcomes["TaskCompleted"] > load.submitted / 2
