"""(d) Restore of active sessions, each waiting for two tools: from their history, then from snapshots."""

import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from benchmarks import answers
from benchmarks.cluster import Cluster, Platform
from benchmarks.load import Load
from benchmarks.loop import Ends, RunningLoop
from benchmarks.processes import resident_mib
from benchmarks.recording import Bulk
from orchestrator.app.settings import load
from orchestrator.app.wiring import wire
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.standalone import STANDALONE, all_partitions
from orchestrator.engine.state import snapshots
from orchestrator.engine.state.encoding import Encoder
from orchestrator.engine.state.partition import Partition
from orchestrator.messages import commands, events
from orchestrator.messages.base import Message
from orchestrator.messages.catalogue import Topic

SESSIONS: Final = {"short": 500, "long": 10_000}
_ANSWER_S: Final = 60.0


@dataclass(frozen=True)
class Restored:
    """One restore in a process of its own. `seconds` is what restoring all partitions took, `ready_s` goes from
    joining the group until the loop takes inputs, `mib` is what the process grew by in between."""

    sessions: int
    snapshots: int
    events: int
    seconds: float
    ready_s: float
    mib: float

    def told(self) -> dict[str, float]:
        return {
            "sessions": self.sessions,
            "snapshots": self.snapshots,
            "events": self.events,
            "seconds": round(self.seconds, 3),
            "sessions_per_s": round(self.sessions / self.seconds),
            "ready_s": round(self.ready_s, 2),
            "mib": round(self.mib, 1),
            "kib_per_session": round(self.mib * 1024 / self.sessions, 1),
        }


def run(cluster: Cluster, form: str) -> dict[str, Any]:
    count = SESSIONS[form]
    platform = cluster.installation(ACTIVE_SESSIONS=str(count))
    live = begin(platform, count)
    from_history = restore_elsewhere(platform)
    write_snapshots(platform, live)
    from_snapshots = restore_elsewhere(platform)
    return {
        "benchmark": "restore",
        "sessions": count,
        "history": from_history.told(),
        "snapshots": from_snapshots.told(),
    }


def begin(platform: Platform, count: int) -> Sequence[Partition]:
    """Runs so many sessions until all of their tools are awaited; what the loop then holds."""
    load_, ends = Load(platform), Ends()

    def answer(messages: Sequence[Message]) -> None:
        load_.submit([load_.encoded(one) for message in messages for one in _answers(message)])
        ends.committed(messages)

    ends.expect(events.StepAssigned, count * answers.STEPS)
    with RunningLoop(platform.wiring, answer) as running:
        load_.submit(load_.tasks(count))
        ends.wait()
    load_.close()
    return list(running.loop.partitions.values())


def _answers(message: Message) -> list[Message]:
    match message:
        case commands.CreatePlan():
            return [answers.planned(message)]
        case events.PlanStepReady():
            return [answers.selected(message)]
        case _:
            return []


def write_snapshots(platform: Platform, partitions: Sequence[Partition]) -> None:
    """What the loop would write once each session's events outweigh a snapshot: snapshots of all, and checkpoints
    that leave no history to be read."""
    wiring = platform.wiring
    encoder = Encoder(wiring.codec, wiring.values, "/orchestrator/0")
    encoder.prepare()
    looking = wiring.bus.consumer(STANDALONE)
    places = all_partitions(wiring.bus, Topic.SESSIONS)
    marks = looking.watermarks(places, Deadline.after(_ANSWER_S), read_uncommitted=True)
    looking.close()
    records = []
    for partition in partitions:
        number, end = partition.number, marks[Topic.SESSIONS, partition.number][1]
        records += [snapshots.snapshot(encoder, number, one.session, end) for one in partition.live.values()]
        records.append(snapshots.checkpoint(encoder, number, len(places), partition.batch, end))
    Bulk(platform, records).release()


def restore_elsewhere(platform: Platform) -> Restored:
    """A restore by a process that has done nothing before, as after a crash."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as processes:
        return processes.submit(_restore, platform.environment).result()


def _restore(environment: dict[str, str]) -> Restored:
    wiring = wire(load(environment=environment))
    before, begun = resident_mib(os.getpid()), time.perf_counter()
    with RunningLoop(wiring, lambda _messages: None) as running:
        ready_s, mib = time.perf_counter() - begun, resident_mib(os.getpid()) - before
        found = running.loop.restored
    return Restored(
        sessions=sum(one.live for one in found),
        snapshots=sum(one.snapshots for one in found),
        events=sum(one.events for one in found),
        seconds=sum(one.seconds for one in found),
        ready_s=ready_s,
        mib=mib,
    )
