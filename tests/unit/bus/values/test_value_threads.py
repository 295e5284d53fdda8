"""What hangs in a value store keeps its own thread, and nothing else."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.values.message_values import MessageValues
from orchestrator.bus.values.threads import MOST_AT_ONCE, MOST_LEFT, ValueThreads
from orchestrator.errors import UnavailableError
from orchestrator.messages.types import Value
from orchestrator.messages.values import json_value
from tests.support.hanging_values import HangingValues

SECONDS = 30
SOON_S = 0.2
HANGS = Value(uri="values:hangs")
SOUND = Value(uri="values:sound")


@pytest.fixture
def store() -> Iterator[HangingValues]:
    made = HangingValues(b'"content"')
    yield made
    made.let_go.set()


async def test_reads_that_hang_leave_the_threads_of_others_alone(store: HangingValues) -> None:
    values = MessageValues(store)
    reading = [asyncio.ensure_future(values.load(HANGS)) for _ in range(2 * MOST_AT_ONCE)]
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(SECONDS):
            assert await asyncio.to_thread(store.calls.acquire)
            assert await asyncio.gather(*(asyncio.to_thread(str, 1) for _ in range(2 * MOST_AT_ONCE)))
    finally:
        store.let_go.set()
        await asyncio.gather(*reading)


async def test_calls_that_hang_fail_in_time_and_others_go_on(store: HangingValues) -> None:
    threads = ValueThreads()
    for _ in range(2):
        failed = await asyncio.gather(
            *(threads.run(store.let_go.wait, Deadline.after(SOON_S)) for _ in range(MOST_AT_ONCE)),
            return_exceptions=True,
        )
        assert {type(one) for one in failed} == {UnavailableError}

    assert await threads.run(lambda: "content", Deadline.after(SECONDS)) == "content"


async def test_a_read_that_nobody_waits_for_any_more_frees_its_place(store: HangingValues) -> None:
    values = MessageValues(store)
    reading = [asyncio.ensure_future(values.load(HANGS)) for _ in range(MOST_AT_ONCE)]
    await asyncio.sleep(0)
    for one in reading:
        one.cancel()
    await asyncio.gather(*reading, return_exceptions=True)

    async with asyncio.timeout(SECONDS):
        assert await values.load(SOUND) == "content"


async def test_too_many_that_hang_are_refused_at_once_until_they_return(store: HangingValues) -> None:
    values = MessageValues(store)
    for _ in range(MOST_LEFT // MOST_AT_ONCE):
        reading = [asyncio.ensure_future(values.load(HANGS)) for _ in range(MOST_AT_ONCE)]
        await asyncio.sleep(0)
        for _ in reading:
            assert store.calls.acquire(timeout=SECONDS)
        for one in reading:
            one.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
    with pytest.raises(UnavailableError, match=f"{MOST_LEFT} calls have not returned"):
        await values.load(SOUND)

    store.let_go.set()
    async with asyncio.timeout(SECONDS):
        assert await _once_it_is_made(values) == "content"


async def _once_it_is_made(values: MessageValues) -> object:
    while True:
        try:
            return await values.load(SOUND)
        except UnavailableError:
            await asyncio.sleep(0.01)


def test_a_thread_without_an_event_loop_waits_no_longer(store: HangingValues) -> None:
    with pytest.raises(UnavailableError, match="has not returned in time"):
        MessageValues(store, timeout_s=SOON_S).fetched(HANGS)
    values = MessageValues(store, inline_limit=1)
    assert values.load_now(values.placed(json_value("more"))) == "more"


def test_where_no_thread_may_be_started_a_call_fails(
    store: HangingValues, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    values = MessageValues(store)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(UnavailableError, match="no more threads"):
            values.fetched(SOUND)
    assert values.load_now(SOUND) == "content"


def test_what_hangs_keeps_no_process_from_ending() -> None:
    program = (
        "import asyncio\n"
        "from orchestrator.bus.values.message_values import MessageValues\n"
        "from orchestrator.messages.types import Value\n"
        "from tests.support.hanging_values import HangingValues\n"
        "store = HangingValues(b'')\n"
        "async def main():\n"
        "    reading = asyncio.ensure_future(MessageValues(store).load(Value(uri=store.hangs)))\n"
        "    await asyncio.sleep(0)\n"
        "    store.calls.acquire()\n"
        "    reading.cancel()\n"
        "asyncio.run(main())\n"
    )
    subprocess.run([sys.executable, "-c", program], timeout=SECONDS, check=True)
