"""The platform as processes on a real Kafka, with a model server beside it: tasks are given to it and looked into."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import uuid4

from orchestrator.app.settings import load
from orchestrator.bus.standalone import all_partitions, read_to_end, session_partition
from orchestrator.client import Client, Handle
from orchestrator.client.connection import connect
from orchestrator.local import StackAddress
from orchestrator.messages import events
from orchestrator.messages.base import Event
from orchestrator.messages.catalogue import TOPICS, Topic
from orchestrator.messages.types import Usage
from orchestrator.telemetry.content import VARIABLE as CAPTURE_CONTENT
from tests.integration.thinking import shop
from tests.integration.thinking.strategies import STRATEGIES, Strategy
from tests.support.installation import Installation
from tests.support.model_server import ModelServer
from tests.support.model_server.ledger import Entry, Outcome
from tests.support.otlp_collector import Collector, collecting
from tests.support.trace_tree import Span

GROUPS: Final = (
    ("orchestrator",),
    ("planner",),
    ("tool-executor",),
    ("tool-selector", "recovery", "evaluator", "session-recorder"),
)
"""The services of each process. Those that only decide share one, to limit the number of processes."""
_THINK_OR_ACT: Final = ("planner", "tool-executor")
_ROOT: Final = Path(__file__).parents[3]
WAIT_S: Final = 240.0
LOOK_S: Final = 0.05
Of = TypeVar("Of", bound=Event)


@dataclass(frozen=True)
class Settled:
    """A session that has settled, and the requests for it that the model server saw."""

    session: str
    end: Event
    result: Any
    events: Sequence[Event]
    requests: Sequence[Entry]

    def all(self, kind: type[Of]) -> list[Of]:
        """Its events of this type."""
        return [event for event in self.events if isinstance(event, kind)]

    def ran(self) -> list[str]:
        """The tools that succeeded, sorted."""
        return sorted(event.tool for event in self.all(events.ToolCompleted))

    @property
    def used(self) -> Usage:
        """What its end reports of models."""
        assert isinstance(self.end, events.TaskCompleted | events.TaskEscalated)
        return _of_models(self.end.total)

    @property
    def charged(self) -> Usage:
        """What the model server charged for requests that it sent to their end."""
        charged = [each.usage for each in self.requests if each.outcome is Outcome.ANSWERED and each.usage]
        return Usage(
            model_requests=len(charged),
            tokens_input=sum(each.prompt_tokens for each in charged),
            tokens_output=sum(each.completion_tokens for each in charged),
            tokens_cached=sum(each.cached_tokens for each in charged),
        )

    def requests_with(self, outcome: Outcome) -> int:
        return sum(each.outcome is outcome for each in self.requests)


@dataclass(frozen=True)
class Begun:
    """A session that has begun."""

    session: str
    goal: str
    """The task in words of its own: it is nobody else's."""


