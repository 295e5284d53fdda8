"""Members come and go all the time, and partitions with them."""

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
        guests = cycle(chaos.fleet.guests.values())
        for _ in range(seconds):
            # Every second somebody begins to come, or to go.
            guest = next(guests)
            if guest.process is None or guest.has_ended:
                guest.start()
            else:
                guest.running.terminate()
            chaos.load.keep(IN_FLIGHT)
            chaos.load.pause(1.0)
        for guest in chaos.fleet.guests.values():
            guest.running.terminate()
            guest.running.wait(STOP_S)
        chaos.conclude()
