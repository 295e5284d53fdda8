"""Tool pools: executors with tools of their own, which scale and are deployed apart from the others.

A tool names its pool (`@tool(pool="gpu")`). Executors of a pool are a consumer group of their own: each group reads
all commands and passes over those of other pools.
"""

from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field

from orchestrator.sdk import PluginSettings

COMMON: Final = "common"
"""The pool of tools that name none."""

_GROUP: Final = "tool-executor"


class ToolExecutorSettings(PluginSettings, prefix="TOOL_EXECUTOR"):
    """Which tools run in this process."""

    pool: Annotated[str, Field(pattern="^[a-z0-9-]+$")] | None = None
    """Pool whose tools run here. Unset: those of every pool, so it is set for all executors or for none."""


@dataclass(frozen=True)
class Pool:
    """The pool of one process; None is every pool."""

    name: str | None = None

    @property
    def group(self) -> str:
        """The consumer group of its executors."""
        return _GROUP if self.name in (None, COMMON) else f"{_GROUP}-{self.name}"

    def has(self, pool: str) -> bool:
        """Whether tools of that pool run here; a tool without one has the empty name."""
        return self.name is None or self.name == (pool or COMMON)


def pool_of_this_process() -> Pool:
    return Pool(ToolExecutorSettings.read().pool)
