"""(f) A burst of tasks that wait in their topic: the orchestrator's memory, replies meanwhile, and their order."""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import median, quantiles
from typing import Any, Final

from benchmarks import answers
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
"""Replies that are measured before the burst, and as many again while it waits. As many come before all of them
that are not counted: code that runs for the first time is slow."""
TAKEN: Final = {"short": 100, "long": 2_000}
"""Tasks of the burst that are let in, to see in which order."""
WATCHED_S: Final = {"short": 1.0, "long": 30.0}
_LOOK_S: Final = 0.1
_TIMEOUT_S: Final = 60.0
_RECEIVED: Final = avro_name(TaskReceived).encode()


def run(cluster: Cluster, form: str) -> dict[str, Any]:
    """As many sessions as may be wait for replies; the burst waits for them."""
    replies = REPLIES[form]
    active = 3 * replies
    # Admission counts the sessions of all partitions of a process together.
    platform = cluster.installation(ACTIVE_SESSIONS=str(-(-active // PARTITIONS)))
    load = Load(platform)
    with platform.processes(("orchestrator",)) as processes:
        pid = processes["orchestrator"].pid
        commands = _fill(platform, load, -(-active // PARTITIONS) * PARTITIONS)
        quiet = [_reply_s(load, command) for command in commands[: 2 * replies]][replies:]
        before = resident_mib(pid)
        burst = load.tasks(WAITING[form])
        load.submit(burst)
        watched = list(_memory(pid, WATCHED_S[form]))
        waiting = [_reply_s(load, command) for command in commands[2 * replies : active]]
        watched.append(resident_mib(pid))
        began = _let_in(load, [command.correlation_id for command in commands], TAKEN[form])
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
        "taken": sum(map(len, began.values())),
        "out_of_order": _out_of_order(burst, began),
    }


def _fill(platform: Platform, load: Load, count: int) -> list[CreatePlan]:
    """Begins so many sessions; the plans they ask for."""
    load.submit(load.tasks(count))
    load.await_events(PlanRequested, count)
    wiring = platform.wiring
    found = read_to_end(wiring.bus, all_partitions(wiring.bus, Topic.PLAN_COMMANDS), _TIMEOUT_S)
    return [wiring.codec.decode(received) for received in found]


def _reply_s(load: Load, command: CreatePlan) -> float:
    """Seconds from a planner's reply until a subscriber sees what the orchestrator made of it."""
    reply = load.encoded(answers.planned(command))
    begun = time.perf_counter()
    load.submit([reply])
    load.await_events(PlanAccepted, 1)
    return time.perf_counter() - begun


def _memory(pid: int, seconds: float) -> Iterator[float]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        yield resident_mib(pid)
        time.sleep(_LOOK_S)


def _let_in(load: Load, active: Sequence[str], count: int) -> dict[int, list[bytes]]:
    """Cancels sessions, those that take their places too, until so many have come in; by partition, as they
    began."""
    began: dict[int, list[bytes]] = defaultdict(list)
    load.submit([load.encoded(answers.cancelling(one)) for one in active])
    for event in load.events():
        if event.header(TYPE) == _RECEIVED and event.key is not None:
            began[event.partition].append(event.key)
            count -= 1
            if count <= 0:
                break
            load.say(answers.cancelling(event.key.decode()))
    return began


def _out_of_order(burst: Sequence[Outgoing], began: dict[int, list[bytes]]) -> int:
    """How many tasks began where another one of their partition was to begin."""
    submitted: dict[int, list[bytes]] = defaultdict(list)
    for task in burst:
        submitted[partition_of(task.key.decode(), PARTITIONS)].append(task.key)
    return sum(
        one != other
        for number, keys in began.items()
        for one, other in zip(keys, submitted[number], strict=False)
    )
