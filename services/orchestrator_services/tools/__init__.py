"""Tools that do real work: files, SQL, access logs, HTTP and reports.

One plug-in module. `settings.ToolSettings` says what the tools may read, write and ask.
"""

from orchestrator_services.tools.file_search import search
from orchestrator_services.tools.files import list_files, read
from orchestrator_services.tools.http_get import get
from orchestrator_services.tools.logs import change_point, statistics
from orchestrator_services.tools.report import markdown
from orchestrator_services.tools.settings import ToolSettings
from orchestrator_services.tools.sql import query
from orchestrator_services.tools.values import read_value

__all__ = [
    "ToolSettings",
    "change_point",
    "get",
    "list_files",
    "markdown",
    "query",
    "read",
    "read_value",
    "search",
    "statistics",
]
