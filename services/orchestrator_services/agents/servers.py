"""MCP servers of an agent: their tools, and how calls of them fail."""

import sys
from asyncio import Event, timeout
from collections.abc import Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeGuard, cast
from weakref import WeakValueDictionary

from pydantic_ai import RunContext
from pydantic_ai.exceptions import ModelRetry, ToolFailed, UserError
from pydantic_ai.tools import ToolDefinition as ModelTool
from pydantic_ai.toolsets import AbstractToolset, ToolsetTool, WrapperToolset

from orchestrator.sdk import HandlerError, TransientError
from orchestrator_services.agents.connections import Connection, Held
from orchestrator_services.agents.listed import Listings
from orchestrator_services.agents.server_errors import (
    AnswerKind,
    NotOpenedError,
    Statuses,
    answer_of,
    described_safely,
    no_answer,
    not_opened,
)
from orchestrator_services.agents.server_http import limit_transport
from orchestrator_services.agents.server_results import check_results

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pydantic_ai.mcp import MCPToolset

_ORIGIN: Final = "orchestrator"
"""Where a tool of a server says where it comes from, in its metadata, which all that wraps it leaves alone."""
_PING_S: Final = 5.0
_LIBRARY_READ_TIMEOUT_S: Final = 300.0
"""What the library sets where nobody has."""


@dataclass(frozen=True)
class Origin:
    """A tool of a server, as the server names it."""

    server: str
    """Id of the server's toolset."""
    tool: str


def origin_of(tool: ModelTool) -> Origin | None:
    """The server's tool behind one that a model is offered; None for a tool of no server."""
    origin = (tool.metadata or {}).get(_ORIGIN)
    return origin if isinstance(origin, Origin) else None


def is_server(toolset: AbstractToolset[Any]) -> "TypeGuard[MCPToolset[Any]]":
    """Whether it is an MCP server that all runs share: not one whose credentials are those of a run."""
    return _is_mcp(toolset) and not toolset._resolves_per_run  # noqa: SLF001 - nothing public says so


def is_server_of_runs(toolset: AbstractToolset[Any]) -> bool:
    """Whether it is an MCP server whose credentials are those of a run."""
    return _is_mcp(toolset) and toolset._resolves_per_run  # noqa: SLF001 - nothing public says so


def _is_mcp(toolset: AbstractToolset[Any]) -> "TypeGuard[MCPToolset[Any]]":
    # Whoever has such a toolset has imported its module, which takes seconds.
    module = sys.modules.get("pydantic_ai.mcp")
    return module is not None and isinstance(toolset, module.MCPToolset)


class ServerState:
    """What all users of a server in this process share."""

    def __init__(self, toolset: "MCPToolset[Any]") -> None:
        self.connection = Connection(_Session(toolset))
        self.tools: Mapping[str, ModelTool] = {}
        """Those that it had when it was last asked."""
        self.waiting: set[Event] = set()
        """Set when it has others."""


_states: Final[WeakValueDictionary[int, ServerState]] = WeakValueDictionary()
"""By the identity of clients: two connections of one client would be one, and break together."""


