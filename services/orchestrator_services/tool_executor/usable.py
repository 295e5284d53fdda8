"""Which of the tools that a source names are announced: definitions are kept by every process, and by Kafka."""

import logging
from collections.abc import Sequence
from typing import Final

from orchestrator.sdk import ToolDefinition, problem_of_tool_name
from orchestrator_services.json_schemas import InvalidSchemaError, require_schema
from orchestrator_services.tool_lists import MOST_SHOWN, MOST_TOOLS, shown

logger: Final = logging.getLogger(__name__)


class Usable:
    """What one source names that can be announced. What cannot is logged, once while it stays the same."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._logged = ""

    def of(self, definitions: Sequence[ToolDefinition]) -> list[ToolDefinition]:
        kept: dict[str, ToolDefinition] = {}
        problems: list[str] = []
        left_out = 0
        for definition in definitions:
            problem = self._problem(definition, kept)
            if problem is None:
                kept[definition.name] = definition
                continue
            left_out += 1
            if len(problems) < MOST_SHOWN:
                problems.append(f"{shown(definition.name)}: {problem}")
        self._log(left_out, "; ".join(problems))
        return list(kept.values())

    def _problem(self, definition: ToolDefinition, kept: dict[str, ToolDefinition]) -> str | None:
        name = definition.name
        if problem := problem_of_tool_name(name):
            return problem
        if not name.startswith(f"{self._source}.") or name == f"{self._source}.":
            return f"it does not begin with {self._source}. and go on"
        if name in kept:
            return "it is named twice; the first counts"
        if len(kept) >= MOST_TOOLS:
            return f"{MOST_TOOLS} tools come before it, the most that a source may have"
        try:
            require_schema(definition.arguments_schema)
        except InvalidSchemaError as error:
            return f"its arguments schema is invalid: {error}"
        return None

    def _log(self, left_out: int, problems: str) -> None:
        if (text := f"{left_out}: {problems}") != self._logged and left_out:
            logger.warning(
                "%d tools of %s are left out, the others run: %s%s",
                left_out,
                self._source,
                problems,
                " …" if left_out > MOST_SHOWN else "",
            )
        self._logged = text
