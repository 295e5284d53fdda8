"""The loop under faults: commits with an unknown outcome, zombies, crashes inside a transaction."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.bus.errors import FencedError
from orchestrator.local import StackAddress
from orchestrator.messages.catalogue import Topic
from tests.support.proxy import END_TXN, KafkaProxy
from tests.support.saga_lab import SagaLab, bus_with, count_ended, is_gapless
from tests.support.saga_process import FENCED, saga_process
from tests.support.workers import until

pytestmark = pytest.mark.integration


@pytest.fixture
def new_lab(kafka_stack: StackAddress, tmp_path: Path) -> Callable[[int], SagaLab]:
    return lambda partitions: SagaLab.on(kafka_stack.bootstrap_servers, tmp_path, partitions)


@pytest.fixture
def lab(new_lab: Callable[[int], SagaLab]) -> SagaLab:
    return new_lab(2)


@pytest.fixture
def proxy(kafka_stack: StackAddress) -> Iterator[KafkaProxy]:
    with KafkaProxy(kafka_stack.bootstrap_servers) as proxy:
        yield proxy


def await_all_completed(lab: SagaLab, names: list[str]) -> None:
    """Waits until all sessions have completed; each ended once and nothing was written twice."""
    until(lambda: count_ended(lab.histories(), "TaskCompleted") >= len(names), "all sessions completed", 90)
    histories = lab.histories()
    assert sorted(histories) == sorted(names)
    assert all(is_gapless(history) for history in histories.values())
    assert not lab.dead_letters()


def test_a_commit_whose_response_is_lost_counts_once(
    lab: SagaLab, proxy: KafkaProxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "orchestrator")
    names = lab.submit(*(lab.new_id() for _ in range(10)))
    bus = bus_with(lab, proxy.bootstrap_servers, topic_metadata_refresh_interval_ms="1000")
    with lab.running(bus=bus, transaction_s=2.0):
        proxy.losing = END_TXN
        with lab.services():
            until(lambda: "was committed" in caplog.text, "a response is lost, and the outcome found", 60)
            proxy.losing = None
            await_all_completed(lab, names)
    assert proxy.lost


def test_a_commit_whose_request_is_lost_is_repeated(
    lab: SagaLab, proxy: KafkaProxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "orchestrator")
    names = lab.submit(*(lab.new_id() for _ in range(10)))
    bus = bus_with(lab, proxy.bootstrap_servers, topic_metadata_refresh_interval_ms="1000")
    with lab.running(bus=bus, transaction_s=2.0):
        proxy.swallowing = END_TXN
        with lab.services():
            until(lambda: "was not committed" in caplog.text, "the outcome is found", 60)
            proxy.swallowing = None
            await_all_completed(lab, names)
    assert proxy.lost


def test_a_cut_network_only_delays(lab: SagaLab, proxy: KafkaProxy) -> None:
    names = lab.submit(*(lab.new_id() for _ in range(20)))
    bus = bus_with(
        lab,
        proxy.bootstrap_servers,
        reconnect_backoff_max_ms="500",
        socket_timeout_ms="3000",
        transaction_timeout_ms="3000",
    )
    with lab.running(bus=bus, transaction_s=2.0), lab.services():
        until(lambda: len(lab.installation.messages(Topic.PLAN_COMMANDS)) >= 5, "5 plans are requested")
        proxy.cut = True
        time.sleep(5)
        proxy.cut = False
        await_all_completed(lab, names)


def test_a_second_process_on_a_slot_ends_the_first(lab: SagaLab) -> None:
    names = lab.submit(*(lab.new_id() for _ in range(10)))
    first = lab.start(slot=0)
    lab.until_ready(first)
    with lab.running(slot=0), lab.services():
        await_all_completed(lab, names)
        first.thread.join(30)
    assert isinstance(first.failure, FencedError)


def test_what_a_zombie_writes_is_never_visible(lab: SagaLab, tmp_path: Path) -> None:
    names = [lab.new_id() for _ in range(20)]
    with saga_process(lab, 0, tmp_path) as zombie:
        zombie.until_ready()
        lab.submit(*names[:10])
        until(lambda: len(lab.installation.messages(Topic.PLAN_COMMANDS)) == 10, "it has handled the tasks")
        zombie.signal(signal.SIGSTOP)
        lab.submit(*names[10:])
        with lab.running(slot=0), lab.services():
            until(
                lambda: count_ended(lab.histories(), "TaskCompleted") >= 5,
                "the other one works on sessions",
                60,
            )
            zombie.signal(signal.SIGCONT)
            assert zombie.wait() == FENCED
            await_all_completed(lab, names)


def test_partitions_of_a_frozen_process_go_to_the_others(lab: SagaLab, tmp_path: Path) -> None:
    names = [lab.new_id() for _ in range(20)]
    with saga_process(lab, 0, tmp_path) as frozen:
        frozen.until_ready()
        lab.submit(*names)
        until(lambda: len(lab.installation.messages(Topic.PLAN_COMMANDS)) == 20, "it has handled the tasks")
        frozen.signal(signal.SIGSTOP)
        with lab.running(slot=1), lab.services():
            until(
                lambda: count_ended(lab.histories(), "TaskCompleted") >= 10,
                "the other one works on sessions",
                60,
            )
            frozen.signal(signal.SIGCONT)
            await_all_completed(lab, names)


@pytest.mark.parametrize("step", ["decide", "begin", "send", "send offsets", "commit", "promote"])
def test_a_crash_between_any_two_steps_changes_nothing(lab: SagaLab, tmp_path: Path, step: str) -> None:
    """Killed inside a transaction and restarted at once: what was committed counts, what was not is repeated, and a
    `read_committed` end that hides a transaction for a while does not mislead the restore."""
    names = lab.submit(*(lab.new_id() for _ in range(10)))
    with lab.services():
        for at in (1, 2, 3):
            with saga_process(lab, 0, tmp_path, step, at) as process:
                assert process.wait() == -signal.SIGKILL
        with lab.running(slot=0):
            await_all_completed(lab, names)
