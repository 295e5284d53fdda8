"""Frozen processes that come back: what they had in flight must have no effect."""

from collections.abc import Callable
from random import Random
from typing import Final

import pytest

from tests.chaos.topics import Reader
from tests.chaos.trial import trial
from tests.support.installation import Installation

IN_FLIGHT: Final = 100
ENDS_S: Final = 60.0
LONG_SESSION: Final = {"ORCHESTRATOR_KAFKA_SESSION_TIMEOUT_MS": "100000"}
"""Longer than a new process takes to start on a slow machine. A member that slept for longer is not fenced when it
wakes up, it rejoins: then the other one is fenced first."""
LONGER_THAN_ANY_SESSION_S: Final = 14.0
"""The session timeout of a member is 6 s, and the broker aborts its transaction after 10 s."""


@pytest.mark.integration
@pytest.mark.parametrize("rounds", [3, pytest.param(20, marks=pytest.mark.soak)])
def test_a_replaced_orchestrator_that_wakes_up_ends_and_writes_nothing(
    rounds: int, installation: Installation, reading: Callable[[Installation], Reader]
) -> None:
    random = Random("zombie")  # noqa: S311 - the same moments in each run
    with trial(installation, reading) as chaos:
        slot = chaos.fleet.members["orchestrator-0"]
        slot.kill()
        slot.environment = {**slot.environment, **LONG_SESSION}
        slot.start()
        slot.await_ready()
        for _ in range(rounds):
            # given: an orchestrator that is frozen in the middle of its work
            member = chaos.fleet.members["orchestrator-0"]
            chaos.load.flow(IN_FLIGHT, random.uniform(0.5, 1.5))
            zombie = chaos.fleet.freeze(member)
            # when: another process has taken over its slot, and it is thawed
            member.start()
            member.await_ready()
            chaos.load.flow(IN_FLIGHT, random.uniform(0.0, 1.0))
            chaos.fleet.thaw(zombie)
            # then: it exits with an error, and the other process keeps running
            assert zombie.wait(ENDS_S) not in (0, -9)
            assert not member.has_ended
        assert "another process runs as" in member.log.read_text(encoding="utf-8")
        chaos.conclude()


@pytest.mark.integration
@pytest.mark.parametrize("rounds", [3, pytest.param(20, marks=pytest.mark.soak)])
def test_members_frozen_beyond_their_session_timeout_do_no_harm(
    rounds: int, installation: Installation, reading: Callable[[Installation], Reader]
) -> None:
    """As with a suspended laptop or a migrated virtual machine: the others take over, then the member is back."""
    random = Random("freeze")  # noqa: S311 - the same members in each run
    with trial(installation, reading) as chaos:
        names = list(chaos.fleet.members)
        for number in range(rounds):
            chaos.load.flow(IN_FLIGHT, 0.5)
            frozen = chaos.fleet.freeze(chaos.fleet.members[names[number % len(names)]])
            chaos.load.flow(IN_FLIGHT, random.uniform(0.5, 1.0) * LONGER_THAN_ANY_SESSION_S)
            chaos.fleet.thaw(frozen)
        chaos.conclude()
