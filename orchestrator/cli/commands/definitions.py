"""`orchestrator agents` and `orchestrator tools`: what the definitions topic holds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.common import command
from orchestrator.cli.output import write_line, write_note, write_table, write_warnings
from orchestrator.cli.shell import Shell

if TYPE_CHECKING:
    from orchestrator.messages.types import AgentProfile, ToolDefinition
    from orchestrator.operations.definitions import Definitions
    from orchestrator.sdk.documents import Documents

agents = typer.Typer(help="Agents and playbooks of this installation.", no_args_is_help=True)
tools = typer.Typer(help="Tools that executors have announced.", no_args_is_help=True)


@agents.command()
@command
def apply(
    shell: Shell,
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Folder with YAML files; subfolders are included.",
        ),
    ],
) -> None:
    """Defines the agents and playbooks of a folder.

    All of them, or none if one has a mistake.
    """
    from orchestrator.operations.definition_files import publish_definitions, read_definition_files
    from orchestrator.sdk.plugins import find

    # Plug-ins that cannot be loaded here, or lack settings, are for `config check` to report.
    plugins, _ = find(shell.settings().modules)
    documents = read_definition_files(folder, plugins)
    publish_definitions(shell.wiring(), documents)
    shell.show_done("the agents and playbooks are defined", documents, _applied_document, _write_applied)


@agents.command("list")
@command
def list_agents(shell: Shell) -> None:
    """Shows the agents and playbooks that are defined."""
    from orchestrator.operations.documents import agents_document

    shell.show(_definitions(shell), agents_document, _write_agents)


@tools.command("list")
@command
def list_tools(shell: Shell) -> None:
    """Shows the tools that tool executors have announced."""
    from orchestrator.operations.documents import tool_document

    found = _definitions(shell).tools
    shell.show(found, lambda tools: [tool_document(tool) for tool in tools], _write_tools)


def _definitions(shell: Shell) -> "Definitions":
    from orchestrator.operations.definitions import read_definitions

    found = read_definitions(shell.wiring(), shell.timeout_s)
    write_warnings(found.warnings)
    return found


def _agents_in(documents: "Documents") -> list[str]:
    return [profile.name for profile in documents.profiles]


def _playbooks_in(documents: "Documents") -> list[str]:
    return [found.playbook.label for found in documents.playbooks]


def _applied_document(documents: "Documents") -> dict[str, list[str]]:
    return {"agents": _agents_in(documents), "playbooks": _playbooks_in(documents)}


def _write_applied(documents: "Documents") -> None:
    for label in _playbooks_in(documents):
        write_line(f"playbook {label} is defined")
    for name in _agents_in(documents):
        write_line(f"agent {name} is defined")


def _write_agents(found: "Definitions") -> None:
    from orchestrator.operations.definitions import description_of

    rows = [
        *(("agent", one.name, _planned_by(one), one.description) for one in found.agents),
        *(("playbook", f"{one.name}@{one.version}", "", description_of(one)) for one in found.playbooks),
    ]
    if rows:
        write_table(("kind", "name", "planned by", "description"), rows, folded=("description",))
    else:
        write_note(
            "no agent or playbook is defined: `orchestrator agents apply DIR` defines those of a folder"
        )


def _planned_by(profile: "AgentProfile") -> str:
    return f"{profile.planner} {profile.playbook}".strip()


def _write_tools(found: "tuple[ToolDefinition, ...]") -> None:
    if found:
        headings = ("tool", "version", "capabilities", "pool", "description")
        write_table(headings, map(_tool_cells, found), folded=("description",))
    else:
        write_note("no tool is announced: `orchestrator run tool-executor` announces its tools")


def _tool_cells(tool: "ToolDefinition") -> tuple[str, ...]:
    return (
        tool.name,
        tool.version,
        ", ".join(tool.capabilities),
        tool.pool,
        tool.description.partition("\n")[0],
    )