@dataclass
class Desk:
    """Takes tasks for the agents of all strategies.

    All of them begin a task together, and each does it once, however many tests look into it: sessions spend most of
    their time waiting.
    """

    installation: Installation
    server: ModelServer
    collector: Collector
    key: str
    """The credentials of the model server."""
    _begun: dict[str, dict[str, Begun]] = field(default_factory=dict)
    _settled: dict[str, Settled] = field(default_factory=dict)

    def client(self) -> Client:
        return Client(load(environment=self.installation.environment))

    async def does(self, task: str, strategy: Strategy) -> Settled:
        """The task, done by the strategy's agent."""
        return await self.settle(await self.begins(task, strategy))

    async def begins(self, task: str, strategy: Strategy) -> Begun:
        if task not in self._begun:
            async with self.client() as client:
                begun = [await _submitted(client, task, each) for each in STRATEGIES]
            self._begun[task] = {each.name: one for each, one in zip(STRATEGIES, begun, strict=True)}
        return self._begun[task][strategy.name]

    async def settle(self, begun: Begun) -> Settled:
        """Waits until the session settles."""
        if begun.session not in self._settled:
            async with self.client() as client:
                self._settled[begun.session] = await self._settle(await client.follow(begun.session), begun)
        return self._settled[begun.session]

    async def _settle(self, handle: Handle, begun: Begun) -> Settled:
        end = await handle.settled(WAIT_S)
        result = await handle.result() if isinstance(end, events.TaskCompleted) else None
        seen = [event async for event in handle.events()]
        requests = await asyncio.to_thread(self.server.requests, begun.goal)
        return Settled(begun.session, end, result, seen, requests)

    async def failed(self, begun: Begun, times: int) -> None:
        """Waits until planning has failed so often in the session."""
        seen = 0
        async with self.client() as client:
            async for event in (await client.follow(begun.session)).events():
                seen += isinstance(event, events.PlanningFailed)
                if seen == times:
                    return
        raise AssertionError(f"planning failed {seen} times, not {times}, and the session has settled")

    def place(self, session: str) -> Path:
        """The folder in which the session's tools leave what they did."""
        return self.installation.folder / "shop" / session

    async def dead_letter(self, session: str) -> events.MessageDeadLettered:
        async with self.client() as client:
            (found,) = await client.dead_letters(wanted=lambda event: event.correlation_id == session)
        return found.event

    def log(self, service: str) -> str:
        return self.installation.log(service).read_text(encoding="utf-8")

    async def trace(self, settled: Settled, is_complete: Callable[[list[Span]], bool]) -> list[Span]:
        """The session's trace, as soon as it is complete."""
        await until(lambda: is_complete(self.collector.trace(settled.session)), "the trace is complete")
        return self.collector.trace(settled.session)

    def shown(self, session: str) -> Sequence[events.ModelProgressed]:
        """What people who watch the session were shown of the model's words until now, in its order."""
        connected = connect(load(environment=self.installation.environment))
        try:
            place = session_partition(connected.bus, Topic.PROGRESS, session)
            found = [connected.codec.decode(each) for each in read_to_end(connected.bus, [place], WAIT_S)]
        finally:
            connected.close()
        own = [
            one for one in found if isinstance(one, events.ModelProgressed) and one.correlation_id == session
        ]
        return sorted(own, key=lambda one: (one.call.attempt, one.request, one.part, one.position))

    def written(self) -> dict[str, bytes]:
        """All that the platform has written until now: records by topic, and files by name."""
        connected = connect(load(environment=self.installation.environment))
        found: dict[str, bytes] = {}
        try:
            for spec in TOPICS:
                places = all_partitions(connected.bus, spec.topic)
                records = read_to_end(connected.bus, places, WAIT_S)
                found[f"topic {spec.topic}"] = b"\n".join(_bytes(each) for each in records)
        finally:
            connected.close()
        files = (path for path in self.installation.folder.rglob("*") if path.is_file())
        return found | {str(path): path.read_bytes() for path in files}


async def _submitted(client: Client, task: str, strategy: Strategy) -> Begun:
    goal = f"{task}: {uuid4()}"
    return Begun((await client.submit(goal, agent=strategy.name)).correlation_id, goal)


def _bytes(record: Any) -> bytes:
    headers = b"\n".join(name.encode() + b": " + (value or b"") for name, value in record.headers)
    return b"\n".join([record.key or b"", record.value or b"", headers])


@contextmanager
def running_desk(address: StackAddress, folder: Path) -> Iterator[Desk]:
    """All processes, with the agents of all strategies."""
    key = f"sk-proj-{uuid4().hex}"
    own, agents = folder / "platform", folder / "agents"
    own.mkdir()
    agents.mkdir()
    for each in STRATEGIES:
        (agents / f"{each.name}.yaml").write_text(each.agent)
    scripts = sorted({each.scripts for each in STRATEGIES})
    # Apart from what the platform writes: the server repeats the key.
    server = ModelServer(*scripts, log=folder / "requests.jsonl")
    with collecting() as collector, server:
        environment = {
            **server.environment,
            "OPENAI_API_KEY": key,
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            CAPTURE_CONTENT: "SPAN_ONLY",
            # Modules of agents are named as modules of these tests.
            "PYTHONPATH": str(_ROOT),
            "SHOP_FOLDER": str(own / "shop"),
        }
        installation = Installation(address, f"desk-{uuid4().hex[:8]}.", own, environment)
        installation.apply(agents)
        with installation.processes(*[(*group, *_options(group)) for group in GROUPS]):
            yield Desk(installation, server, collector, key)


def _options(group: Sequence[str]) -> Sequence[str]:
    """Of the program that runs these services: planners and executors need the code of agents, too."""
    code = [each.code for each in STRATEGIES if each.code and group[0] in _THINK_OR_ACT]
    modules = [word for name in (str(Path(shop.__file__)), *code) for word in ("--module", name)]
    return (*modules, "--drain", "2s")


def _of_models(total: Usage) -> Usage:
    return Usage(
        model_requests=total.model_requests,
        tokens_input=total.tokens_input,
        tokens_output=total.tokens_output,
        tokens_cached=total.tokens_cached,
    )


async def until(condition: Callable[[], bool], what: str) -> None:
    """Waits for a condition that processes fulfil."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {WAIT_S:.0f} s: {what}"
        await asyncio.sleep(LOOK_S)
