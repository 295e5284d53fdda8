"""Which of the tools that a source names are announced: definitions are kept by every process, and by Kafka."""

import logging
from collections.abc import Sequence
from typing import Final

from orchestrator.sdk import ToolDefinition, ToolSource, problem_of_tool_name
from orchestrator_services.json_schemas import InvalidSchemaError, require_schema
from orchestrator_services.schema_steps import steps_for_list
from orchestrator_services.tool_executor.lookup import Lookup
from orchestrator_services.tool_lists import MOST_SHOWN, MOST_TOOLS, problem_of_size, shown

logger: Final = logging.getLogger(__name__)


class Usable:
    """What one source names that can be announced. What cannot is logged, once while it stays the same.

    Nor can what would not run: a name that leads to another plug-in of this process. That is logged once for each
    plug-in that is in the way, however many names lead to it.
    """

    def __init__(self, source: ToolSource, lookup: Lookup) -> None:
        self._source = source
        self._lookup = lookup
        self._logged = ""
        self._in_the_way: set[tuple[str, str]] = set()
        """Role and name of those that were logged."""

    def of(self, definitions: Sequence[ToolDefinition]) -> list[ToolDefinition]:
        kept: dict[str, ToolDefinition] = {}
        problems: list[str] = []
        left_out = 0
        with steps_for_list():
            for definition in definitions:
                if problem := self._problem(definition, kept):
                    left_out += 1
                    if len(problems) < MOST_SHOWN:
                        problems.append(f"{shown(definition.name)}: {problem}")
                elif self._is_its_own(definition.name):
                    kept[definition.name] = definition
        self._log(left_out, "; ".join(problems))
        return list(kept.values())

    def _problem(self, definition: ToolDefinition, kept: dict[str, ToolDefinition]) -> str | None:
        name = definition.name
        if problem := problem_of_tool_name(name):
            return problem
        if not name.startswith(f"{self._source.name}.") or name == f"{self._source.name}.":
            return f"it does not begin with {self._source.name}. and go on"
        if name in kept:
            return "it is named twice; the first counts"
        if len(kept) >= MOST_TOOLS:
            return f"{MOST_TOOLS} tools come before it, the most that a source may have"
        if problem := problem_of_size(_size(definition)):
            return problem
        try:
            require_schema(definition.arguments_schema)
        except InvalidSchemaError as error:
            return f"its arguments schema is invalid: {error}"
        return None

    def _is_its_own(self, name: str) -> bool:
        """Whether the source's tool would run under that name."""
        owner = self._lookup.owner(name)
        if owner is None or owner is self._source:
            return True
        if (key := (owner.role, owner.name)) not in self._in_the_way:
            self._in_the_way.add(key)
            logger.warning(
                "the tool %s of %s is left out, others run: the name is that of %s %s, in a module of this process; "
                "rename one of the two",
                shown(name),
                self._source.name,
                "a tool of the tool source" if isinstance(owner, ToolSource) else "the plug-in",
                owner.name,
            )
        return False

    def _log(self, left_out: int, problems: str) -> None:
        if (text := f"{left_out}: {problems}") != self._logged and left_out:
            logger.warning(
                "%d tools of %s are left out, the others run: %s%s",
                left_out,
                self._source.name,
                problems,
                " …" if left_out > MOST_SHOWN else "",
            )
        self._logged = text


def _size(definition: ToolDefinition) -> int:
    """Characters of what is said of a tool."""
    said = (definition.description, definition.arguments_schema, definition.output_schema)
    return sum(map(len, (*said, *definition.capabilities)))
