"""A handler that blocks the event loop is named, and a process whose handlers cannot run any more fails."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from orchestrator.bus.deadline import Deadline
from orchestrator.sdk import Plugins
from orchestrator.testing.memory import MemoryValues
from orchestrator.worker.host import Host, ProcessContext
from orchestrator.worker.loop import Worker
from orchestrator.worker.watchdog import Watching
from tests.support.workers import TIMEOUT_S, Lab, echo, started, until


@contextmanager
def host_of(lab: Lab, watching: Watching) -> Iterator[Host]:
    host = Host(lab.bus, lab.codec, ProcessContext(Plugins.of(), MemoryValues()), watching=watching)
    host.start(Deadline.after(TIMEOUT_S))
    try:
        yield host
    finally:
        host.stop(Deadline.after(TIMEOUT_S))


def reports(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Those about the service. On a busy machine others may block the loop for a moment."""
    return [line for line in caplog.messages if line.startswith("echo has blocked the event loop")]


def test_a_handler_that_blocks_the_loop_is_named_with_its_stack(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    release = threading.Event()

    async def block_on_0(number: int) -> None:
        if number == 0:
            release.wait(TIMEOUT_S)

    service = echo(before=block_on_0)
    watching = Watching(every=0.01, blocked_after=0.05)
    with caplog.at_level(logging.WARNING), host_of(lab, watching) as host, started(service, host):
        lab.execute(0, 1, partition=0)
        until(lambda: bool(reports(caplog)), "the watchdog says so")
        release.set()
        until(lambda: lab.completed() == [0, 1], "both are completed")
        until(lambda: "the event loop runs again" in caplog.text, "the watchdog says that it is over")

    assert "in block_on_0" in reports(caplog)[0]


def test_a_task_that_a_handler_started_is_named_by_its_handler(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    release = threading.Event()

    async def block() -> None:
        release.wait(TIMEOUT_S)

    async def start_one(_number: int) -> None:
        await asyncio.gather(block())

    service = echo(before=start_one)
    with host_of(lab, Watching(every=0.01, blocked_after=0.05)) as host, started(service, host):
        lab.execute(0, partition=0)
        until(
            lambda: "echo, handling ExecuteTool has blocked the event loop" in caplog.text,
            "the watchdog says so",
        )
        release.set()
        until(lambda: lab.completed() == [0], "it is completed")


def test_a_process_whose_loop_stays_blocked_fails(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    release = threading.Event()

    async def block(_number: int) -> None:
        release.wait(TIMEOUT_S)

    watching = Watching(every=0.01, blocked_after=0.05, failed_after=3)
    with host_of(lab, watching) as host:
        worker = Worker(echo(before=block), host)
        worker.start()
        worker.wait_assigned(Deadline.after(TIMEOUT_S))
        lab.execute(0, partition=0)
        until(lambda: host.failure is not None, "the host fails")
        until(lambda: worker.failure is not None, "so does its worker")
        release.set()

    assert "echo has blocked the event loop for" in str(host.failure)
    assert "restart the process" in caplog.text


def test_a_process_whose_loop_ends_fails(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    async def break_the_loop(_number: int) -> None:
        loop = asyncio.get_running_loop()
        loop._run_once = None  # type: ignore[attr-defined]

    with host_of(lab, Watching(every=0.01)) as host:
        worker = Worker(echo(before=break_the_loop), host)
        worker.start()
        worker.wait_assigned(Deadline.after(TIMEOUT_S))
        lab.execute(0, partition=0)
        until(lambda: worker.failure is not None, "the worker fails")

    assert host.failure is not None
    assert "the event loop ended, so no handler of this process can run" in caplog.text
