"""Processes are killed again and again with hundreds of sessions in flight; nothing is lost or duplicated."""

from collections.abc import Callable
from random import Random
from typing import Final

import pytest

from tests.chaos.topics import Reader
from tests.chaos.trial import trial
from tests.chaos.workloads import ARCHIVED
from tests.support.installation import Installation

IN_FLIGHT: Final = 200
MEMBERS: Final = ("orchestrator-0", "orchestrator-1", "services-0", "services-1", "archive-0")
WEIGHTS: Final = (3, 3, 1, 1, 1)
"""The slot of a killed orchestrator continues at once; the partitions of workers wait for the session timeout."""


@pytest.mark.integration
@pytest.mark.parametrize("kills", [30, pytest.param(300, marks=pytest.mark.soak)])
def test_whatever_is_killed_every_session_settles_once(
    kills: int, installation: Installation, reading: Callable[[Installation], Reader]
) -> None:
    random = Random("kill")  # noqa: S311 - the same kills in each run
    # given: two copies of everything, a sink, and sessions with retries, timers and parallel steps
    with trial(installation, reading, ARCHIVED) as chaos:
        # when: members are killed at random under load, and restarted
        for _ in range(kills):
            chaos.load.flow(IN_FLIGHT, random.uniform(0.1, 1.5))
            chaos.fleet.restart_crashed()
            member = chaos.fleet.members[random.choices(MEMBERS, WEIGHTS)[0]]
            member.kill()
            member.start()
        # then
        chaos.conclude()
