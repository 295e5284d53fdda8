"""(g) Pending timers: what they cost while none is due, and how late they fire under load."""

import threading
import time
from dataclasses import dataclass
from statistics import quantiles
from typing import Any, Final

from benchmarks.cluster import Cluster
from benchmarks.load import Load
from benchmarks.processes import cpu_seconds, resident_mib
from orchestrator.bus.headers import TYPE
from orchestrator.bus.ports import Outgoing
from orchestrator.clock import unix_micros
from orchestrator.messages.catalogue import avro_name
from orchestrator.messages.events import PlanRequested, TaskReceived

PENDING: Final = {"short": 2_000, "long": 100_000}
IDLE_S: Final = {"short": 2.0, "long": 30.0}
SETTLE_S: Final = 6.0
"""Longer than the interval of the loop's checkpoints, so that what was just read has been checkpointed."""
DUE_A_SECOND: Final = 100
OTHERS_A_SECOND: Final = 100
WINDOW_S: Final = {"short": 2, "long": 30}
LEAD_S: Final = 2
"""From submitting the tasks until the first one is due."""
_FAR_MICROS: Final = 2 * 3_600_000_000
_PLAN_REQUESTED: Final = avro_name(PlanRequested).encode()


@dataclass(frozen=True)
class _Idle:
    cpu_ms_per_s: float
    mib: float


def run(cluster: Cluster, form: str) -> dict[str, Any]:
    """Each timer is a task that must not start before a given time."""
    pending = PENDING[form]
    platform = cluster.installation(ACTIVE_SESSIONS=str(pending))
    load = Load(platform)
    with platform.processes(("orchestrator",)) as processes:
        pid = processes["orchestrator"].pid
        without = _idle(pid, IDLE_S[form])
        load.submit(load.tasks(pending, not_before=unix_micros() + _FAR_MICROS))
        load.await_events(TaskReceived, pending)
        time.sleep(SETTLE_S)
        with_them = _idle(pid, IDLE_S[form])
        late = _lateness(load, WINDOW_S[form])
    load.close()
    cut = quantiles(late, n=100)
    return {
        "benchmark": "timers",
        "pending": pending,
        "idle_cpu_ms_per_s": {"without": without.cpu_ms_per_s, "with": with_them.cpu_ms_per_s},
        "kib_per_pending": round((with_them.mib - without.mib) * 1024 / pending, 1),
        "fired": len(late),
        "fired_per_s": DUE_A_SECOND,
        "others_per_s": OTHERS_A_SECOND,
        "late_ms": {
            "p50": round(cut[49] * 1e3, 1),
            "p99": round(cut[98] * 1e3, 1),
            "max": round(max(late) * 1e3, 1),
        },
    }


def _idle(pid: int, seconds: float) -> _Idle:
    before, begun = cpu_seconds([pid]), time.perf_counter()
    time.sleep(seconds)
    spent = cpu_seconds([pid]) - before
    return _Idle(round(spent / (time.perf_counter() - begun) * 1e3, 1), resident_mib(pid))


def _lateness(load: Load, window_s: int) -> list[float]:
    """Seconds from when each task was due until a subscriber saw it start, while other tasks arrive all the time."""
    count = window_s * DUE_A_SECOND
    first = unix_micros() + LEAD_S * 1_000_000
    dues = [first + number * 1_000_000 // DUE_A_SECOND for number in range(count)]
    timed = [task for due in dues for task in load.tasks(1, not_before=due)]
    due_of = {task.key: due for task, due in zip(timed, dues, strict=True)}
    others = load.tasks((LEAD_S + window_s) * OTHERS_A_SECOND)
    load.submit(timed)
    others_thread = threading.Thread(target=_submit_steadily, args=(load, others))
    others_thread.start()
    late = []
    for event in load.events():
        if event.header(TYPE) == _PLAN_REQUESTED and event.key in due_of:
            late.append((unix_micros() - due_of.pop(event.key)) / 1e6)
            if not due_of:
                break
    others_thread.join()
    return late


def _submit_steadily(load: Load, tasks: list[Outgoing]) -> None:
    for task in tasks:
        load.submit([task])
        time.sleep(1 / OTHERS_A_SECOND)