@dataclass
class SharedServer(WrapperToolset[Any]):
    """An MCP server, connected to when a call first needs it. Entering it does nothing."""

    state: ServerState

    @classmethod
    def of(cls, toolset: "MCPToolset[Any]") -> "SharedServer":
        state = _states.get(id(toolset.client)) or ServerState(toolset)
        _states[id(toolset.client)] = state
        return cls(toolset, state)

    @property
    def id(self) -> str:
        return self.wrapped.id or ""

    async def changed(self) -> None:
        """Returns when the server is found to have other tools than it has now."""
        event = Event()
        self.state.waiting.add(event)
        try:
            await event.wait()
        finally:
            self.state.waiting.discard(event)

    async def for_run(self, _ctx: RunContext[Any]) -> "SharedServer":
        return self

    async def for_run_step(self, _ctx: RunContext[Any]) -> "SharedServer":
        return self

    async def __aenter__(self) -> "SharedServer":
        return self

    async def __aexit__(self, *_args: Any) -> bool | None:
        return None

    @property
    def read_timeout_s(self) -> float | None:
        """How long an answer may take, where the agent's code says so."""
        seconds = getattr(self._client, "_session_kwargs", {}).get("read_timeout_seconds")
        # Only toolsets that make their own client have the library's default.
        is_default = seconds == _LIBRARY_READ_TIMEOUT_S and getattr(self.wrapped, "_client_options", None)
        return None if is_default else seconds

    async def get_instructions(self, ctx: RunContext[Any]) -> Any:
        with self._before_a_call():
            async with self._asked():
                return await self.wrapped.get_instructions(ctx)

    async def get_tools(self, ctx: RunContext[Any]) -> dict[str, ToolsetTool[Any]]:
        """Raises `TransientError` or `PermanentError` where the server does not say which it has."""
        with self._before_a_call():
            async with self._asked():
                tools = await self._listed(ctx)
        known = {name: tool.tool_def for name, tool in tools.items()}
        if known != self.state.tools:
            self.state.tools = known
            for event in self.state.waiting:
                event.set()
        return {name: self._with_origin(tool) for name, tool in tools.items()}

    async def _listed(self, ctx: RunContext[Any]) -> dict[str, ToolsetTool[Any]]:
        try:
            return await self.wrapped.get_tools(ctx)
        except UserError:
            raise
        except RuntimeError as error:
            # Such as pages without end, or schemas nested too deeply.
            raise ConnectionError(
                f"the server {self.id} did not list its tools: {described_safely(error)}"
            ) from error

    async def call_tool(
        self, name: str, tool_args: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]
    ) -> Any:
        """Raises `ConnectionError` where the server is gone or what came back is no answer of the tool, and
        `TimeoutError` where nothing came in time: nobody knows whether the call had its effect."""
        async with self._asked():
            return await self.wrapped.call_tool(name, tool_args, ctx, tool)

    async def check(self) -> None:
        """Opens the connection, again if it broke: what is sent next is not lost because the server had ended before.

        Raises `TransientError` or `PermanentError` where it cannot be opened, or the server does not answer.
        """
        with self._before_a_call():
            if await self._answers():
                return
            # It broke, and is opened again.
            async with self._asked():
                pass

    async def _answers(self) -> bool:
        """Whether the server answers; False where the connection turns out to be broken."""
        try:
            async with self._asked() as held, timeout(_PING_S):
                await self._client.ping()
        except TimeoutError as error:
            if not held.is_used:
                # Nobody else waits: it is not busy with another call.
                held.broke()
            raise TimeoutError(
                f"the server {self.id} did not answer a ping in {_PING_S:.0f} s; the call was not sent"
            ) from error
        except ConnectionError:
            if held.is_broken:
                return False
            raise
        except Exception as error:
            # A server without `ping` has answered that.
            if answer_of(error) is None:
                raise
        return True

    @property
    def _client(self) -> Any:
        return cast("MCPToolset[Any]", self.wrapped).client

    @asynccontextmanager
    async def _asked(self) -> "AsyncIterator[Held]":
        try:
            async with self.state.connection.used() as held:
                try:
                    yield held
                except Exception as error:
                    if (explained := self._explained(error, held)) is error:
                        raise
                    raise explained from error
        except NotOpenedError as error:
            raise not_opened(self.id, error) from error.__cause__

    def _explained(self, error: Exception, held: Held) -> Exception:
        """What an error of a call means; the error itself where it says that."""
        answer = answer_of(error)
        kind = answer.kind if answer else None
        if kind is None and isinstance(error, HandlerError | ModelRetry | ToolFailed):
            return error
        if kind is None and type(error).__name__ == "ToolError":
            # As the model is told by a toolset that leaves the library's default.
            return ToolFailed(str(error))
        if kind is AnswerKind.CLOSED or not self._client.is_connected():
            held.broke()
        if kind is AnswerKind.REFUSED:
            return error
        if kind is AnswerKind.LATE:
            return TimeoutError(f"the server {self.id} did not answer in time")
        if held.is_broken:
            return ConnectionError(f"the connection to the server {self.id} broke: {described_safely(error)}")
        if answer is not None:
            return ConnectionError(f"the server {self.id} failed to answer: {answer}")
        if words := no_answer(error):
            return ConnectionError(f"the server {self.id} sent what is no answer: {words}")
        return error

    @contextmanager
    def _before_a_call(self) -> "Iterator[None]":
        """Nothing was sent that could have had an effect: it is tried again, also for tools that run once."""
        try:
            yield
        except (ConnectionError, TimeoutError) as error:
            raise TransientError(described_safely(error), code="server_unavailable") from error

    def _with_origin(self, tool: ToolsetTool[Any]) -> ToolsetTool[Any]:
        origin = Origin(self.id, tool.tool_def.name)
        metadata = {**(tool.tool_def.metadata or {}), _ORIGIN: origin}
        return replace(tool, tool_def=replace(tool.tool_def, metadata=metadata))


class _Session:
    """A server's own connection, which is closed for good when it is left: its process ends too."""

    def __init__(self, toolset: "MCPToolset[Any]") -> None:
        self._toolset = toolset
        self._client: Any = toolset.client
        limit_transport(self._client.transport)
        check_results(self._client.transport)
        self._statuses = Statuses.of(self._client.transport)
        self._listings = Listings(toolset.id or "")

    async def __aenter__(self) -> None:
        # What was listed by a connection that broke.
        self._toolset._invalidate_tools_cache()  # noqa: SLF001 - a failed exit leaves it
        self._statuses.last = None
        try:
            await self._toolset.__aenter__()
        except Exception as error:
            await self._close()
            raise NotOpenedError(self._statuses.last) from error
        self._listings.hear(self._client.session)

    async def __aexit__(self, *args: Any) -> bool | None:
        try:
            return await self._toolset.__aexit__(*args)
        finally:
            await self._close()

    async def interrupt(self) -> None:
        await self._close()

    async def _close(self) -> None:
        """Ends the server's process, which else would go on for whoever connects next."""
        # What broke the connection is raised again when it is closed.
        with suppress(Exception):
            await self._client.close()
