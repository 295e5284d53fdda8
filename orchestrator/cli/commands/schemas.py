"""`orchestrator schemas`: what the registry has, and what this version needs."""

from typing import TYPE_CHECKING

import typer

from orchestrator.cli.common import command
from orchestrator.cli.exits import ExitCode
from orchestrator.cli.output import write_json, write_line, write_table
from orchestrator.cli.shell import Shell

if TYPE_CHECKING:
    from orchestrator.bus.settings import BusSettings
    from orchestrator.schemas import Applied

app = typer.Typer(help="Schemas of all messages.", no_args_is_help=True)


@app.command()
@command
def apply(shell: Shell) -> None:
    """Registers every schema of this version.

    Doing it again changes nothing.
    """
    applied = apply_schemas(shell.reached(kafka=False).bus)
    if shell.writes_json:
        write_json([{"subject": one.subject, "id": one.schema_id, "outcome": one.outcome} for one in applied])
        return
    new = [one for one in applied if one.outcome is one.outcome.REGISTERED]
    for one in new:
        write_line(f"{one.subject}: registered as {one.schema_id}")
    write_line(f"{len(applied)} schemas are registered, {len(new)} of them now")


@app.command()
@command
def check(shell: Shell) -> None:
    """Compares the registry with this version.

    Exits with 1 if anything differs.
    """
    from orchestrator.bus.avro.registry import registry_client
    from orchestrator.schemas import check as compare

    settings = shell.reached(kafka=False).bus
    findings = compare(registry_client(settings), settings)
    if shell.writes_json:
        write_json([{"subject": one.subject, "problem": one.problem} for one in findings])
    elif findings:
        rows = [(one.subject or "(registry)", one.problem) for one in findings]
        write_table(("subject", "problem"), rows, folded=("problem",))
        write_line("`orchestrator schemas apply` registers what is missing")
    else:
        write_line("the registry has every schema of this version")
    if findings:
        raise typer.Exit(ExitCode.NOT_DONE)


def apply_schemas(settings: "BusSettings") -> "tuple[Applied, ...]":
    """Registers what the registry has not got. Raises `ConfigurationError` naming every incompatible subject."""
    from orchestrator.bus.avro.registry import registry_client
    from orchestrator.schemas import apply as register

    return register(registry_client(settings), settings)
