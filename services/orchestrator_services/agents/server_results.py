"""Whether what a tool of a server returns fits the tool's output schema, in bounded time: both are the server's."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from orchestrator_services.json_schemas import InvalidSchemaError, explained, mismatches


def check_results(transport: Any) -> None:
    """Has results that come to sessions of a transport checked here. Doing it twice does no harm.

    The client does it with a library that takes as long as a schema asks for, on the event loop.
    """
    connect = transport.connect_session
    if getattr(connect, "checks", None):
        return

    @asynccontextmanager
    async def connect_and_check(**options: Any) -> AsyncIterator[Any]:
        async with connect(**options) as session:
            _check_results_of(session)
            yield session

    connect_and_check.checks = True  # type: ignore[attr-defined] # so that it is done once
    # Nothing public gives a session before it is used.
    transport.connect_session = connect_and_check


def _check_results_of(session: Any) -> None:
    async def validate(name: str, result: Any) -> None:
        """Raises `RuntimeError` as the client does. A schema that nothing can be checked against is passed over."""
        schemas = session._tool_output_schemas  # noqa: SLF001 - nothing public tells them
        if name not in schemas:
            await session.list_tools()
            schemas = session._tool_output_schemas  # noqa: SLF001
        if (schema := schemas.get(name)) is None:
            return
        if result.structured_content is None and "structured_content" not in result.model_fields_set:
            raise RuntimeError(f"Tool {name} has an output schema but did not return structured content")
        try:
            # Content may be large, and takes as long to check.
            misfits = await asyncio.to_thread(_misfits, schema, result.structured_content)
        except InvalidSchemaError:
            return
        if misfits:
            raise RuntimeError(f"Invalid structured content returned by tool {name}: {'; '.join(misfits)}")

    session.validate_tool_result = validate


def _misfits(schema: Any, content: Any) -> list[str]:
    return explained(mismatches(json.dumps(schema, sort_keys=True), content))
