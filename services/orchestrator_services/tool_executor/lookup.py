"""Whose tool a name is in this process: what is announced under a name has to be what runs under it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from orchestrator.sdk import Tool, ToolSource

Owner: TypeAlias = Tool | ToolSource


@dataclass(frozen=True)
class Lookup:
    """The tools and sources of all modules of this process, by name. Those of other pools are among them: a name is
    theirs here too."""

    tools: Mapping[str, Tool]
    sources: Mapping[str, ToolSource]

    def owner(self, name: str) -> Owner | None:
        """The plug-in that has the tool of that name; None if there is none."""
        if tool := self.tools.get(name):
            return tool
        found = [one for one in self.sources.values() if name.startswith(f"{one.name}.")]
        # Of `files` and `files.ro`, both of which may be the names of sources, the longer one has `files.ro.read`.
        return max(found, key=lambda one: len(one.name), default=None)

    def tool(self, name: str) -> Tool | None:
        """The tool to run."""
        owner = self.owner(name)
        return owner.tool(name) if isinstance(owner, ToolSource) else owner
