"""What a plug-in is given beside its message."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from msgspec.structs import replace

from orchestrator.messages import identity
from orchestrator.messages.base import Command, Event, Message
from orchestrator.messages.commands import ExecuteTool
from orchestrator.messages.events import PlaybookDefined, ToolProgressed
from orchestrator.messages.types import AgentProfile, Call, Document, ToolDefinition, Usage, Value
from orchestrator.messages.usage import total_usage
from orchestrator.messages.values import fill_content

if TYPE_CHECKING:
    from orchestrator.sdk.plugins import Plugins

M = TypeVar("M", bound=Event | Command)


class Definitions(Protocol):
    """What exists, as announced on the definitions topic. Reads are in memory and thread-safe."""

    @property
    def tools(self) -> Mapping[str, ToolDefinition]: ...

    @property
    def agents(self) -> Mapping[str, AgentProfile]: ...

    @property
    def playbooks(self) -> Mapping[str, PlaybookDefined]: ...


class Values(Protocol):
    """Values of messages, wherever they lie."""

    async def load(self, value: Value | None) -> Any:
        """JSON content of a value; None for no value. Verified by hash. Raises `ContractError`."""

    async def store(self, content: Any) -> Value:
        """A value that holds `content` as JSON: inline, or in the value store when it is large."""


class Metrics(Protocol):
    """The counters of a process. Calls are cheap, thread-safe and never fail."""

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Adds to the counter `name`, such as `agents_tokens`, of these labels.

        A counter has the same label names always, and labels with few values: never a session's id.
        """


class NoMetrics:
    """Counters that nobody reads."""

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Counts nothing."""


@dataclass(frozen=True)
class Platform:
    """What one process gives to every handler that it runs."""

    plugins: "Plugins"
    definitions: Definitions
    values: Values
    emit: Callable[[Message], Awaitable[None]]
    """Sends a message at once, before the handler has returned."""
    now: Callable[[], int]
    """Unix time in microseconds."""
    metrics: Metrics = field(default_factory=NoMetrics)
    instance: str = ""
    """Name of this process among the copies of its services."""


class Context:
    """One message being handled by one service.

    `idempotency_key` is stable over redelivery and, for tools, over retries of the step.
    """

    def __init__(self, service: str, message: Command | Event, platform: Platform) -> None:
        self.service = service
        self.message = message
        self.platform = platform
        self.used = Usage()
        self._written: Counter[str] = Counter()

    @property
    def correlation_id(self) -> str:
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
    def plugins(self) -> "Plugins":
        return self.platform.plugins

    @property
    def definitions(self) -> Definitions:
        return self.platform.definitions

    @property
    def values(self) -> Values:
        return self.platform.values

    @property
    def metrics(self) -> Metrics:
        return self.platform.metrics

    @property
    def instance(self) -> str:
        return self.platform.instance

    def now(self) -> int:
        """Unix time in microseconds. Plug-ins ask here, so that tests can move the clock."""
        return self.platform.now()

    def use(self, *, tokens_input: int = 0, tokens_output: int = 0, cost_usd: float = 0.0) -> None:
        """Adds to what this call used; the reply reports it."""
        used = Usage(
            tokens_input=tokens_input,
            tokens_output=tokens_output,
            cost_micro_usd=round(cost_usd * 1_000_000),
        )
        self.used = total_usage(self.used, used)

    def seconds_left(self, call: Call) -> float:
        """Until nobody waits for the reply to this call any more: a limit for the work on it."""
        return max(0.0, (call.due_at - self.now()) / 1_000_000)

    def usage(self, started: int, *, tool_calls: int = 0) -> Usage:
        """What this call used, with the time since `started` (of `now()`), for its reply."""
        elapsed_ms = max(0, self.now() - started) // 1000
        return replace(self.used, tool_calls=tool_calls, duration_ms=elapsed_ms)

    async def outputs(self, inputs: Mapping[str, Value]) -> dict[str, Any]:
        """JSON content of the outputs of steps. Raises `ContractError`."""
        return {step_id: await self.values.load(value) for step_id, value in inputs.items()}

    async def fill(self, document: Document, outputs: Mapping[str, Any]) -> Any:
        """JSON content of a document, its references filled from loaded outputs. Raises `ContractError`."""
        return fill_content(await self.values.load(document.body), document.references, outputs)

    def write(self, kind: type[M], **fields: Any) -> M:
        """A message of this session, caused by the one being handled, with its derived id.

        Messages are numbered by kind, so that heartbeats, of which another run sends more or fewer, do not
        change the id of the reply.
        """
        index = self._written[kind.__name__]
        self._written[kind.__name__] += 1
        own_id = "command_id" if issubclass(kind, Command) else "event_id"
        producer = f"{self.service}/{kind.__name__}"
        fields[own_id] = identity.output_id(self.message.message_id, producer, index)
        return kind(
            correlation_id=self.correlation_id,
            causation_id=self.message.message_id,
            occurred_at=self.now(),
            agent=self.agent,
            tenant=self.tenant,
            **fields,
        )

    async def emit(self, message: Message) -> None:
        """Sends a message before the handler has returned, such as a heartbeat."""
        await self.platform.emit(message)

    async def progress(self, note: str = "", fraction: float | None = None) -> None:
        """Tells whoever looks how far the running call is. Not kept, not counted on."""
        call = getattr(self.message, "call", None)
        if isinstance(call, Call):
            await self.emit(self.write(ToolProgressed, call=call, fraction=fraction, note=note))
