"""(d) Restore of active sessions, each waiting for two tools: from their history, then from snapshots. Then of ended
sessions, which are known for two weeks.
"""

import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from random import Random
from typing import Any, Final
from uuid import UUID

from benchmarks import replies
from benchmarks.cluster import Cluster, Platform
from benchmarks.load import Load
from benchmarks.loop import Ends, RunningLoop
from benchmarks.processes import resident_mib
from benchmarks.recording import Bulk
from orchestrator.app.settings import load
from orchestrator.app.wiring import wire
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import Outgoing
from orchestrator.bus.standalone import STANDALONE, all_partitions
from orchestrator.engine.state import snapshots
from orchestrator.engine.state.encoding import Encoder
from orchestrator.engine.state.ended import Ended
from orchestrator.engine.state.partition import Partition
from orchestrator.messages import commands, events
from orchestrator.messages.base import Message
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.identity import claim_of

SESSIONS: Final = {"short": 500, "long": 10_000}
ENDED: Final = {"short": 20_000, "long": 2_000_000}
_DAYS: Final = 14
_DAY_MICROS: Final = 86_400_000_000
_REQUEST_S: Final = 60.0


@dataclass(frozen=True)
class Restored:
    """One restore in a new process. `seconds` is the time to restore all partitions, `ready_s` the time from joining
    the group until the loop reads inputs, `mib` the growth of the process in between."""

    sessions: int
    snapshots: int
    events: int
    seconds: float
    ready_s: float
    mib: float

    def figures(self) -> dict[str, float]:
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
        "history": from_history.figures(),
        "snapshots": from_snapshots.figures(),
        "ended": restore_ended(cluster.installation(), ENDED[form], from_snapshots),
    }


def restore_ended(platform: Platform, count: int, active: Restored) -> dict[str, float]:
    """Restores an installation with so many ended sessions, each with a business key, and no other. `active` is what
    their rate is told relative to: sessions of the same run, from their snapshots."""
    Bulk(platform, list(_ended(platform, count))).release()
    found = restore_elsewhere(platform)
    return {
        "sessions": count,
        "seconds": round(found.seconds, 3),
        "sessions_per_s": round(count / found.seconds),
        "times_active": round((count / found.seconds) / (active.sessions / active.seconds), 1),
        "mib": round(found.mib, 1),
    }


def _ended(platform: Platform, count: int) -> Iterator[Outgoing]:
    """The records that orchestrators write of sessions which end within two weeks."""
    wiring, random = platform.wiring, Random("ended")  # noqa: S311 - the same ids in each run
    encoder = Encoder(wiring.codec, wiring.values, "/orchestrator/0")
    encoder.prepare()
    places = all_partitions(wiring.bus, Topic.SESSIONS)
    now = time.time_ns() // 1000
    for _, number in places:
        ended, here = Ended(), count // len(places)
        for one in range(here):
            at = now - _DAYS * _DAY_MICROS * (here - one) // here
            ended.add(str(UUID(bytes=random.randbytes(16))), claim_of("acme", f"order-{one}"), at)
        for chunk in ended.unwritten():
            yield encoder.encode(chunk.record, number)


def begin(platform: Platform, count: int) -> Sequence[Partition]:
    """Runs `count` sessions until all of them wait for their tools; returns the partitions of the loop."""
    load_, ends = Load(platform), Ends()

    def reply(messages: Sequence[Message]) -> None:
        load_.submit([load_.encoded(one) for message in messages for one in _replies_to(message)])
        ends.committed(messages)

    ends.expect(events.StepAssigned, count * replies.STEPS)
    with RunningLoop(platform.wiring, reply) as running:
        load_.submit(load_.tasks(count))
        ends.wait()
    load_.close()
    return list(running.loop.partitions.values())


def _replies_to(message: Message) -> list[Message]:
    match message:
        case commands.CreatePlan():
            return [replies.planned(message)]
        case events.PlanStepReady():
            return [replies.selected(message)]
        case _:
            return []


def write_snapshots(platform: Platform, partitions: Sequence[Partition]) -> None:
    """Writes what the loop writes once the events of every session outweigh a snapshot: snapshots of all sessions, and
    checkpoints that leave no history to read."""
    wiring = platform.wiring
    encoder = Encoder(wiring.codec, wiring.values, "/orchestrator/0")
    encoder.prepare()
    consumer = wiring.bus.consumer(STANDALONE)
    places = all_partitions(wiring.bus, Topic.SESSIONS)
    marks = consumer.watermarks(places, Deadline.after(_REQUEST_S), read_uncommitted=True)
    consumer.close()
    records = []
    for partition in partitions:
        number, end = partition.number, marks[Topic.SESSIONS, partition.number][1]
        records += [snapshots.snapshot(encoder, number, one.session, end) for one in partition.live.values()]
        records.append(snapshots.checkpoint(encoder, partition, len(places), partition.batch, end))
    Bulk(platform, records).release()


def restore_elsewhere(platform: Platform) -> Restored:
    """A restore by a new process, as after a crash."""
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
