"""A process with all services and an agent with a server of tools: `python -m tests.support.served_desk BROKER FOLDER`.

It runs on an embedded broker of another process until it is sent a signal.
"""

import logging
import sys
from pathlib import Path
from typing import Any

from fastmcp.client.transports import StdioTransport
from orchestrator_services.agents import durable
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from orchestrator.app.process import Process
from orchestrator.app.settings import Settings
from orchestrator.app.wiring import wire_embedded
from orchestrator.cli.stopping import run_until_stopped
from orchestrator.sdk import discover
from tests.support.embedded_platform import SERVICES
from tests.support.mcp_process import ROOT, Diary


def counts(messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
    """Counts one shelf, and is done."""
    if len(messages) == 1:
        return ModelResponse(parts=[ToolCallPart("count", {"shelf": 3})])
    return ModelResponse(parts=[TextPart("counted")])


def main(broker: str, folder: Path) -> None:
    logging.basicConfig(level=logging.INFO)
    program, *arguments = Diary(folder).command
    transport = StdioTransport(program, arguments, cwd=str(ROOT))
    shelves = MCPToolset[Any](transport, id="shelves", init_timeout=120)
    plugins = discover()
    for plugin in durable(Agent(FunctionModel(counts), name="desk", toolsets=[shelves])).plugins():
        plugins.add(plugin)
    settings = Settings(bootstrap_servers=broker, values_url=str(folder / "values"), partitions=1)
    run_until_stopped(Process(wire_embedded(settings), SERVICES, plugins))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
