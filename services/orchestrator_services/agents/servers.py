"""MCP servers of an agent: their tools, and how calls of them fail."""

import sys
from asyncio import Event
from collections.abc import Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeGuard, cast
from weakref import WeakValueDictionary

from pydantic_ai import RunContext
from pydantic_ai.exceptions import ModelRetry, ToolFailed
from pydantic_ai.tools import ToolDefinition as ModelTool
from pydantic_ai.toolsets import AbstractToolset, ToolsetTool, WrapperToolset

from orchestrator.sdk import HandlerError, PermanentError, TransientError, described
from orchestrator_services.agents.connections import Connection
from orchestrator_services.models.errors import without_secrets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pydantic_ai.mcp import MCPToolset

_ORIGIN: Final = "orchestrator"
"""Where a tool of a server says where it comes from, in its metadata, which all that wraps it leaves alone."""
_CLOSED: Final = -32000
_TIMED_OUT: Final = -32001
"""Errors that the client reports in place of an answer."""
_FORGOTTEN: Final = "Session terminated"
"""What it says where a server over HTTP has been started again and knows nothing of the session."""


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
    # Whoever has such a toolset has imported its module, which takes seconds.
    module = sys.modules.get("pydantic_ai.mcp")
    return (
        module is not None and isinstance(toolset, module.MCPToolset) and not toolset._resolves_per_run  # noqa: SLF001 - nothing public says so
    )


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

    async def get_instructions(self, ctx: RunContext[Any]) -> Any:
        async with self._asked():
            return await self.wrapped.get_instructions(ctx)

    async def get_tools(self, ctx: RunContext[Any]) -> dict[str, ToolsetTool[Any]]:
        async with self._asked():
            tools = await self.wrapped.get_tools(ctx)
        known = {name: tool.tool_def for name, tool in tools.items()}
        if known != self.state.tools:
            self.state.tools = known
            for event in self.state.waiting:
                event.set()
        return {name: self._with_origin(tool) for name, tool in tools.items()}

    async def call_tool(
        self, name: str, tool_args: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]
    ) -> Any:
        """Raises `ConnectionError` where the server is gone, and `TimeoutError` where it does not answer in time:
        nobody knows whether the call had its effect."""
        async with self._asked():
            return await self.wrapped.call_tool(name, tool_args, ctx, tool)

    async def check(self) -> None:
        """Opens the connection, again if it broke: what is sent next is not lost because the server had ended before.

        Raises `TransientError` or `PermanentError` where it cannot be opened.
        """
        try:
            async with self._asked():
                await self._client.ping()
        except (ConnectionError, TimeoutError):
            async with self._asked():
                pass
        except Exception as error:
            # A server without `ping` has answered that.
            if _code(error) is None:
                raise

    @property
    def _client(self) -> Any:
        return cast("MCPToolset[Any]", self.wrapped).client

    @asynccontextmanager
    async def _asked(self) -> "AsyncIterator[None]":
        try:
            async with self.state.connection.used():
                try:
                    yield
                except Exception as error:
                    if (explained := self._explained(error)) is error:
                        raise
                    raise explained from error
        except _NotOpenedError as error:
            raise _not_opened(self.id, error.__cause__ or error) from error.__cause__

    def _explained(self, error: Exception) -> Exception:
        """What an error of a call means; the error itself where it says that."""
        code = next((found for one in _causes(error) if (found := _code(one)) is not None), None)
        if code == _TIMED_OUT:
            return TimeoutError(f"the server {self.id} did not answer in time")
        said = error.message if isinstance(error, ModelRetry) else _described(error)
        if code == _CLOSED or _FORGOTTEN in said or not self._client.is_connected():
            self.state.connection.broke()
            return ConnectionError(f"the connection to the server {self.id} broke: {said}")
        if type(error).__name__ == "ToolError":
            # As the model is told by a toolset that leaves the library's default.
            return ToolFailed(str(error))
        return error

    def _with_origin(self, tool: ToolsetTool[Any]) -> ToolsetTool[Any]:
        origin = Origin(self.id, tool.tool_def.name)
        metadata = {**(tool.tool_def.metadata or {}), _ORIGIN: origin}
        return replace(tool, tool_def=replace(tool.tool_def, metadata=metadata))


class _NotOpenedError(Exception):
    """The connection could not be opened; the cause says why."""


class _Session:
    """A server's own connection, which is closed for good when it is left: its process ends too."""

    def __init__(self, toolset: "MCPToolset[Any]") -> None:
        self._toolset = toolset
        self._client: Any = toolset.client

    async def __aenter__(self) -> None:
        # What was listed by a connection that broke.
        self._toolset._invalidate_tools_cache()  # noqa: SLF001 - a failed exit leaves it
        try:
            await self._toolset.__aenter__()
        except Exception as error:
            await self._close()
            raise _NotOpenedError from error

    async def __aexit__(self, *args: Any) -> bool | None:
        try:
            return await self._toolset.__aexit__(*args)
        finally:
            await self._close()

    async def _close(self) -> None:
        """Ends the server's process, which else would go on for whoever connects next."""
        # What broke the connection is raised again when it is closed.
        with suppress(Exception):
            await self._client.close()


def _not_opened(server: str, error: BaseException) -> HandlerError:
    """Why there is no connection, and what to do."""
    causes = list(_causes(error))
    if missing := next((one for one in causes if isinstance(one, FileNotFoundError | PermissionError)), None):
        return PermanentError(
            f"the server {server} cannot be started: {_described(missing)}; install it where tools run and agents "
            "plan",
            code="server_cannot_start",
        )
    if any(isinstance(one, TimeoutError) for one in causes):
        text = "it did not answer in time; init_timeout of its toolset is how long it may take"
    elif any(_code(one) == _CLOSED for one in causes):
        text = "it ended before it answered; what it wrote to standard error is in this process's"
    else:
        text = _described(error)
    return TransientError(f"the server {server} cannot be reached: {text}", code="server_unavailable")


def _causes(error: BaseException | None) -> "Iterator[BaseException]":
    while error is not None:
        yield error
        error = error.__cause__


def _code(error: BaseException) -> int | None:
    """The number of an error of the protocol."""
    code = getattr(getattr(error, "error", None), "code", None)
    return code if isinstance(code, int) else None


def _described(error: BaseException) -> str:
    return without_secrets(described(error))
