"""Brokers die, freeze and come back under load."""

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Final

import pytest

from orchestrator.bus.deadline import Deadline
from orchestrator.local import LocalStack
from tests.chaos.conftest import Installing
from tests.chaos.topics import Reader
from tests.chaos.trial import trial
from tests.chaos.workloads import ARCHIVED
from tests.support.installation import Installation

IN_FLIGHT: Final = 50
NODES: Final = 3
RESTART_S: Final = 120.0
SILENCE_S: Final = 25.0
"""Longer than the transaction timeout (10 s) and the session timeout (6 s)."""


@pytest.fixture(scope="module")
def three_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with LocalStack(tmp_path_factory.mktemp("three"), NODES, short_lived=True) as stack:
        yield stack


@pytest.mark.integration
@pytest.mark.parametrize("kills", [2, pytest.param(12, marks=pytest.mark.soak)])
def test_brokers_killed_under_load_lose_nothing(
    kills: int,
    three_nodes: LocalStack,
    installing: Installing,
    reading: Callable[[Installation], Reader],
) -> None:
    random = Random("broker")  # noqa: S311 - the same brokers in each run
    with trial(installing(three_nodes.address), reading, ARCHIVED) as chaos:
        for _ in range(kills):
            chaos.load.flow(IN_FLIGHT, 2.0)
            node = random.randrange(NODES) + 1
            three_nodes.kafka.kill(node)
            chaos.load.pause(random.uniform(2.0, 8.0))
            three_nodes.kafka.restart(node, Deadline.after(RESTART_S))
        chaos.conclude()


@pytest.mark.integration
@pytest.mark.parametrize("silences", [1, pytest.param(5, marks=pytest.mark.soak)])
def test_a_cluster_that_does_not_respond_for_longer_than_a_transaction_may_last(
    silences: int, tmp_path: Path, installing: Installing, reading: Callable[[Installation], Reader]
) -> None:
    """A frozen broker is like a network that drops all packets: connections stay open, and nothing responds."""
    with (
        LocalStack(tmp_path / "stack", short_lived=True) as stack,
        trial(installing(stack.address), reading) as chaos,
    ):
        for _ in range(silences):
            chaos.load.flow(IN_FLIGHT, 2.0)
            stack.kafka.pause(1)
            chaos.load.pause(SILENCE_S)
            stack.kafka.resume(1)
        chaos.conclude()


@pytest.mark.integration
def test_processes_stop_without_a_cluster(
    tmp_path: Path, installing: Installing, reading: Callable[[Installation], Reader]
) -> None:
    with (
        LocalStack(tmp_path / "stack", short_lived=True) as stack,
        trial(installing(stack.address), reading) as chaos,
    ):
        # given: members with work to commit, and no broker
        chaos.load.flow(IN_FLIGHT, 2.0)
        stack.kafka.kill(1)
        # when: they get SIGTERM
        codes = chaos.fleet.stop()
        # then: they exit with 0
        assert set(codes.values()) == {0}, codes
