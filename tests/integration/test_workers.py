"""Workers on a real Kafka: completed work never runs again, whichever copies join, leave or crash."""

import asyncio
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import Position, Reading, Start
from orchestrator.local import StackAddress
from orchestrator.messages import commands, events
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.identity import derived_id
from orchestrator.messages.values import json_value
from orchestrator.sdk import Service, ServiceContext
from orchestrator.worker.observer import Observer
from orchestrator.worker.offsets import decode
from tests.support.samples import incompressible
from tests.support.topics import limit_record_size
from tests.support.workers import TIMEOUT_S, Lab, echo, lab_settings, number_of, started, until

pytestmark = pytest.mark.integration


@pytest.fixture
def lab(kafka_stack: StackAddress) -> Lab:
    return Lab.on(kafka_stack.bootstrap_servers)


def test_a_restart_runs_only_incomplete_work(lab: Lab) -> None:
    ran: list[int] = []

    async def hang_on_2(number: int) -> None:
        ran.append(number)
        if ran.count(2) == 1 and number == 2:
            await asyncio.Event().wait()

    service = echo(before=hang_on_2)
    with lab.host(service) as host:
        with started(service, host) as worker:
            lab.execute(*range(8), partition=0)
            until(lambda: len(lab.completed()) == 7, "all but one are completed")
            worker.stop(Deadline.after(0.2))
        first, metadata = lab.committed("echo")[Topic.EXECUTE_COMMANDS, 0]
        assert (first, decode(metadata, first)) == (2, ([2], 8))

        with started(service, host):
            until(lambda: len(lab.completed()) == 8, "the last one is completed")

    assert sorted(ran) == [0, 1, 2, 2, 3, 4, 5, 6, 7]
    assert lab.committed("echo")[Topic.EXECUTE_COMMANDS, 0] == (8, "")


def test_at_most_once_work_does_not_run_again_after_it_was_cut_off(lab: Lab) -> None:
    ran = []

    async def hang_on_1(number: int) -> None:
        ran.append(number)
        if number == 1:
            await asyncio.Event().wait()

    service = echo(before=hang_on_1, at_most_once=lambda message: number_of(message) == 1)
    with lab.running(service) as worker:
        lab.execute(1, partition=0)
        until(lambda: ran == [1], "it runs")
        worker.stop(Deadline.after(0.1))
    with lab.running(service):
        lab.execute(2, partition=0)
        until(lambda: lab.completed() == [2], "the next one is completed")

    assert ran == [1, 2]


def test_a_rebalance_does_not_repeat_completed_work(lab: Lab) -> None:
    """A second copy joins while one call of each partition hangs and all behind it are completed."""
    ran: Counter[int] = Counter()
    release = threading.Event()

    async def hang_at_first(number: int) -> None:
        ran[number] += 1
        if number < 4:
            await asyncio.to_thread(release.wait, TIMEOUT_S)

    service = echo(before=hang_at_first)
    with lab.host(service) as here, lab.host(service) as there, started(service, here) as old:
        for number in range(200):
            lab.send(lab.record(number, partition=number % 4))
        lab.producer.flush(Deadline.after(TIMEOUT_S))
        until(lambda: len(lab.completed()) == 196, "all but the first of each partition are completed")
        with started(service, there) as new:
            until(lambda: len(old._assignment.owned) == len(new._assignment.owned) == 2, "they share")
            lab.execute(*range(200, 260))
            release.set()
            until(lambda: len(set(lab.completed())) == 260, "all are completed")

    moved = [number for number in range(4) if ran[number] > 1]
    assert len(moved) == 2
    assert all(count == 1 for number, count in ran.items() if number not in moved)
    assert lab.completed() == list(range(260))
    assert sorted(lab.committed("echo").values())[-1][1] == ""


def test_the_copies_of_a_service_share_its_work(lab: Lab) -> None:
    """What each sees as its part adds up to all of it, whoever joins and leaves."""
    service = echo()
    with lab.host(service) as here, lab.host(service) as there, started(service, here) as old:
        shares = [worker._handling.platform.share for worker in (old,)]
        assert [share() for share in shares] == [1.0]
        with started(service, there) as new:
            shares.append(new._handling.platform.share)
            until(lambda: [share() for share in shares] == [0.5, 0.5], "they share")
        until(lambda: [share() for share in shares] == [1.0, 0.0], "the first has all again")


