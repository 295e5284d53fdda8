"""Whole sessions in memory, with real handlers, encoded messages, and a clock that the test moves."""

from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from orchestrator.app.agents import DEFAULT_AGENT
from orchestrator.bus.values.message_values import INLINE_LIMIT
from orchestrator.messages import commands, events
from orchestrator.messages.base import Command, Definition, Event, Message, SessionEvent
from orchestrator.messages.catalogue import Topic, entry_of
from orchestrator.messages.identity import claim_of, derived_id
from orchestrator.messages.types import AgentProfile
from orchestrator.messages.values import json_value
from orchestrator.operations.definition_files import definitions_of
from orchestrator.sdk import History, Platform, Plugins, agent_defined, discover
from orchestrator.sdk.documents import parse_documents
from orchestrator.sdk.registry import Bundle, Plugin
from orchestrator.sessions.history import history_of
from orchestrator.testing.cassettes import cassette as inserted
from orchestrator.testing.clock import START, Clock
from orchestrator.testing.handlers import Emit, Handlers
from orchestrator.testing.loop import MemoryLoop
from orchestrator.testing.memory import MemoryDefinitions, MemoryMetrics, MemoryValues
from orchestrator.testing.session import HarnessSession
from orchestrator.testing.topics import Topics

if TYPE_CHECKING:
    from orchestrator.bus.ports import Received

_INPUTS = frozenset({Topic.TASKS, Topic.CONTROL, Topic.EVENTS})
_HISTORY = frozenset({Topic.SESSIONS, Topic.EVENTS})


