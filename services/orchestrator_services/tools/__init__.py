"""Tools that do real work: files, SQL, access logs, HTTP and reports.

One plug-in module: naming it makes all of them known. What they may touch is set by `settings.ToolSettings`.
"""

from orchestrator_services.tools.file_search import search
from orchestrator_services.tools.files import list_files, read
from orchestrator_services.tools.http_get import get
from orchestrator_services.tools.logs import change_point, statistics
from orchestrator_services.tools.report import markdown
from orchestrator_services.tools.settings import ToolSettings
from orchestrator_services.tools.sql import query

__all__ = [
    "ToolSettings",
    "change_point",
    "get",
    "list_files",
    "markdown",
    "query",
    "read",
    "search",
    "statistics",
]
