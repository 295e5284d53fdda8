"""DuckDB as a sealed, in-memory calculator: one connection per call, stopped when the call is cancelled."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import duckdb

from orchestrator.sdk import HandlerError, InvalidInput, PermanentError
from orchestrator_services.tools.settings import PREFIX, ToolSettings

Result = TypeVar("Result")
# A query that has not started yet ignores an interrupt, so it is repeated until the work has stopped.
INTERRUPT_EVERY_SECONDS = 0.02
MAX_REASON_CHARACTERS = 1_000
_HINTS = (", try ignore_errors=true", ". Try auto-detecting the JSON format")
"""Advice about options that no tool of ours has."""


def connect(settings: ToolSettings) -> duckdb.DuckDBPyConnection:
    """An empty in-memory database, in UTC, without extension loading and without spilling to disk.

    The memory limit covers tables, joins, sorts and aggregates, but not a single value: the limits of the process
    that the tools run in stop `repeat('x', 1000000000)`.
    """
    connection = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": settings.sql_memory,
            "threads": settings.sql_threads,
            "temp_directory": "",
            # Else it is below the user's home, which SQL could read here.
            "secret_directory": "none",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
            # Otherwise a table name in SQL could refer to a Python variable.
            "python_enable_replacements": "false",
        },
    )
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def seal(connection: duckdb.DuckDBPyConnection) -> None:
    """From now on SQL reaches no file, network, extension or setting."""
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


async def calculate(settings: ToolSettings, work: Callable[[duckdb.DuckDBPyConnection], Result]) -> Result:
    """Runs `work` with a new connection in a thread. If the caller is cancelled, the query is interrupted, and the
    cancellation continues when the thread has ended."""

    def job() -> Result:
        with connection:
            return work(connection)

    connection = connect(settings)
    running = asyncio.ensure_future(asyncio.to_thread(job))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            # The thread may have ended the query meanwhile, and closed the connection.
            with suppress(duckdb.ConnectionException):
                connection.interrupt()
            await asyncio.wait({running}, timeout=INTERRUPT_EVERY_SECONDS)
        running.exception()
        raise


def refusal(
    error: duckdb.Error, about: str, settings: ToolSettings, place: Path | None = None
) -> HandlerError:
    """The tool error for a DuckDB error. `about` says what failed, `place` which file was read.

    The message has the file's name in place of its path: the layout of this machine is not for callers.
    """
    reason = str(error).partition("\n\n")[0].strip()[:MAX_REASON_CHARACTERS]
    if place is not None:
        reason = reason.replace(str(place), place.name)
        for hint in _HINTS:
            reason = reason.replace(hint, "")
    if isinstance(error, duckdb.OutOfMemoryException):
        return PermanentError(
            f"{about} needs more than {settings.sql_memory} of memory; "
            f"read fewer rows or raise {PREFIX}SQL_MEMORY"
        )
    if isinstance(error, duckdb.PermissionException):
        return InvalidInput(f"{about}: SQL may read only the tables of this call")
    if isinstance(error, duckdb.InternalException | duckdb.FatalException):
        return PermanentError(f"{about} failed inside DuckDB: {reason}")
    return InvalidInput(f"{about}: {reason}")