class Harness:
    """A platform in one process, without a broker. Use it as an async context manager.

    `plugins` are modules, bundles or single plug-ins; the installed ones (entry points) are added unless `installed`
    is false. `agents`, and the agents and playbooks of `documents` (YAML texts, or paths of files), are defined
    before the first task; an agent called `default` always exists.

    The clock does not move on its own. With `auto_advance` it moves to what a session has delayed (a retry, a task's
    `not_before`), but never to a timeout: those need `advance`. A tool that sleeps, and a timeout that a service
    enforces, take real time.

    With `cassette`, a file, requests by HTTP are answered from it, as `orchestrator.testing.cassette` says.

    >>> async with Harness(weather, documents=[trip]) as harness:
    ...     session = await harness.submit("pack for Oslo", context={"city": "Oslo"})
    ...     assert session.result == ["umbrella"]
    """

    def __init__(
        self,
        *plugins: ModuleType | Plugin | Bundle,
        agents: Iterable[AgentProfile] = (),
        documents: Iterable[str | Path] = (),
        installed: bool = True,
        auto_advance: bool = True,
        timeout_s: float = 10.0,
        inline_bytes: int = INLINE_LIMIT,
        start: int = START,
        cassette: str | Path | None = None,
    ) -> None:
        """`timeout_s`: real time after which running handlers count as hanging, so that only a move of the clock
        can help. `start`: Unix time in microseconds."""
        self.clock = Clock(start)
        self.plugins = discover() if installed else Plugins()
        for plugin in Plugins.of(*plugins):
            self.plugins.add(plugin)
        self.definitions = MemoryDefinitions()
        self.values = MemoryValues(inline_bytes)
        self.metrics = MemoryMetrics()
        self._cassette = cassette
        self._open = ExitStack()
        self._auto_advance = auto_advance
        self._timeout_s = timeout_s
        self._topics = Topics(self.clock.read)
        self._loop = MemoryLoop(self._topics.codec, self.clock.read, self._profile, self._publish)
        self._handlers = Handlers(self.plugins, self._platform, self._publish, self._topics.check)
        self._undelivered: deque[tuple[Received, Message]] = deque()
        self._delivering = False
        self._sent = 0
        self._keyed: dict[bytes, str] = {}
        """Sessions of business keys, by claim."""
        self._defined: list[Definition] = [agent_defined(profile, start) for profile in agents]
        for source in documents:
            self._defined += _documents(source, start)

    async def __aenter__(self) -> Self:
        with ExitStack() as opened:
            if self._cassette is not None:
                opened.enter_context(inserted(self._cassette))
            for definition in self._defined:
                self._publish(definition, "/harness")
            await self._handlers.announce(self._timeout_s)
            await self.run()
            self._open = opened.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._handlers.close()
        finally:
            self._open.__exit__(kind, error, trace)

    @property
    def produced(self) -> list[Message]:
        """All messages written to any topic, in order."""
        return self._topics.messages

    @property
    def dead_letters(self) -> list[events.MessageDeadLettered]:
        return [message for message in self.produced if isinstance(message, events.MessageDeadLettered)]

    @property
    def dropped(self) -> int:
        """Number of messages that the orchestrator dropped: late or repeated ones."""
        return self._loop.dropped

    def session(self, correlation_id: str) -> HarnessSession:
        """A session by its id. Raises `KeyError` for an id without a session."""
        sessions = self._loop.sessions
        if correlation_id not in sessions:
            raise KeyError(f"session {correlation_id} not found")
        return HarnessSession(
            correlation_id, lambda: sessions[correlation_id], self._topics.messages, self.values
        )

    async def submit(
        self, goal: str, context: Mapping[str, Any] | None = None, **fields: Any
    ) -> HarnessSession:
        """Submits a task and runs until its session settles, or waits for the clock to move.

        `fields` are those of `SubmitTask`, such as `agent`, `playbook`, `key`, `limits`, `not_before`.
        """
        session = self.start(goal, context, **fields)
        await self.run()
        return session

    def start(self, goal: str, context: Mapping[str, Any] | None = None, **fields: Any) -> HarnessSession:
        """Submits a task and returns at once; `run` or `advance` runs its session."""
        fields.setdefault("command_id", self._next_id())
        session_id = fields.setdefault("correlation_id", self._next_id())
        if key := fields.get("key"):
            # As where the platform refuses the second task of a key: it leads to the session of the first.
            claim = claim_of(fields.get("tenant", "default"), key)
            session_id = fields["correlation_id"] = self._keyed.setdefault(claim, session_id)
        value = None if context is None else json_value(context)
        self.send(commands.SubmitTask(goal=goal, context=value, occurred_at=self.clock.now, **fields))
        return self.session(session_id)

    async def cancel(self, session: HarnessSession, reason: str = "") -> None:
        """Requests the cancellation of a session, and runs."""
        self.send(
            commands.CancelTask(
                command_id=self._next_id(),
                correlation_id=session.correlation_id,
                tenant=self._loop.sessions[session.correlation_id].tenant,
                occurred_at=self.clock.now,
                reason=reason,
            )
        )
        await self.run()

    def send(self, message: Message) -> None:
        """Writes a message into its topic, as any client may."""
        self._publish(message, "/harness")

    async def run(self) -> None:
        """Runs until all sessions wait for the clock to move; with `auto_advance`, also what they have delayed."""
        while True:
            await self._handlers.quiet(self._timeout_s)
            if self._loop.fire():
                continue
            wake = self._delayed_until() if self._auto_advance else None
            if wake is None:
                return
            self.clock.move_to(wake)

    async def advance(self, duration: str | int) -> None:
        """Moves the clock by a duration such as `"10s"`, and runs everything that is due meanwhile."""
        target = self.clock.after(duration)
        while True:
            await self._handlers.quiet(self._timeout_s)
            due = self._loop.next_due()
            if due is None or due[0] > target:
                self.clock.move_to(target)
                return
            self.clock.move_to(due[0])
            self._loop.fire()

    def _delayed_until(self) -> int | None:
        """When the session that is due first continues with what it has delayed; None if a timeout is due."""
        found = self._loop.next_due()
        if found is None:
            return None
        due, session_id = found
        session = self._loop.sessions[session_id]
        delayed = [retry.retry_at for retry in session.retries.values()]
        if session.task is not None and session.revision == 0:
            delayed.append(session.task.not_before)
        return due if due in delayed else None

    def _profile(self, name: str) -> AgentProfile | None:
        """As `app.agents.DefinedAgents` finds it."""
        default = AgentProfile(name=DEFAULT_AGENT) if name == DEFAULT_AGENT else None
        return self.definitions.agents.get(name, default)

    def _publish(self, message: Message, source: str) -> None:
        received, decoded = self._topics.append(message, source)
        if isinstance(decoded, SessionEvent):
            self._loop.replay(decoded)
        self._undelivered.append((received, decoded))
        if not self._delivering:
            self._deliver()

    def _deliver(self) -> None:
        """Delivers messages to their readers in the order in which they were written."""
        self._delivering = True
        try:
            while self._undelivered:
                received, message = self._undelivered.popleft()
                self.definitions.take(message)
                if received.topic in _INPUTS:
                    self._loop.read(received)
                if isinstance(message, events.CallsVoided):
                    self._handlers.void(message.calls)
                if isinstance(message, Command | Event):
                    self._handlers.deliver(received, message)
        finally:
            self._delivering = False

    def _platform(self, emit: Emit) -> Platform:
        return Platform(
            plugins=self.plugins,
            definitions=self.definitions,
            values=self.values,
            emit=emit,
            now=self.clock.read,
            metrics=self.metrics,
            instance="harness-0",
            history=self._history,
        )

    async def _history(self, correlation_id: str) -> History:
        """As `sessions.history.HistoryReader` reads it: what was written before the call."""
        return history_of(
            message
            for message in self._topics.messages
            if isinstance(message, Event)
            and message.correlation_id == correlation_id
            and entry_of(type(message)).topic in _HISTORY
        )

    def _next_id(self) -> str:
        self._sent += 1
        return derived_id("harness", self._sent)


def _documents(source: str | Path, now: int) -> Iterable[Definition]:
    """The agents and playbooks of a YAML text, or of a file."""
    if isinstance(source, Path):
        return definitions_of(parse_documents(source.read_text(encoding="utf-8"), str(source)), now)
    return definitions_of(parse_documents(source), now)