def test_work_that_finishes_within_the_revocation_is_not_repeated(lab: Lab) -> None:
    """Short handlers finish inside the revocation, so that a rebalance repeats nothing."""
    ran: Counter[int] = Counter()

    async def take_a_moment(number: int) -> None:
        ran[number] += 1
        await asyncio.sleep(0.05)

    service = echo(before=take_a_moment, concurrency=20)
    with lab.host(service) as here, lab.host(service) as there, started(service, here):
        for number in range(600):
            lab.send(lab.record(number))
        lab.producer.flush(Deadline.after(TIMEOUT_S))
        until(lambda: len(ran) > 50, "it is running")
        with started(service, there):
            until(lambda: len(ran) > 300, "both are running")
        until(lambda: len(set(lab.completed())) == 600, "all are completed")

    assert lab.completed() == list(range(600))
    assert set(ran.values()) == {1}


def test_after_a_kill_completed_work_does_not_run_again(kafka_stack: StackAddress, tmp_path: Path) -> None:
    lab = Lab.on(kafka_stack.bootstrap_servers, partitions=1)
    journals = [tmp_path / "first", tmp_path / "second"]
    arguments = (kafka_stack.bootstrap_servers, lab.settings.topic_prefix)

    def started_calls(journal: Path) -> list[int]:
        return sorted(map(int, journal.read_text().split())) if journal.exists() else []

    for life, journal in enumerate(journals):
        command = [sys.executable, "-m", "tests.support.worker_process", *arguments, str(journal)]
        process = subprocess.Popen(command, cwd=Path(__file__).parents[2])
        try:
            lab.execute(*range(100 * life, 100 * life + 100))
            until(lambda n=100 * life + 99: len(lab.completed()) == n, "all but 0 are completed")  # type: ignore[misc]
            until(lambda n=100 * life + 100: _end_of_set(lab) == n, "they are committed")  # type: ignore[misc]
        finally:
            process.kill()
            process.wait()

    assert started_calls(journals[0]) == list(range(100))
    assert started_calls(journals[1]) == [0, *range(100, 200)]
    assert lab.completed() == list(range(1, 200))


def _end_of_set(lab: Lab) -> int:
    commits = lab.committed("echo")
    if not commits:
        return 0
    first, metadata = commits[Topic.EXECUTE_COMMANDS, 0]
    return decode(metadata, first)[1]


def test_a_call_longer_than_the_poll_interval_keeps_its_partition(kafka_stack: StackAddress) -> None:
    prefix = Lab.on(kafka_stack.bootstrap_servers).settings.topic_prefix
    shortest = {"session_timeout_ms": "6000", "max_poll_interval_ms": "6000"}
    lab = Lab(lab_settings(kafka_stack.bootstrap_servers, prefix, 4, **shortest))
    ran = []

    async def take_long(number: int) -> None:
        ran.append(number)
        await asyncio.sleep(7.5 if number == 0 else 0)

    with lab.running(echo(before=take_long, concurrency=1)) as worker:
        lab.execute(*range(3), partition=0)
        owned = dict(worker._assignment.owned)
        until(lambda: lab.completed() == [0, 1, 2], "all are completed")
        assert worker._assignment.owned == owned

    assert ran == [0, 1, 2]


def test_stopping_finishes_running_work_and_leaves_the_rest(lab: Lab) -> None:
    async def take_a_moment(_number: int) -> None:
        await asyncio.sleep(0.3)

    with lab.running(echo(before=take_a_moment, concurrency=5)) as worker:
        lab.execute(*range(50), partition=0)
        until(lambda: len(lab.completed()) >= 5, "some are completed")
        start = time.monotonic()
        worker.stop(Deadline.after(TIMEOUT_S))
        assert time.monotonic() - start < 2

    done = lab.completed()
    first, metadata = lab.committed("echo")[Topic.EXECUTE_COMMANDS, 0]
    left, end = decode(metadata, first)
    assert len(done) == end - len(left)
    assert done == [number for number in range(end) if number not in left]
    assert len(done) < 50


def test_transaction_markers_do_not_count_as_lag(lab: Lab) -> None:
    producer = lab.bus.transactional_producer("history")
    producer.init(Deadline.after(TIMEOUT_S))
    with lab.running(echo()):
        for batch in range(3):
            producer.begin()
            for number in range(5):
                producer.send(lab.record(batch * 5 + number, partition=0))
            producer.commit(Deadline.after(TIMEOUT_S))
        until(
            lambda: lab.committed("echo").get((Topic.EXECUTE_COMMANDS, 0)) == (18, ""),
            "15 records and 3 markers are committed",
        )
    producer.close()

    assert lab.completed() == list(range(15))


