"""What a plug-in gets besides its request."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from orchestrator.messages import identity
from orchestrator.messages.base import Command, Event, Message
from orchestrator.messages.call_kinds import call_of
from orchestrator.messages.commands import ExecuteTool
from orchestrator.messages.events import ModelProgressed, PlaybookDefined, ToolProgressed
from orchestrator.messages.types import AgentProfile, ToolDefinition, Usage, Value
from orchestrator.messages.usage import micro_usd, not_counted, total_usage
from orchestrator.sdk.history import History, ReadHistory, no_history
from orchestrator.sdk.model_requests import ModelDelta, ModelRequest
from orchestrator.sdk.writing import MessageWriter


class Definitions(Protocol):
    """Tools, agents and playbooks by name, as the definitions topic announces them. Reads are in memory and
    thread-safe."""

    @property
    def tools(self) -> Mapping[str, ToolDefinition]: ...

    @property
    def agents(self) -> Mapping[str, AgentProfile]: ...

    @property
    def playbooks(self) -> Mapping[str, PlaybookDefined]: ...


class Values(Protocol):
    """Values of messages, inside the message or in the value store."""

    async def load(self, value: Value | None) -> Any:
        """JSON content of a value, verified by its hash; None for no value. Raises `ContractError`."""

    async def store(self, content: Any) -> Value:
        """A value that holds `content` as JSON: inline, or in the value store when it is large."""

    @property
    def can_keep(self) -> bool:
        """Whether a value store is configured."""

    async def keep(self, content: Any) -> Value:
        """A value in the value store that holds `content` as JSON, whatever its size. Raises `ContractError` where
        no value store is configured."""


class Metrics(Protocol):
    """The counters of a process. Calls are cheap, thread-safe and never fail."""

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Adds `amount` to the counter `name`, such as `agents_tokens`, with these labels.

        A counter always has the same label names. A label has few values: never a session's id.
        """


class NoMetrics:
    """Counters that are not exported."""

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Does nothing."""


def _everything() -> float:
    return 1.0


def _untraced(_message: Command | Event, _number: int, _request: ModelRequest) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """What a process gives to every plug-in that it runs."""

    definitions: Definitions
    values: Values
    emit: Callable[[Message], Awaitable[None]]
    """Sends a message at once, before the handler returns."""
    now: Callable[[], int]
    """Unix time in microseconds."""
    metrics: Metrics = field(default_factory=NoMetrics)
    trace: Callable[[Command | Event, int, ModelRequest], None] = _untraced
    """Adds a request to a model to the trace: of which message, and which of its requests it is, from 1."""
    share: Callable[[], float] = _everything
    """The part of the service's partitions that this process has, from 0.0 to 1.0."""
    instance: str = ""
    """Name of this process among the copies of its services."""
    history: ReadHistory = no_history
    """Reads what happened in a session so far."""


class Context:
    """One message being handled by one service, as tools, planners and the other roles see it.

    `idempotency_key` is stable over redelivery and, for tools, over retries of the step.
    """

    def __init__(self, service: str, message: Command | Event, runtime: Runtime) -> None:
        self.service = service
        self.message = message
        self.used = Usage()
        self._runtime = runtime
        self._model_requests = 0
        self._streamed_requests = 0
        # Not `self.now`: that would be a reference cycle, and keep every message until the garbage collector runs.
        self._writer = MessageWriter(service, message, runtime.now)

    @property
    def correlation_id(self) -> str:
        """Id of the session."""
        return self.message.correlation_id

    @property
    def agent(self) -> str:
        return self.message.agent

    @property
    def tenant(self) -> str:
        return self.message.tenant

    @property
    def idempotency_key(self) -> str:
        if isinstance(self.message, ExecuteTool):
            return self.message.idempotency_key
        return identity.derived_id("idempotency", self.service, self.message.message_id)

    @property
    def definitions(self) -> Definitions:
        return self._runtime.definitions

    @property
    def values(self) -> Values:
        return self._runtime.values

    @property
    def metrics(self) -> Metrics:
        return self._runtime.metrics

    @property
    def share(self) -> float:
        """The part of the service's work that comes to this process, from 0.0 to 1.0: what it may take of a limit
        that holds for all copies together."""
        return self._runtime.share()

    async def history(self) -> History:
        """The session up to now: its own events, the plan that was accepted last, and its timeline.

        It shows what was committed when it was called, which includes the message being handled and all that led
        to it, and does not follow what comes later. It costs: the session's partition is read back to the
        session's beginning, with all that other sessions wrote there meanwhile, and nothing of it is kept. So ask
        once per decision, or when a session ends, not for each event. A task that no session has accepted yet
        reads the whole partition.

        Raises `UnavailableError` if the reading takes longer than 30 seconds, `ConfigurationError` where there is
        nothing to read.
        """
        return await self._runtime.history(self.correlation_id)

    def now(self) -> int:
        """Unix time in microseconds. Plug-ins read the clock here, so that tests can move it."""
        return self._runtime.now()

    def use(
        self,
        *,
        model_requests: int = 0,
        tokens_input: int = 0,
        tokens_cached: int = 0,
        tokens_output: int = 0,
        cost_usd: float = 0.0,
    ) -> None:
        """Adds to what this call used; the reply reports the sum. `tokens_cached` are among `tokens_input`.

        Raises `ValueError` for what is no whole number from 0: the reply could not be sent.
        """
        used = Usage(
            model_requests=model_requests,
            tokens_input=tokens_input,
            tokens_cached=tokens_cached,
            tokens_output=tokens_output,
            cost_micro_usd=micro_usd(cost_usd),
        )
        self._count(used)

    def use_unsettled(self, *, tokens: int, cost_usd: float) -> None:
        """Adds a request to a model of which no response came, with the most that it may have used.

        It counts against the session's limits and is reported on its own, since nobody knows what it used.
        """
        used = Usage(
            requests_unsettled=1, tokens_unsettled=tokens, cost_unsettled_micro_usd=micro_usd(cost_usd)
        )
        self._count(used)

    def _count(self, used: Usage) -> None:
        if problem := not_counted(used):
            raise ValueError(f"{problem} is no count of what was used: give a whole number from 0")
        self.used = total_usage(self.used, used)

    def trace(self, request: ModelRequest) -> None:
        """Adds a finished request to a model to the session's trace, below the call that is being handled."""
        self._model_requests += 1
        self._runtime.trace(self.message, self._model_requests, request)

    async def progress(self, note: str = "", fraction: float | None = None) -> None:
        """Reports how far the running call is, `fraction` from 0.0 to 1.0. For display only: reports may be
        lost and are not kept."""
        if call := call_of(self.message):
            report = self._writer.write(ToolProgressed, call=call, fraction=fraction, note=note)
            await self._runtime.emit(report)

    def next_model_request(self) -> int:
        """The number of a request whose response will be streamed, from 1."""
        self._streamed_requests += 1
        return self._streamed_requests

    async def stream(self, delta: ModelDelta) -> None:
        """Shows what a model has added to its response. As with `progress`, it may be lost and is not kept; send the
        deltas of a request in their order."""
        if call := call_of(self.message):
            await self._runtime.emit(
                self._writer.write(
                    ModelProgressed,
                    call=call,
                    request=delta.request,
                    part=delta.part,
                    position=delta.position,
                    tool=delta.tool,
                    text=delta.text,
                    ended=delta.ended,
                )
            )
