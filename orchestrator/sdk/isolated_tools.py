"""Tools in processes of their own: the call from the executor, and what happens in the process."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final, NoReturn, cast

import msgspec

from orchestrator.errors import ContractError
from orchestrator.messages.base import Command, Message
from orchestrator.messages.commands import ExecuteTool
from orchestrator.messages.events import ToolProgressed
from orchestrator.messages.types import Usage
from orchestrator.messages.usage import total_usage
from orchestrator.messages.values import json_text
from orchestrator.sdk.context import Context, Definitions, Runtime, Values
from orchestrator.sdk.errors import PermanentError
from orchestrator.sdk.isolation import IsolatedCall, Isolation, ProcessPool, Target
from orchestrator.sdk.isolation.child import report
from orchestrator.sdk.result_bounds import ISOLATED
from orchestrator.sdk.results import jsonable, output_not_json
from orchestrator.sdk.tools import Tool

_MOST_USED: Final = 10**12
"""A run may report that it used up to this much of anything; its process may not be what it was."""
_LONGEST_NOTE: Final = 500
_USED: Final = "used"


async def run_isolated(
    tool: Tool, given: Mapping[str, Any], context: Context, timeout_s: float, pool: ProcessPool
) -> msgspec.Raw:
    """What a tool with `isolation` returns, as JSON in bytes, run in a process of its own.

    `given` are the arguments as JSON data; the process validates them again. Raises as `ProcessPool.run` does.
    """
    isolation = tool.isolation or Isolation()
    target = Target.of(tool.function)
    loop = asyncio.get_running_loop()
    before = context.used

    def take(content: Any) -> None:
        if not isinstance(content, dict) or _USED not in content:
            _show(context, content)
            return
        with suppress(ValueError):
            # What a run that fails has used, or one that is killed.
            context.used = total_usage(before, _used(msgspec.convert(content[_USED], Usage)))

    def progress(content: Any) -> None:
        loop.call_soon_threadsafe(take, content)

    output, used = await pool.run(
        IsolatedCall(
            name=tool.name,
            target=Target.of(run_in_process),
            preload=target,
            arguments={
                "target": vars(target),
                "given": dict(given),
                "service": context.service,
                "message": msgspec.to_builtins(context.message),
            },
            limits=isolation.limits(timeout_s),
            variables=isolation.variables(),
            read=_read,
            progress=progress,
        )
    )
    context.used = total_usage(before, used)
    return cast(msgspec.Raw, output)


class _Returned(msgspec.Struct):
    """What `run_in_process` returned. The process may have written anything in its place."""

    value: msgspec.Raw
    used: Usage


def _read(text: bytes) -> tuple[msgspec.Raw, Usage]:
    """The output, still as JSON, and what the run used. Raises `ValueError` for what is of another form.

    Bytes are kept, and not what they say: as data they take many times as much memory, and nothing here needs it.
    """
    returned = msgspec.json.decode(text, type=_Returned)
    # Whoever reads the value later has to be able to.
    msgspec.json.decode(returned.value)
    return returned.value, _used(returned.used)


def _used(used: Usage) -> Usage:
    return Usage(**{name: min(max(getattr(used, name), 0), _MOST_USED) for name in used.__struct_fields__})


_shown: set[asyncio.Task[None]] = set()


def _show(context: Context, content: Any) -> None:
    """Passes on a report of progress, if it looks like one. Reports are for display: one that is lost is lost."""
    note = content.get("note") if isinstance(content, dict) else None
    fraction = content.get("fraction") if isinstance(content, dict) else None
    if not isinstance(note, str) or not isinstance(fraction, float | int | None):
        return
    task = asyncio.ensure_future(context.progress(note[:_LONGEST_NOTE], fraction))
    _shown.add(task)
    task.add_done_callback(_done)


def _done(task: "asyncio.Task[None]") -> None:
    _shown.discard(task)
    if not task.cancelled():
        task.exception()


def run_in_process(
    target: dict[str, str], given: dict[str, Any], service: str, message: dict[str, Any]
) -> msgspec.Raw:
    """In the process of the run: calls the tool. Returns what it returned and used, as JSON."""
    found = Target(**target).load()
    if not isinstance(found, Tool):
        raise PermanentError(f"{target['name']} is not declared as a tool in {target['module']}")
    context = _ReportingContext(service, _message(message), _RUNTIME)
    result = found.function(**found.arguments(given, context))
    if inspect.isawaitable(result):
        result = asyncio.run(_awaited(result))
    value = jsonable(result, found.name, ISOLATED)
    try:
        text = json_text(value)
    except ContractError as error:
        raise output_not_json(found.name, value, error) from error
    return msgspec.Raw(json_text(_Returned(msgspec.Raw(text), context.used)))


class _ReportingContext(Context):
    """Reports at once what is used: a run that fails returns nothing."""

    def _count(self, used: Usage) -> None:
        super()._count(used)
        report({_USED: msgspec.to_builtins(self.used)}, counts=True)


def _message(content: dict[str, Any]) -> Command:
    return msgspec.convert(content, ExecuteTool)


async def _awaited(result: Awaitable[Any]) -> Any:
    return await result


async def _emit(message: Message) -> None:
    if isinstance(message, ToolProgressed):
        report({"note": message.note[:_LONGEST_NOTE], "fraction": message.fraction})


class _NotHere:
    """What only the executor has."""

    def __getattr__(self, name: str) -> NoReturn:
        raise PermanentError(
            f"context: {name} is not available to a tool that runs in a process of its own; "
            "take what it needs as an argument"
        )


async def _no_history(_correlation_id: str) -> NoReturn:
    raise PermanentError("context.history is not available to a tool that runs in a process of its own")


def _now() -> int:
    return time.time_ns() // 1_000


_RUNTIME: Final = Runtime(
    definitions=cast(Definitions, _NotHere()),
    values=cast(Values, _NotHere()),
    emit=cast(Callable[[Message], Awaitable[None]], _emit),
    now=_now,
    history=_no_history,
)
