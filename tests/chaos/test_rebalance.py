"""Members join and leave all the time, and partitions move with them."""

from collections.abc import Callable
from itertools import cycle
from typing import Final

import pytest

from tests.chaos.fleet import STOP_S
from tests.chaos.topics import Reader
from tests.chaos.trial import trial
from tests.support.installation import Installation

IN_FLIGHT: Final = 100


@pytest.mark.integration
@pytest.mark.parametrize("seconds", [20, pytest.param(120, marks=pytest.mark.soak)])
def test_a_storm_of_rebalances_loses_nothing(
    seconds: int, installation: Installation, reading: Callable[[Installation], Reader]
) -> None:
    with trial(installation, reading) as chaos:
        extra_members = cycle(chaos.fleet.extra_members.values())
        for _ in range(seconds):
            # Every second another member joins, or begins to leave.
            member = next(extra_members)
            if member.process is None or member.has_ended:
                member.start()
            else:
                member.running.terminate()
            chaos.load.top_up(IN_FLIGHT)
            chaos.load.pause(1.0)
        for member in chaos.fleet.extra_members.values():
            member.running.terminate()
            member.running.wait(STOP_S)
        chaos.conclude()
