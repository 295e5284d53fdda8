"""Tool pools: executors with tools of their own, deployed and scaled separately.

A tool names its pool (`@tool(pool="gpu")`). The executors of a pool are a consumer group of their own: each group
reads all commands and skips those of other pools.
"""

from dataclasses import dataclass
from typing import Final

from orchestrator_services.tool_executor.settings import ToolExecutorSettings

COMMON: Final = "common"
"""The pool of tools that name none."""

_GROUP: Final = "tool-executor"


@dataclass(frozen=True)
class Pool:
    """The pool of one process. `name` None is every pool."""

    name: str | None = None

    @property
    def group(self) -> str:
        """The consumer group of its executors."""
        return _GROUP if self.name in (None, COMMON) else f"{_GROUP}-{self.name}"

    def has(self, pool: str) -> bool:
        """Whether tools of that pool run here. A tool without a pool has the empty name."""
        return self.name is None or self.name == (pool or COMMON)


def pool_of_this_process() -> Pool:
    return Pool(ToolExecutorSettings.read().pool)
