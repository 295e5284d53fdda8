"""One session of many turns: a scripted model asks for a page a turn, and a tool returns it at once. Beside it, the
same loop in LangGraph."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec

from benchmarks.cluster import SERVICES, Cluster, Platform
from benchmarks.conversation.langgraph import figures_of_langgraph
from benchmarks.conversation.texts import ANSWER, produced_bytes
from benchmarks.conversation.written import OnDisk, bytes_by_topic, record_bytes, records_of
from benchmarks.load import Load
from benchmarks.processes import cpu_seconds, resident_mib
from orchestrator.bus.codec import Codec
from orchestrator.bus.ports import Received
from orchestrator.messages import events
from orchestrator.messages.base import Message, SessionEvent
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.types import SessionSnapshot
from orchestrator.messages.values import read_json
from orchestrator.saga import Session, evolve

FOLDER: Final = Path(__file__).parent
TURNS: Final = {"short": 12, "long": 100}
ROUNDS: Final = {"short": 1, "long": 3}
WARM_UP: Final = {"short": 1, "long": 2}
"""Sessions that are not measured: code is slow when it runs for the first time, and a model client is loaded."""
COMPARED: Final = {"short": 3, "long": 10}
"""How many first and how many last turns are compared."""
_MEASURED: Final = ("orchestrator", "planner")


@dataclass(frozen=True)
class Conversation:
    """What one session has written, and how long its turns took."""

    records: Mapping[Topic, list[Received]]
    on_disk: OnDisk
    turns_ms: Sequence[float]
    planning_ms: Sequence[int]
    states: Sequence[int]
    """Bytes of the session's state at the beginning of each turn, as a snapshot holds it."""
    snapshots: Sequence[int]
    mib: Mapping[str, float]
    """Memory of processes when it has ended."""
    cpu: Mapping[str, float]
    """CPU seconds of processes."""


def run(cluster: Cluster, form: str) -> dict[str, Any]:
    turns = TURNS[form]
    # Texts are made once and before all measurements: they take longer than a turn of the platform.
    produced = produced_bytes(turns)
    platform = cluster.installation(FOLDER / "agent")
    load = Load(platform)
    with platform.processes(*_services()) as processes:
        pids = {name: [process.pid] for name, process in processes.items()} | {
            "broker": list(cluster.broker_pids)
        }
        talks = [
            _conversation(cluster, platform, load, turns, pids) for _ in range(WARM_UP[form] + ROUNDS[form])
        ]
    load.close()
    return {
        "benchmark": "conversation",
        "turns": turns,
        "produced_bytes": produced,
        **_figures(talks, WARM_UP[form], COMPARED[form], produced),
        "langgraph": figures_of_langgraph(turns, WARM_UP[form], ROUNDS[form], COMPARED[form]),
    }


def _services() -> Iterator[tuple[str, ...]]:
    plugins = ("--module", str(FOLDER / "plugins.py"))
    for name, *_ in SERVICES:
        yield (name, *plugins) if name in {"planner", "tool-executor"} else (name,)


def _conversation(
    cluster: Cluster, platform: Platform, load: Load, turns: int, pids: Mapping[str, list[int]]
) -> Conversation:
    (task,) = load.tasks(1, agent="reader", goal=f"Read {turns} pages")
    before = OnDisk.of(cluster, platform)
    cpu = {name: cpu_seconds(own) for name, own in pids.items()}
    load.submit([task])
    load.await_completed(1)
    cpu = {name: cpu_seconds(own) - cpu[name] for name, own in pids.items()}
    mib = {name: resident_mib(pids[name][0]) for name in _MEASURED}
    on_disk = OnDisk.of(cluster, platform).since(before)
    records = records_of(platform, task.key)
    codec = platform.wiring.codec
    history = [one for one in _decoded(codec, records[Topic.SESSIONS]) if isinstance(one, SessionEvent)]
    _check(history, turns)
    plans = [one for one in _decoded(codec, records[Topic.EVENTS]) if isinstance(one, events.PlanCreated)]
    kept = [one for one in _decoded(codec, records[Topic.SNAPSHOTS]) if isinstance(one, SessionSnapshot)]
    return Conversation(
        records=records,
        on_disk=on_disk,
        turns_ms=list(_turns_ms(history)),
        planning_ms=[plan.usage.duration_ms for plan in plans],
        states=list(_states(history)),
        snapshots=[one.state.size for one in kept],
        mib=mib,
        cpu=cpu,
    )


