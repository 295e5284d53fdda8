"""What a server lists as its tools, before its client reads it: what is no tool is left out, not the whole list."""

import asyncio
import json
import logging
from collections.abc import Callable, Collection, Mapping
from itertools import islice
from typing import Any, Final

from mcp_types import methods
from pydantic import ValidationError

from orchestrator.sdk import problem_of_tool_name
from orchestrator_services.json_schemas import InvalidSchemaError, require_schema
from orchestrator_services.schema_steps import steps_for_list
from orchestrator_services.tool_lists import MOST_SHOWN, MOST_TOOLS, problem_of_size, shown

logger: Final = logging.getLogger(__name__)

_LISTING: Final = "tools/list"
_FALLBACK_VERSION: Final = "2025-11-25"
"""That of the protocol which the client assumes before it knows."""
_MOST_LISTINGS: Final = 10
"""That are under way at once, page by page."""


class Listings:
    """What a server lists, page by page."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._names: dict[str, set[str]] = {}
        """Of the pages before, by the cursor of the next one."""
        self._logged = ""

    def hear(self, session: Any) -> None:
        """Has every list that comes to a session of the client pass through `usable` first."""
        dispatcher = getattr(session, "_dispatcher", None)
        send = getattr(dispatcher, "send_raw_request", None)
        if dispatcher is None or send is None or getattr(send, "hears", None):
            return

        async def send_and_hear(method: str, params: Any, *args: Any, **kwargs: Any) -> Any:
            answer = await send(method, params, *args, **kwargs)
            if method != _LISTING or not isinstance(answer, dict):
                return answer
            version = getattr(session, "_negotiated_version", None) or _FALLBACK_VERSION
            # Schemas are large, and many.
            return await asyncio.to_thread(self._usable, answer, (params or {}).get("cursor"), version)

        send_and_hear.hears = True  # type: ignore[attr-defined] # so that it is done once
        # Nothing public gives an answer before all of it has been read and found to fit.
        dispatcher.send_raw_request = send_and_hear

    def _usable(self, answer: dict[str, Any], cursor: Any, version: str) -> dict[str, Any]:
        tools = answer.get("tools")
        if not isinstance(tools, list):
            return answer
        names = self._names.pop(cursor, None) if isinstance(cursor, str) else None
        names = set() if names is None else names
        with steps_for_list():
            kept, problems = usable(tools, names, lambda tool: _problem_of_tool(tool, answer, version))
        if isinstance(following := answer.get("nextCursor"), str):
            if len(self._names) >= _MOST_LISTINGS:
                # Of listings that were given up.
                self._names.clear()
            self._names[following] = names
        self._log(problems)
        return {**answer, "tools": kept}

    def _log(self, problems: Collection[str]) -> None:
        """Once for what is listed in the same way again."""
        if not problems:
            return
        first = "; ".join(islice(problems, MOST_SHOWN))
        more = f"; and {len(problems) - MOST_SHOWN} more" if len(problems) > MOST_SHOWN else ""
        if (text := first + more) != self._logged:
            self._logged = text
            logger.warning(
                "the server %s lists what is left out; its other tools are known: %s", self._server, text
            )


def usable(
    tools: Collection[Any], names: set[str], problem_of: Callable[[Mapping[str, Any]], str | None]
) -> tuple[list[Any], list[str]]:
    """The tools of a list that can be used, and why others cannot. `names` are those that are listed before; those of
    this list are added."""
    kept: list[Any] = []
    problems: list[str] = []
    too_many = 0
    for tool in tools:
        name = tool.get("name") if isinstance(tool, Mapping) else None
        if problem := problem_of_tool_name(name):
            problems.append(f"{_shown(name)}: {problem}")
        elif name in names:
            problems.append(f"{_shown(name)}: it is listed twice; the first counts")
        elif len(names) >= MOST_TOOLS:
            too_many += 1
        elif problem := problem_of_size(len(json.dumps(tool, ensure_ascii=False))) or problem_of(tool):
            problems.append(f"{_shown(name)}: {problem}")
        else:
            names.add(str(name))
            kept.append(tool)
    if too_many:
        problems.insert(0, f"{too_many} tools after the first {MOST_TOOLS}")
    return kept, problems


def _problem_of_tool(tool: Mapping[str, Any], answer: Mapping[str, Any], version: str) -> str | None:
    """Why the protocol does not have such a tool, or nothing can be checked against its schema."""
    try:
        methods.validate_server_result(_LISTING, version, {**answer, "tools": [tool]})
    except ValidationError as error:
        of_tool = [
            one for one in error.errors(include_url=False, include_input=False) if "tools" in one["loc"]
        ]
        # What else is wrong with the answer is for its client to say.
        return f"{'.'.join(map(str, of_tool[0]['loc'][2:]))}: {of_tool[0]['msg']}" if of_tool else None
    except (KeyError, ValueError):
        return None
    try:
        require_schema(json.dumps(tool.get("inputSchema"), sort_keys=True))
    except InvalidSchemaError as error:
        return f"inputSchema: {error}"
    return None


def _shown(name: object) -> str:
    return shown(name) if isinstance(name, str) else "a tool"
