"""(b) The saga loop alone, on recorded inputs: everything the orchestrator's thread does, nothing else running."""

from collections.abc import Sequence
from statistics import median
from typing import Any, Final

from benchmarks.cluster import Cluster
from benchmarks.loop import Ends, RunningLoop
from benchmarks.passage import Passage, told
from benchmarks.recording import Bulk, Recording, record
from benchmarks.relay import relay
from orchestrator.bus.kafka.config import RETRY_MS
from orchestrator.messages.events import TaskCompleted, TaskReceived

SESSIONS: Final = {"short": 100, "long": 3_000}
ROUNDS: Final = {"short": 1, "long": 5}


def run(cluster: Cluster, form: str) -> dict[str, Any]:
    """The loop against the relay, by turns, so that both see the same machine: the relay with the client as it
    comes, and one that asks again as soon as the loop does."""
    recording = record(cluster, SESSIONS[form])
    relays: list[Passage] = []
    hurried: list[Passage] = []
    loops: list[Passage] = []
    for _ in range(ROUNDS[form]):
        relays.append(relay(cluster, recording))
        hurried.append(relay(cluster, recording, RETRY_MS))
        loops.append(replay(cluster, recording))
    return {
        "benchmark": "saga_loop",
        "sessions": len(recording.tasks),
        "inputs": recording.inputs,
        "outputs": recording.written,
        "relay": told(relays),
        "hurried_relay": told(hurried),
        "loop": told(loops),
        "loop_of_relay": _share(loops, relays),
        "loop_of_hurried_relay": _share(loops, hurried),
    }


def _share(loops: Sequence[Passage], relays: Sequence[Passage]) -> float:
    return round(median(loop.rate / yard.rate for loop, yard in zip(loops, relays, strict=True)), 3)


def replay(cluster: Cluster, recording: Recording) -> Passage:
    """One pass of the loop over the recording, on topics of its own: tasks, then replies."""
    platform = cluster.installation(ACTIVE_SESSIONS=str(len(recording.tasks)))
    ends = Ends()
    with RunningLoop(platform.wiring, ends.committed):
        passage = Passage(cluster)
        for kind, records in ((TaskReceived, recording.tasks), (TaskCompleted, recording.replies)):
            bulk = Bulk(platform, records)
            ends.expect(kind, len(recording.tasks))
            with passage.stretch(len(records)):
                bulk.release()
                ends.wait()
    return passage