def _decoded(codec: Codec, records: Sequence[Received]) -> Iterator[Message | Any]:
    return (codec.decode(one) for one in records if one.value is not None)


def _check(history: Sequence[SessionEvent], turns: int) -> None:
    requested = sum(isinstance(event, events.PlanRequested) for event in history)
    end = history[-1]
    answer = read_json(end.result) if isinstance(end, events.TaskCompleted) else None
    if (requested, answer) != (turns, ANSWER):
        raise RuntimeError(f"a session of {turns} turns had {requested}, and ended with {end}")


def _turns_ms(history: Sequence[SessionEvent]) -> Iterator[float]:
    """Milliseconds from each request of a plan to the next one."""
    begun = [event.occurred_at for event in history if isinstance(event, events.PlanRequested)]
    return ((after - before) / 1e3 for before, after in pairwise(begun))


def _states(history: Sequence[SessionEvent]) -> Iterator[int]:
    state: Session | None = None
    for event in history:
        state = evolve(state, event)
        if isinstance(event, events.PlanRequested):
            yield len(msgspec.msgpack.encode(state))


def _figures(talks: Sequence[Conversation], warm_up: int, compared: int, produced: int) -> dict[str, Any]:
    measured = talks[warm_up:]
    turns = len(measured[0].planning_ms)
    last = measured[-1]
    topics = bytes_by_topic(last.records, record_bytes)
    segments = [one.on_disk.segments for one in measured if one.on_disk.segments is not None]
    bookkeeping = [one.on_disk.bookkeeping for one in measured if one.on_disk.bookkeeping is not None]
    # The state of the first turn has no plan before it.
    states = last.states[1:]
    return {
        "kafka_bytes": {**topics, "all": topics.total()},
        # What models write goes to `progress` too, for people to watch: it is not kept.
        "kafka_of_produced": round((topics.total() - topics[Topic.PROGRESS]) / produced, 2),
        "progress_of_produced": round(topics[Topic.PROGRESS] / produced, 2),
        "segments_of_produced": round(median(segments) / produced, 2) if segments else None,
        "bookkeeping_of_produced": round(median(bookkeeping) / produced, 2) if bookkeeping else None,
        "values_of_produced": round(median(one.on_disk.values for one in measured) / produced, 2),
        "turn_ms": compared_turns([one.turns_ms for one in measured], compared),
        "planning_ms": compared_turns([one.planning_ms[:-1] for one in measured], compared),
        "rest_ms": compared_turns([_rest(one) for one in measured], compared),
        "cpu_ms_per_turn": {
            name: round(median(one.cpu[name] for one in measured) / turns * 1e3, 2) for name in last.cpu
        },
        "state_bytes": {
            "first": round(median(states[:compared])),
            "last": round(median(states[-compared:])),
            "most": max(states),
        },
        "snapshots": {"count": len(last.snapshots), "largest_bytes": max(last.snapshots, default=0)},
        "mib": {
            name: {"before": round(talks[warm_up - 1].mib[name], 1), "after": round(last.mib[name], 1)}
            for name in _MEASURED
        },
    }


def _rest(talk: Conversation) -> list[float]:
    """What a turn takes besides the planner's own work."""
    return [turn - planning for turn, planning in zip(talk.turns_ms, talk.planning_ms, strict=False)]


def compared_turns(rounds: Sequence[Sequence[float]], compared: int) -> dict[str, float]:
    """Medians over the first and the last turns of all rounds, and their ratio."""
    first = median(one for turns in rounds for one in turns[:compared])
    last = median(one for turns in rounds for one in turns[-compared:])
    return {"first": round(first, 1), "last": round(last, 1), "last_of_first": round(last / first, 2)}
