"""Processes are killed while agents think: no thought is lost, and nothing is done or counted twice."""

import json
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final
from uuid import uuid4

import pytest

from orchestrator.local import StackAddress
from tests.chaos.conversations import heads, responses, segments
from tests.chaos.thoughts import HELD, TURNS, sum_of
from tests.chaos.topics import Reader, Record
from tests.chaos.trial import installed, trial
from tests.chaos.workloads import THOUGHTS
from tests.support.installation import Installation
from tests.support.model_server import Hang, ModelServer
from tests.support.model_server.ledger import Entry, Outcome

KILLED: Final = tuple(name for name in THOUGHTS.members if not name.startswith("deciding"))
FIRST: Final = ("planner-0", "planner-1", "executor-0", "executor-1")
CHARGED_S: Final = 240.0
CONCURRENCY: Final = 100
"""Most messages that a service handles at once: so many requests may be under way when a planner is killed."""
ALWAYS_LOST: Final = "task 3\n"
"""A task whose planner is killed while the model thinks."""
logger = logging.getLogger(__name__)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ModelServer]:
    with ModelServer("tests.chaos.thought_scripts", log=tmp_path / "requests.jsonl") as running:
        yield running


@pytest.fixture
def installation(kafka_stack: StackAddress, server: ModelServer, tmp_path: Path) -> Installation:
    made = installed(kafka_stack, f"chaos-{uuid4().hex[:8]}.", tmp_path, THOUGHTS)
    made.environment |= {**server.environment, "CHAOS_LEDGER": str(tmp_path / "ledger")}
    return made


@pytest.mark.integration
@pytest.mark.parametrize(("in_flight", "kills"), [(30, 4), pytest.param(200, 96, marks=pytest.mark.soak)])
def test_whatever_is_killed_every_session_thinks_to_its_end(
    in_flight: int,
    kills: int,
    installation: Installation,
    server: ModelServer,
    reading: Callable[[Installation], Reader],
) -> None:
    ledger = installation.folder / "ledger"
    random = Random("thinking")  # noqa: S311 - the same kills in each run
    killed: Counter[str] = Counter()
    # given: two planners, executors and orchestrators, and sessions that think
    with trial(installation, reading, THOUGHTS) as chaos:
        server.plant(Hang("under way"), about=ALWAYS_LOST, turn=1)
        chaos.load.top_up(in_flight)
        server.wait_held("under way")
        # when: planners are killed while the model thinks, executors while a tool runs, then all of them at random
        for name in (*FIRST, *random.choices(KILLED, k=kills)):
            if name == "executor-0":
                _await_charge(ledger, HELD)
            chaos.fleet.restart_crashed()
            killed[name.partition("-")[0]] += 1
            chaos.fleet.members[name].kill()
            chaos.fleet.members[name].start()
            chaos.load.flow(in_flight, random.uniform(0.1, 1.5))
        records = chaos.conclude()
    # then
    ended = list(_ended(records))
    assert len(ended) == chaos.load.submitted
    assert [each for each in ended if each.answer["sum"] != sum_of(each.number)] == []
    _assert_charged_once(ended, ledger)
    _assert_whole_conversations(records, installation.folder / "values")
    server.wait_settled()
    requests = server.requests()
    first, *_ = (each for each in requests if ALWAYS_LOST in each.task and each.turn == 1)
    assert first.outcome is Outcome.LOST
    _assert_counted(ended, requests, most_lost=killed["planner"] * min(CONCURRENCY, in_flight))
    logger.info("charges that nobody can know of: %d", sum(each.answer["charged"] != "yes" for each in ended))


@dataclass(frozen=True)
class Ended:
    """A session that has reached its goal."""

    session: str
    number: int
    answer: dict[str, object]
    requests: int
    tokens: tuple[int, int, int]
    """Read, written and cached."""


def _ended(records: Iterable[Record]) -> Iterator[Ended]:
    numbers = {one.session: int(one.body["goal"].split()[-1]) for one in records if one.name == "SubmitTask"}
    for record in records:
        if record.name == "TaskCompleted":
            total = record.body["total"]
            tokens = total["tokens_input"], total["tokens_output"], total["tokens_cached"]
            answer = json.loads(record.body["result"]["inline"])
            yield Ended(record.session, numbers[record.session], answer, total["model_requests"], tokens)


def _await_charge(ledger: Path, number: int) -> None:
    """Waits until a task has been charged."""
    deadline = time.monotonic() + CHARGED_S
    while number not in [each["number"] for each in _charges(ledger)]:
        assert time.monotonic() < deadline, f"task {number} was not charged within {CHARGED_S:.0f} s"
        time.sleep(0.05)


def _charges(ledger: Path) -> list[dict[str, Any]]:
    """The charges so far: whole lines of the file."""
    text = ledger.read_text() if ledger.exists() else ""
    return [json.loads(line) for line in text.rpartition("\n")[0].splitlines()]


def _assert_charged_once(ended: Sequence[Ended], ledger: Path) -> None:
    """No session was charged twice; each that says so was charged, and one that cannot know at most once."""
    charges = Counter(each["session"] for each in _charges(ledger))
    assert [session for session, count in charges.items() if count > 1] == []
    assert [each for each in ended if each.answer["charged"] == "yes" and not charges[each.session]] == []
    assert [each.answer["charged"] for each in ended if each.number == HELD] == ["unknown"]


def _assert_whole_conversations(records: Sequence[Record], values: Path) -> None:
    """Each can be read back and has each turn once."""
    found = heads(records)
    assert found.keys() == {record.session for record in records if record.name == "TaskCompleted"}
    for session, head in found.items():
        chain = segments(head, values)
        assert [segment["turn"] for segment in chain] == list(range(1, TURNS + 1)), session
        assert [responses(segment) for segment in chain] == [1] * TURNS, session


def _assert_counted(ended: Sequence[Ended], requests: Sequence[Entry], most_lost: int) -> None:
    """Sessions count what the model server charged, but for requests that were lost with a planner."""
    by_task: defaultdict[int, list[Entry]] = defaultdict(list)
    for entry in requests:
        by_task[int(entry.task.split()[1])].append(entry)
    lost = [entry for entry in requests if entry.outcome is Outcome.LOST]
    assert {entry.outcome for entry in requests} <= {Outcome.ANSWERED, Outcome.LOST}
    uncounted = 0
    for session in ended:
        answered = [each for each in by_task[session.number] if each.outcome is Outcome.ANSWERED]
        # Each turn counts once at least; a reply that was sent twice counts twice, as it was charged.
        assert TURNS <= session.requests <= len(answered), (session, answered)
        if session.requests == len(answered):
            assert session.tokens == _charged(answered), session
        uncounted += len(answered) - session.requests
    logger.info(
        "%d requests: %d broke off and %d replies were lost with %s",
        len(requests),
        len(lost),
        uncounted,
        most_lost,
    )
    assert len(lost) + uncounted <= most_lost


def _charged(entries: Iterable[Entry]) -> tuple[int, int, int]:
    usages = [entry.usage for entry in entries if entry.usage is not None]
    return (
        sum(usage.prompt_tokens for usage in usages),
        sum(usage.completion_tokens for usage in usages),
        sum(usage.cached_tokens for usage in usages),
    )
