"""(b) The saga loop alone, on recorded inputs: everything that the orchestrator's thread does, and no services."""

from collections.abc import Sequence
from statistics import median
from typing import Any, Final

from benchmarks.cluster import Cluster
from benchmarks.loop import Ends, RunningLoop
from benchmarks.measurement import Measurement, figures
from benchmarks.recording import Bulk, Recording, record
from benchmarks.relay import relay
from orchestrator.bus.kafka.config import RETRY_MS
from orchestrator.messages.events import TaskCompleted, TaskReceived

SESSIONS: Final = {"short": 100, "long": 3_000}
ROUNDS: Final = {"short": 1, "long": 5}


def run(cluster: Cluster, form: str) -> dict[str, Any]:
    """The loop against the relay, in turns, so that both run under the same conditions: the relay with the client's
    defaults, and one with the retry backoff of the loop."""
    recording = record(cluster, SESSIONS[form])
    relays: list[Measurement] = []
    hurried: list[Measurement] = []
    loops: list[Measurement] = []
    for _ in range(ROUNDS[form]):
        relays.append(relay(cluster, recording))
        hurried.append(relay(cluster, recording, RETRY_MS))
        loops.append(replay(cluster, recording))
    return {
        "benchmark": "saga_loop",
        "sessions": len(recording.tasks),
        "inputs": recording.inputs,
        "outputs": recording.written,
        "relay": figures(relays),
        "hurried_relay": figures(hurried),
        "loop": figures(loops),
        "loop_of_relay": _share(loops, relays),
        "loop_of_hurried_relay": _share(loops, hurried),
    }


def _share(loops: Sequence[Measurement], relays: Sequence[Measurement]) -> float:
    return round(median(loop.rate / baseline.rate for loop, baseline in zip(loops, relays, strict=True)), 3)


def replay(cluster: Cluster, recording: Recording) -> Measurement:
    """One pass of the loop over the recording, on new topics: tasks, then replies."""
    platform = cluster.installation(ACTIVE_SESSIONS=str(len(recording.tasks)))
    ends = Ends()
    with RunningLoop(platform.wiring, ends.committed):
        measurement = Measurement(cluster)
        for kind, records in ((TaskReceived, recording.tasks), (TaskCompleted, recording.replies)):
            bulk = Bulk(platform, records)
            ends.expect(kind, len(recording.tasks))
            with measurement.section(len(records)):
                bulk.release()
                ends.wait()
    return measurement