def test_aborted_transactions_do_not_count_as_lag(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither where a record was read before them nor where none was."""
    monkeypatch.setattr("orchestrator.worker.loop.MEASURE_INTERVAL_S", 0.2)
    lags: dict[Position, int] = {}
    monkeypatch.setattr(Observer, "lag", lambda _self, ends, reached: lags.update(behind(ends, reached)))
    places: list[Position] = [(Topic.EXECUTE_COMMANDS, number) for number in (0, 1)]
    producer = lab.bus.transactional_producer("stranger")
    producer.init(Deadline.after(TIMEOUT_S))
    # given: a service that is idle
    with lab.running(echo()):
        lab.execute(0, partition=0)
        until(lambda: lab.committed("echo").get(places[0]) == (1, ""), "the record is completed")

        # when somebody aborts transactions
        for batch in range(3):
            producer.begin()
            for number in (0, 1):
                producer.send(lab.record(9, partition=number))
            ends = [2 * batch + 2, 2 * batch + 1]
            until(lambda ends=ends: written(lab, places) == ends, "its records are written")  # type: ignore[misc]
            producer.abort(Deadline.after(TIMEOUT_S))

        # then it commits behind them, and nothing waits
        until(
            lambda: [lab.committed("echo").get(place) for place in places] == [(7, ""), (6, "")],
            "3 records and 3 markers are behind what is committed",
        )
        until(lambda: [lags.get(place) for place in places] == [0, 0], "there is no lag")
    producer.close()

    assert lab.completed() == [0]


def written(lab: Lab, places: list[Position]) -> list[int]:
    """The ends of logs, with what is not committed."""
    consumer = lab.bus.consumer(Reading("ends", Start.BEGINNING))
    try:
        found = consumer.watermarks(places, Deadline.after(TIMEOUT_S), read_uncommitted=True)
        return [found[place][1] for place in places]
    finally:
        consumer.close()


def behind(ends: Mapping[Position, tuple[int, int]], reached: Mapping[Position, int]) -> dict[Position, int]:
    return {place: end - reached.get(place, first) for place, (first, end) in ends.items()}


def test_a_rebalance_keeps_the_order_of_each_session(lab: Lab) -> None:
    seen: dict[int, list[int]] = {key: [] for key in range(6)}

    async def note(number: int) -> None:
        seen[number % 6].append(number)
        await asyncio.sleep(0.005)

    service = echo(before=note, ordered=True, concurrency=10)
    with lab.host(service) as here, lab.host(service) as there, started(service, here):
        for number in range(300):
            lab.send(lab.record(number, session=derived_id("session", number % 6)))
        lab.producer.flush(Deadline.after(TIMEOUT_S))
        until(lambda: sum(map(len, seen.values())) > 30, "it is running")
        with started(service, there):
            until(lambda: len(set(lab.completed())) == 300, "all are completed")

    assert all(numbers == sorted(numbers) for numbers in seen.values())


def test_a_reply_over_the_limit_of_the_broker_fails_its_call_and_blocks_nothing(lab: Lab) -> None:
    """The limit of the topic is below that of the client, so that only the broker finds the record too large, and
    refuses its whole batch."""
    limit_record_size(lab.bus, lab.settings, Topic.EVENTS, 5_000)
    service = Service("echo")

    @service.on(commands.ExecuteTool)
    async def run(message: commands.ExecuteTool, context: ServiceContext) -> Any:
        output = json_value(incompressible(20_000 if number_of(message) == 3 else 10))
        return context.write(events.ToolCompleted, call=message.call, tool="echo", output=output)

    with lab.running(service):
        lab.execute(*range(10), partition=0)
        position = (Topic.EXECUTE_COMMANDS, 0)
        until(lambda: lab.committed("echo").get(position) == (10, ""), "all are committed")

    assert lab.completed() == [number for number in range(10) if number != 3]
    [failed] = [one for one in lab.messages(Topic.EVENTS) if isinstance(one, events.ToolFailed)]
    assert (number_of(failed), failed.failure.code) == (3, "too_large")
    [dead_letter] = lab.messages(Topic.DEAD_LETTERS)
    assert dead_letter.correlation_id == failed.correlation_id
