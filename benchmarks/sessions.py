"""(c) Whole sessions: a plan, two parallel tools, a third that needs both, an evaluation. Tools return at once."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any, Final

from benchmarks.cluster import SERVICES, Cluster
from benchmarks.load import Load
from benchmarks.processes import cpu_seconds

AT_ONCE: Final = {"short": 100, "long": 1_000}
BURSTS: Final = {"short": 1, "long": 5}
WARM_UP: Final = {"short": 1, "long": 4}
"""Bursts that are not counted: the broker's JVM needs twice the CPU while it is cold."""
ALONE: Final = {"short": 20, "long": 200}
STEPS: Final = 3


@dataclass(frozen=True)
class _Burst:
    seconds: float
    cpu: Mapping[str, float]


def run(cluster: Cluster, form: str) -> dict[str, Any]:
    platform = cluster.installation()
    load = Load(platform)
    with platform.processes(*SERVICES) as processes:
        pids = {name: [process.pid] for name, process in processes.items()} | {
            "broker": list(cluster.broker_pids)
        }
        for _ in range(WARM_UP[form]):
            _burst(load, AT_ONCE[form], pids)
        bursts = [_burst(load, AT_ONCE[form], pids) for _ in range(BURSTS[form])]
        alone = [_alone(load) for _ in range(ALONE[form])]
    load.close()
    return _figures(cluster, AT_ONCE[form], bursts, alone)


def _burst(load: Load, count: int, pids: Mapping[str, list[int]]) -> _Burst:
    tasks = load.tasks(count)
    before = {name: cpu_seconds(own) for name, own in pids.items()}
    begun = time.perf_counter()
    load.submit(tasks)
    load.await_completed(count)
    seconds = time.perf_counter() - begun
    return _Burst(seconds, {name: cpu_seconds(own) - before[name] for name, own in pids.items()})


def _alone(load: Load) -> float:
    """Seconds from the task's submission to its end, as a subscriber of sessions sees it."""
    tasks = load.tasks(1)
    begun = time.perf_counter()
    load.submit(tasks)
    load.await_completed(1)
    return time.perf_counter() - begun


def _figures(cluster: Cluster, count: int, bursts: list[_Burst], alone: list[float]) -> dict[str, Any]:
    rate = median(count / burst.seconds for burst in bursts)
    cpu = {name: median(burst.cpu[name] for burst in bursts) / count * 1e3 for name in bursts[0].cpu}
    total = median(sum(burst.cpu.values()) for burst in bursts) / count * 1e3
    return {
        "benchmark": "sessions",
        "nodes": cluster.nodes,
        "at_once": count,
        "sessions_per_s": round(rate, 1),
        "steps_per_s": round(rate * STEPS, 1),
        "cpu_ms_per_session": round(total, 2),
        "cpu_ms_by_process": {name: round(spent, 2) for name, spent in cpu.items()},
        "alone_p50_ms": round(median(alone) * 1e3, 1),
        "alone_p95_ms": round(quantiles(alone, n=20)[-1] * 1e3, 1),
    }
