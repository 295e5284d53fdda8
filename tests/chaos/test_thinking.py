"""Processes are killed while agents of all strategies think: nothing is lost, and nothing is done or counted twice."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from random import Random
from typing import Final
from uuid import uuid4

import pytest

from orchestrator.local import StackAddress
from tests.chaos.thought_checks import (
    assert_charged_once,
    assert_counted,
    assert_whole_conversations,
    charges_in,
    ended_in,
)
from tests.chaos.thoughts import HELD, THINKS, sum_of
from tests.chaos.topics import Reader
from tests.chaos.trial import Trial, installed, trial
from tests.chaos.workloads import THOUGHTS
from tests.support.installation import Installation
from tests.support.model_server import Hang, ModelServer
from tests.support.model_server.ledger import Entry, Outcome

KILLED: Final = tuple(name for name in THOUGHTS.members if not name.startswith("deciding"))
FIRST: Final = ("planner-0", "planner-1", "executor-0", "executor-1")
CHARGED_S: Final = 240.0
CONCURRENCY: Final = 100
"""Most messages that a service handles at once: so many turns may be under way when a planner is killed."""
MOST_REQUESTS: Final = 4
"""Of a turn: an answer, its critique, and both again."""
ALWAYS_LOST: Final = tuple(f"task {number}\n" for number in range(len(THINKS)))
"""Tasks, one of each agent, whose planner is killed while the model thinks."""
logger: Final = logging.getLogger(__name__)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ModelServer]:
    with ModelServer("tests.chaos.thought_scripts", log=tmp_path / "requests.jsonl") as running:
        yield running


@pytest.fixture
def installation(kafka_stack: StackAddress, server: ModelServer, tmp_path: Path) -> Installation:
    made = installed(kafka_stack, f"chaos-{uuid4().hex[:8]}.", tmp_path, THOUGHTS)
    made.environment |= {
        **server.environment,
        "CHAOS_LEDGER": str(tmp_path / "ledger"),
    }
    return made


@pytest.mark.integration
@pytest.mark.parametrize(("in_flight", "kills"), [(32, 4), pytest.param(200, 96, marks=pytest.mark.soak)])
def test_whatever_is_killed_every_session_thinks_to_its_end(
    in_flight: int,
    kills: int,
    installation: Installation,
    server: ModelServer,
    reading: Callable[[Installation], Reader],
) -> None:
    ledger = installation.folder / "ledger"
    random = Random("thinking")  # noqa: S311 - no secret
    killed: Counter[str] = Counter()
    # given: two planners, executors and orchestrators, and sessions of all strategies
    with trial(installation, reading, THOUGHTS) as chaos:
        for task in ALWAYS_LOST:
            server.plant(Hang("under way"), about=task, turn=1)
        chaos.load.top_up(in_flight)
        server.wait_held("under way", len(ALWAYS_LOST))
        # when: planners are killed while the model thinks, executors while a tool runs, then all of them at random
        for number in range(len(FIRST) + kills):
            name = FIRST[number] if number < len(FIRST) else random.choice(_working(chaos, in_flight))
            if name == "executor-0" and not killed["executor"]:
                _await_charges(ledger, HELD)
            chaos.fleet.restart_crashed()
            killed[name.partition("-")[0]] += 1
            chaos.fleet.members[name].kill()
            chaos.fleet.members[name].start()
            chaos.load.flow(in_flight, random.uniform(0.1, 1.5))
        records = chaos.conclude()
    # then
    logger.info("killed: %s", dict(killed))
    ended = list(ended_in(records))
    assert len(ended) == chaos.load.submitted
    assert [each for each in ended if each.answer["sum"] != sum_of(each.number)] == []
    assert_charged_once(ended, ledger)
    assert_whole_conversations(ended, records, installation.folder / "values")
    server.wait_settled()
    requests = server.requests()
    assert [_first(requests, task).outcome for task in ALWAYS_LOST] == [Outcome.LOST] * len(ALWAYS_LOST)
    assert_counted(ended, requests, killed["planner"] * min(CONCURRENCY, in_flight) * MOST_REQUESTS)


def _working(chaos: Trial, in_flight: int) -> list[str]:
    """Members that may be killed and do work: on a slow machine, most may be starting."""
    while True:
        chaos.fleet.restart_crashed()
        if names := [name for name in KILLED if chaos.fleet.members[name].is_ready]:
            return names
        chaos.load.flow(in_flight, 0.1)


def _first(requests: list[Entry], task: str) -> Entry:
    """The first request in the second turn of a task."""
    return next(each for each in requests if task in each.task and each.turn == 1)


def _await_charges(ledger: Path, numbers: Collection[int]) -> None:
    """Waits until all of these tasks have been charged."""
    deadline = time.monotonic() + CHARGED_S
    while missing := set(numbers) - {each["number"] for each in charges_in(ledger)}:
        assert time.monotonic() < deadline, f"tasks {missing} were not charged within {CHARGED_S:.0f} s"
        time.sleep(0.05)
