"""(b) The saga loop alone, on recorded inputs: everything the orchestrator's thread does, nothing else running."""

import threading
from collections.abc import Sequence
from statistics import median
from typing import Any, Final

from benchmarks.cluster import Cluster, Platform
from benchmarks.passage import Passage, told
from benchmarks.recording import Bulk, Recording, record
from benchmarks.relay import relay
from orchestrator.app.agents import DefinedAgents
from orchestrator.app.observing import SessionObserver
from orchestrator.bus.deadline import Deadline
from orchestrator.messages.base import Message
from orchestrator.messages.events import TaskCompleted, TaskReceived
from orchestrator.runtime.definitions import DefinitionsReader
from orchestrator.runtime.host import READERS_GROUP, unix_micros
from orchestrator.runtime.saga_loop import SagaLoop
from orchestrator.telemetry.tracing import NoTracing

SESSIONS: Final = {"short": 100, "long": 3_000}
ROUNDS: Final = {"short": 1, "long": 5}
_PATIENCE_S: Final = 120.0


def run(cluster: Cluster, form: str) -> dict[str, Any]:
    """The loop against the relay, by turns, so that both see the same machine."""
    recording = record(cluster, SESSIONS[form])
    relays: list[Passage] = []
    loops: list[Passage] = []
    for _ in range(ROUNDS[form]):
        relays.append(relay(cluster, recording))
        loops.append(replay(cluster, recording))
    ratio = median(loop.rate / yard.rate for loop, yard in zip(loops, relays, strict=True))
    return {
        "benchmark": "saga_loop",
        "sessions": len(recording.tasks),
        "inputs": recording.inputs,
        "outputs": recording.written,
        "relay": told(relays),
        "loop": told(loops),
        "loop_of_relay": round(ratio, 3),
    }


def replay(cluster: Cluster, recording: Recording) -> Passage:
    """One pass of the loop over the recording, on topics of its own: tasks, then replies."""
    platform = cluster.installation(ACTIVE_SESSIONS=str(len(recording.tasks)))
    ends = _Ends()
    with _Loop(platform, ends):
        passage = Passage(cluster)
        for kind, records in ((TaskReceived, recording.tasks), (TaskCompleted, recording.replies)):
            bulk = Bulk(platform, records)
            ends.expect(kind, len(recording.tasks))
            with passage.stretch(len(records)):
                bulk.release()
                ends.wait()
    return passage


class _Ends:
    """Waits for so many events of a kind to be committed."""

    def __init__(self) -> None:
        self._kind: type[Message] = Message
        self._left = 0
        self._done = threading.Event()

    def expect(self, kind: type[Message], count: int) -> None:
        self._kind, self._left = kind, count
        self._done.clear()

    def committed(self, messages: Sequence[Message]) -> None:
        kind = self._kind
        self._left -= sum(type(message) is kind for message in messages)
        if self._left == 0:
            self._done.set()

    def wait(self) -> None:
        if not self._done.wait(_PATIENCE_S):
            raise RuntimeError(f"{self._left} times {self._kind.__name__} did not come")


class _Loop:
    """The loop in a thread, wired as a process of `orchestrator run` wires it."""

    def __init__(self, platform: Platform, ends: _Ends) -> None:
        wiring = platform.wiring
        self._definitions = DefinitionsReader(wiring.bus, wiring.codec, READERS_GROUP)
        observer = SessionObserver(NoTracing(), wiring.metrics)

        def committed(messages: Sequence[Message]) -> None:
            observer.committed(messages)
            ends.committed(messages)

        self.loop = SagaLoop(
            wiring.bus,
            wiring.codec,
            wiring.values,
            DefinedAgents(self._definitions),
            unix_micros,
            wiring.settings.loop,
            committed,
        )
        self._thread = threading.Thread(target=self.loop.run, name="orchestrator")

    def __enter__(self) -> "_Loop":
        self._definitions.start()
        self._definitions.catch_up(Deadline.after(_PATIENCE_S))
        self._thread.start()
        if not self.loop.ready.wait(_PATIENCE_S):
            raise RuntimeError("the loop got no partitions")
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.stop()
        self._thread.join()
        self._definitions.stop()
