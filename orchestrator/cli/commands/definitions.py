"""`orchestrator agents` and `orchestrator tools`: what exists, as the definitions topic tells it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.common import command
from orchestrator.cli.output import write_json, write_line, write_note, write_table
from orchestrator.cli.shell import Shell

if TYPE_CHECKING:
    from orchestrator.app.wiring import Wiring
    from orchestrator.messages.types import AgentProfile, ToolDefinition
    from orchestrator.worker.broadcast.definitions import DefinitionTable

agents = typer.Typer(help="Agents and playbooks of this installation.", no_args_is_help=True)
tools = typer.Typer(help="Tools that executors have announced.", no_args_is_help=True)


@agents.command()
@command
def apply(
    shell: Shell,
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", exists=True, file_okay=False, help="Folder with the YAML files; subfolders count."
        ),
    ],
) -> None:
    """Defines the agents and playbooks of a folder.

    All of them or, if one is wrong, none.
    """
    from orchestrator.app.defining import define, read_folder

    documents = read_folder(folder)
    define(shell.wiring(), documents)
    playbooks = [found.playbook.label for found in documents.playbooks]
    profiles = [profile.name for profile in documents.profiles]
    if shell.writes_json:
        write_json({"agents": profiles, "playbooks": playbooks})
        return
    for label in playbooks:
        write_line(f"playbook {label} is defined")
    for name in profiles:
        write_line(f"agent {name} is defined")


@agents.command("list")
@command
def list_agents(shell: Shell) -> None:
    """Shows the agents and playbooks that are defined."""
    table = _defined(shell.wiring(), shell.timeout_s)
    profiles = [table.agents[name] for name in sorted(table.agents)]
    playbooks = [table.playbooks[name] for name in sorted(table.playbooks)]
    if shell.writes_json:
        known = [{"name": one.name, "version": one.version, "source": one.source} for one in playbooks]
        write_json({"agents": profiles, "playbooks": known})
        return
    rows = [
        *(("agent", one.name, _planned_by(one), one.description) for one in profiles),
        *(("playbook", f"{one.name}@{one.version}", "", _description_of(one.source)) for one in playbooks),
    ]
    if rows:
        write_table(("kind", "name", "planned by", "description"), rows, folded=("description",))
    else:
        write_note("nothing is defined yet: `orchestrator agents apply DIR` does it")


@tools.command("list")
@command
def list_tools(shell: Shell) -> None:
    """Shows the tools that the tool executors have announced."""
    table = _defined(shell.wiring(), shell.timeout_s)
    found = [table.tools[name] for name in sorted(table.tools)]
    if shell.writes_json:
        write_json([_tool_document(tool) for tool in found])
    elif found:
        headings = ("tool", "version", "capabilities", "pool", "description")
        write_table(headings, map(_tool_cells, found), folded=("description",))
    else:
        write_note("no tool is announced: `orchestrator run tool-executor` announces those that it has")


def _defined(wiring: "Wiring", timeout_s: float) -> "DefinitionTable":
    """What the topic holds now. A definition that cannot be read is left out, with a warning."""
    from orchestrator.bus.standalone import all_partitions, read_to_end
    from orchestrator.errors import ContractError
    from orchestrator.messages.catalogue import Topic
    from orchestrator.worker.broadcast.definitions import DefinitionTable

    table = DefinitionTable()
    for received in read_to_end(wiring.bus, all_partitions(wiring.bus, Topic.DEFINITIONS), timeout_s):
        key = (received.key or b"").decode(errors="replace")
        if received.value is None:
            table.remove(key)
            continue
        try:
            table.put(wiring.codec.decode(received))
        except ContractError as error:
            write_note(f"warning: the definition of {key} cannot be read: {error}")
    return table


def _planned_by(profile: "AgentProfile") -> str:
    return f"{profile.planner} {profile.playbook}".strip()


def _description_of(source: str) -> str:
    from orchestrator.errors import ConfigurationError
    from orchestrator.sdk.documents import parse_playbooks

    try:
        return parse_playbooks(source)[0].description
    except (ConfigurationError, IndexError):
        return "cannot be read by this version"


def _tool_document(tool: "ToolDefinition") -> dict[str, Any]:
    import json

    from msgspec import to_builtins

    schemas = {name: json.loads(getattr(tool, name)) for name in ("arguments_schema", "output_schema")}
    return {**to_builtins(tool), **schemas}


def _tool_cells(tool: "ToolDefinition") -> tuple[str, ...]:
    return (
        tool.name,
        tool.version,
        ", ".join(tool.capabilities),
        tool.pool,
        tool.description.partition("\n")[0],
    )
