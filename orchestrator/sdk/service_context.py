"""What the handlers of services get besides their message."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from orchestrator.messages.base import Command, Event, Message
from orchestrator.messages.call_kinds import call_of
from orchestrator.messages.events import UsageReported
from orchestrator.messages.filling import fill_content
from orchestrator.messages.types import Call, Document, Usage, Value
from orchestrator.messages.usage import NO_USAGE
from orchestrator.sdk.context import Context, Runtime
from orchestrator.sdk.registry import PluginRegistry
from orchestrator.sdk.writing import M


@dataclass(frozen=True, kw_only=True)
class Platform(Runtime):
    """What a process gives to every service that it runs."""

    plugins: PluginRegistry


class ServiceContext(Context):
    """One message being handled by one service, with what it takes to reply."""

    def __init__(self, service: str, message: Command | Event, platform: Platform) -> None:
        super().__init__(service, message, platform)
        self.platform = platform

    @property
    def plugins(self) -> PluginRegistry:
        return self.platform.plugins

    @property
    def instance(self) -> str:
        """Name of this process among the copies of its services."""
        return self.platform.instance

    def seconds_left(self, call: Call) -> float:
        """Seconds until the call is due, at least 0: after that its session no longer waits for the reply."""
        return max(0.0, (call.due_at - self.now()) / 1_000_000)

    def usage(self, started: int, *, tool_calls: int = 0) -> Usage:
        """What this call used, for its reply. `started` is a time of `now()`."""
        elapsed_ms = max(0, self.now() - started) // 1000
        return replace(self.used, tool_calls=tool_calls, duration_ms=elapsed_ms)

    async def outputs(self, inputs: Mapping[str, Value]) -> dict[str, Any]:
        """JSON content of the outputs of steps, by step. Raises `ContractError`."""
        return {step_id: await self.values.load(value) for step_id, value in inputs.items()}

    async def fill(self, document: Document, outputs: Mapping[str, Any]) -> Any:
        """JSON content of a document, its references filled from loaded outputs. Raises `ContractError`, also
        for references that stand for too much; `require_room` says so before anything is loaded."""
        return fill_content(await self.values.load(document.body), document.references, outputs)

    def write(self, kind: type[M], **fields: Any) -> M:
        """A message of this session, caused by the one being handled. Its id follows from the two, so a
        redelivery writes the same message."""
        return self._writer.write(kind, **fields)

    async def emit(self, message: Message) -> None:
        """Sends a message before the handler returns, such as a heartbeat."""
        await self.platform.emit(message)

    async def report_usage(self) -> None:
        """Sends what was used for the command being handled, if it is anything, where no reply will say so."""
        call = call_of(self.message) if isinstance(self.message, Command) else None
        if call is not None and self.used != NO_USAGE:
            await self.emit(self.write(UsageReported, call=call, service=self.service, usage=self.used))
