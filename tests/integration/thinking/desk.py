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
from orchestrator.bus.standalone import all_partitions, read_to_end
from orchestrator.client import Client, Handle
from orchestrator.client.connection import connect
from orchestrator.local import StackAddress
from orchestrator.messages import events
from orchestrator.messages.base import Event
from orchestrator.messages.catalogue import TOPICS
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


@dataclass
class Desk:
    """Takes tasks for the agents of all strategies."""

    installation: Installation
    server: ModelServer
    collector: Collector
    key: str
    """The credentials of the model server."""
    _goals: dict[str, str] = field(default_factory=dict)

    def client(self) -> Client:
        return Client(load(environment=self.installation.environment))

    async def submit(self, client: Client, task: str, strategy: Strategy) -> Handle:
        """Gives the task to the strategy's agent, in words of its own."""
        goal = f"{task}: {uuid4()}"
        handle = await client.submit(goal, agent=strategy.name)
        self._goals[handle.correlation_id] = goal
        return handle

    async def settle(self, handle: Handle) -> Settled:
        """Waits until the session settles."""
        end = await handle.settled(WAIT_S)
        result = await handle.result() if isinstance(end, events.TaskCompleted) else None
        seen = [event async for event in handle.events()]
        requests = await asyncio.to_thread(self.server.requests, self._goals[handle.correlation_id])
        return Settled(handle.correlation_id, end, result, seen, requests)

    async def does(self, task: str, strategy: Strategy) -> Settled:
        async with self.client() as client:
            return await self.settle(await self.submit(client, task, strategy))

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
    # Apart from what the platform writes: the server repeats the key.
    server = ModelServer(*[each.scripts for each in STRATEGIES], log=folder / "requests.jsonl")
    with collecting() as collector, server:
        environment = {
            **server.environment,
            "OPENAI_API_KEY": key,
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            CAPTURE_CONTENT: "SPAN_ONLY",
            "SHOP_FOLDER": str(own / "shop"),
        }
        installation = Installation(address, f"desk-{uuid4().hex[:8]}.", own, environment)
        installation.apply(agents)
        module = ("--module", str(Path(shop.__file__)), "--drain", "2s")
        with installation.processes(*[(*group, *module) for group in GROUPS]):
            yield Desk(installation, server, collector, key)


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
