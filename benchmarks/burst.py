"""(f) A burst of tasks that wait in their topic: the orchestrator's memory, its latency for replies meanwhile, and the
order in which the tasks start."""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import median, quantiles
from typing import Any, Final

from benchmarks import replies
from benchmarks.cluster import PARTITIONS, Cluster, Platform
from benchmarks.load import Load
from benchmarks.processes import resident_mib
from orchestrator.bus.headers import TYPE
from orchestrator.bus.partitioning import partition_of
from orchestrator.bus.ports import Outgoing
from orchestrator.bus.standalone import all_partitions, read_to_end
from orchestrator.messages.catalogue import Topic, avro_name
from orchestrator.messages.commands import CreatePlan
from orchestrator.messages.events import PlanAccepted, PlanRequested, TaskReceived

WAITING: Final = {"short": 2_000, "long": 50_000}
REPLIES: Final = {"short": 10, "long": 100}
"""Replies that are measured before the burst, and as many again while it waits. As many replies before all of them
are not counted, because code is slow when it runs for the first time."""
TAKEN: Final = {"short": 100, "long": 2_000}
"""Tasks of the burst that are admitted, to check their order."""
WATCHED_S: Final = {"short": 1.0, "long": 30.0}
_SAMPLE_S: Final = 0.1
_TIMEOUT_S: Final = 60.0
_RECEIVED: Final = avro_name(TaskReceived).encode()


def run(cluster: Cluster, form: str) -> dict[str, Any]:
    """Fills all places with sessions that wait for replies; the burst waits for them to end."""
    count = REPLIES[form]
    active = 3 * count
    # Admission counts the sessions of all partitions of a process together.
    platform = cluster.installation(ACTIVE_SESSIONS=str(-(-active // PARTITIONS)))
    load = Load(platform)
    with platform.processes(("orchestrator",)) as processes:
        pid = processes["orchestrator"].pid
        commands = _fill(platform, load, -(-active // PARTITIONS) * PARTITIONS)
        quiet = [_reply_s(load, command) for command in commands[: 2 * count]][count:]
        before = resident_mib(pid)
        burst = load.tasks(WAITING[form])
        load.submit(burst)
        watched = list(_sample_memory(pid, WATCHED_S[form]))
        waiting = [_reply_s(load, command) for command in commands[2 * count : active]]
        watched.append(resident_mib(pid))
        started = _admit(load, [command.correlation_id for command in commands], TAKEN[form])
        after = resident_mib(pid)
    load.close()
    return {
        "benchmark": "burst",
        "waiting": WAITING[form],
        "active": len(commands),
        "mib": {"before": round(before, 1), "waiting": round(max(watched), 1), "after": round(after, 1)},
        "growth_mib": round(max(watched) - before, 1),
        "reply_ms": {
            "quiet_p50": round(median(quiet) * 1e3, 1),
            "waiting_p50": round(median(waiting) * 1e3, 1),
            "waiting_p95": round(quantiles(waiting, n=20)[-1] * 1e3, 1),
        },
        "taken": sum(map(len, started.values())),
        "out_of_order": _out_of_order(burst, started),
    }


def _fill(platform: Platform, load: Load, count: int) -> list[CreatePlan]:
    """Starts `count` sessions; returns the commands for their plans."""
    load.submit(load.tasks(count))
    load.await_events(PlanRequested, count)
    wiring = platform.wiring
    found = read_to_end(wiring.bus, all_partitions(wiring.bus, Topic.PLAN_COMMANDS), _TIMEOUT_S)
    return [wiring.codec.decode(received) for received in found]


def _reply_s(load: Load, command: CreatePlan) -> float:
    """Seconds from a planner's reply until a subscriber sees the resulting event."""
    reply = load.encoded(replies.planned(command))
    begun = time.perf_counter()
    load.submit([reply])
    load.await_events(PlanAccepted, 1)
    return time.perf_counter() - begun


def _sample_memory(pid: int, seconds: float) -> Iterator[float]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        yield resident_mib(pid)
        time.sleep(_SAMPLE_S)


def _admit(load: Load, active: Sequence[str], count: int) -> dict[int, list[bytes]]:
    """Cancels the active sessions, and those that replace them, until `count` tasks were admitted. Returns their keys
    by partition, in the order they started."""
    started: dict[int, list[bytes]] = defaultdict(list)
    load.submit([load.encoded(replies.cancel(one)) for one in active])
    for event in load.events():
        if event.header(TYPE) == _RECEIVED and event.key is not None:
            started[event.partition].append(event.key)
            count -= 1
            if count <= 0:
                break
            load.send(replies.cancel(event.key.decode()))
    return started


def _out_of_order(burst: Sequence[Outgoing], started: dict[int, list[bytes]]) -> int:
    """How many tasks started out of the order of their partition."""
    submitted: dict[int, list[bytes]] = defaultdict(list)
    for task in burst:
        submitted[partition_of(task.key.decode(), PARTITIONS)].append(task.key)
    return sum(
        one != other
        for number, keys in started.items()
        for one, other in zip(keys, submitted[number], strict=False)
    )
