"""A server of tools by the Model Context Protocol, as a process: over stdio, or over HTTP at a port.

    python -m tests.support.mcp_server DIARY [PORT]

It writes into its diary when it starts, what it is asked to do, and when it ends on its own.
"""

import os
import sys
from pathlib import Path

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations

DIARY = Path(sys.argv[1])
READS = ToolAnnotations(read_only_hint=True)
ORDERS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False)
SETS = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True)

server = MCPServer("shelves", log_level="CRITICAL")


def noted(line: str) -> None:
    with DIARY.open("a") as diary:
        diary.write(f"{line}\n")


@server.tool(annotations=READS)
def count(shelf: int) -> int:
    """How many pieces are on a shelf."""
    noted(f"count {shelf}")
    if shelf > 9:
        raise ToolError("there are nine shelves")
    return shelf * 2


@server.tool(annotations=ORDERS)
def order(item: str) -> dict[str, str]:
    """Orders an item."""
    noted(f"order {item}")
    if item == "the end":
        os._exit(3)
    return {"ordered": item}


@server.tool(annotations=SETS)
def place(item: str) -> str:
    """Places an item on its shelf. The server dies of the first one."""
    first = "place" not in DIARY.read_text()
    noted(f"place {item}")
    if first:
        os._exit(3)
    return f"{item} is in its place"


@server.tool()
def token() -> str:
    """Whether the server has the token that it needs."""
    return os.environ.get("SHELVES_TOKEN", "none")


@server.tool()
def grow() -> str:
    """Gives the server another tool."""
    server.add_tool(lambda: "weighed", name="weigh", description="Weighs everything.")
    return "grown"


noted(f"started {os.getpid()}")
if "ends at once" in os.environ.get("SHELVES_MOOD", ""):
    sys.exit("the shelves are closed")
if len(sys.argv) > 2:
    server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[2]))
else:
    server.run("stdio")
noted(f"ended {os.getpid()}")
