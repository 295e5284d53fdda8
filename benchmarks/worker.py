"""(e) A worker on one partition: short calls in sequence, in parallel, and in the order of their keys."""

import asyncio
import time
from collections.abc import Mapping
from random import Random
from typing import Any, Final

from benchmarks.cluster import Cluster, Platform
from benchmarks.recording import Bulk
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import Outgoing
from orchestrator.bus.standalone import STANDALONE
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.identity import derived_id
from orchestrator.sdk import Plugins, Service
from orchestrator.testing.memory import MemoryValues
from orchestrator.worker.host import Host, ProcessContext
from tests.support.workers import command, echo, started

CALLS: Final = {"short": 500, "long": 10_000}
CALLS_A_KEY: Final = 10
"""1,000 keys in the long form."""
CONCURRENCY: Final = 100
LONGEST_S: Final = 0.005
WAYS: Final[Mapping[str, Mapping[str, Any]]] = {
    "serial": {"concurrency": 1},
    "parallel": {"concurrency": CONCURRENCY},
    "by_key": {"concurrency": CONCURRENCY, "ordered": True},
}
_TIMEOUT_S: Final = 300.0
_POLL_S: Final = 0.005


def run(cluster: Cluster, form: str) -> dict[str, Any]:
    """Seconds from when the calls become visible until the last reply is acknowledged."""
    count = CALLS[form]
    seconds = {way: _calls(cluster, count, options) for way, options in WAYS.items()}
    return {
        "benchmark": "worker",
        "calls": count,
        "keys": count // CALLS_A_KEY,
        "concurrency": CONCURRENCY,
        "call_seconds": round(sum(durations(count)), 2),
        "seconds": {way: round(taken, 3) for way, taken in seconds.items()},
        "calls_per_s": {way: round(count / taken) for way, taken in seconds.items()},
        "serial_to_parallel": round(seconds["serial"] / seconds["parallel"], 1),
        "serial_to_by_key": round(seconds["serial"] / seconds["by_key"], 1),
    }


def durations(count: int) -> list[float]:
    """How long each call takes, in seconds; the same in each run."""
    random = Random("calls")  # noqa: S311 - the same numbers in each run
    return [random.uniform(0.0, LONGEST_S) for _ in range(count)]


def _calls(cluster: Cluster, count: int, options: Mapping[str, Any]) -> float:
    platform = cluster.installation(PARTITIONS="1")
    lasting = durations(count)

    async def wait(number: int) -> None:
        await asyncio.sleep(lasting[number])

    service: Service = echo("worker-benchmark", before=wait, **options)
    wiring = platform.wiring
    host = Host(wiring.bus, wiring.codec, ProcessContext(Plugins.of(service), MemoryValues()))
    host.start(Deadline.after(_TIMEOUT_S))
    try:
        with started(service, host):
            bulk = Bulk(platform, _commands(platform, count))
            begun = time.perf_counter()
            bulk.release()
            _await_replies(platform, count)
            return time.perf_counter() - begun
    finally:
        host.stop(Deadline.after(_TIMEOUT_S))


def _commands(platform: Platform, count: int) -> list[Outgoing]:
    keys = [derived_id("worker-benchmark", number) for number in range(count // CALLS_A_KEY)]
    encode = platform.wiring.codec.encode
    return [encode(command(number, keys[number % len(keys)]), source="/benchmark") for number in range(count)]


def _await_replies(platform: Platform, count: int) -> None:
    """Waits until the events topic has `count` records: it holds replies only."""
    consumer, place = platform.wiring.bus.consumer(STANDALONE), (Topic.EVENTS, 0)
    deadline, found = Deadline.after(_TIMEOUT_S), 0
    while found < count:
        if deadline.passed:
            raise RuntimeError(f"{count - found} calls got no reply")
        time.sleep(_POLL_S)
        found = consumer.watermarks([place], deadline)[place][1]
    consumer.close()
    if found > count:
        raise RuntimeError(f"{found} replies to {count} calls")
