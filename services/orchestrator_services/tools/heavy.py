"""The process that tools which compute over files run in."""

from typing import Final

from orchestrator.sdk import Isolation
from orchestrator_services.tools.settings import ToolSettings, tool_settings

_BESIDE_TABLES_MB: Final = 768
"""Beside tables: the stacks and arenas of DuckDB's threads, the text of files, rows on their way out, and single
values, which DuckDB's own limit does not count."""
_MEGABYTES: Final = {"KB": 1 / 1024, "MB": 1, "GB": 1024}


def memory() -> str:
    """The limit of memory of one call, by the settings."""
    size = tool_settings().sql_memory
    return f"{round(int(size[:-2]) * _MEGABYTES[size[-2:]]) + _BESIDE_TABLES_MB}MB"


# No file is written: DuckDB does not spill.
HEAVY: Final = Isolation(memory=memory, file_size="1MB", output="64MB", environment=(ToolSettings,))
