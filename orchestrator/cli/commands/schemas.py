"""`orchestrator schemas`: compares the registry with this version, and registers what it lacks."""

from typing import TYPE_CHECKING

import typer

from orchestrator.cli.common import command
from orchestrator.cli.exits import ExitCode
from orchestrator.cli.output import write_line, write_table
from orchestrator.cli.shell import Shell

if TYPE_CHECKING:
    from orchestrator.schemas import Applied, Finding

app = typer.Typer(help="Schemas of all messages.", no_args_is_help=True)


@app.command()
@command
def apply(shell: Shell) -> None:
    """Registers every schema of this version.

    Idempotent: running it again changes nothing.
    """
    from orchestrator.operations.documents import applied_schema_document
    from orchestrator.operations.schemas import apply_schemas

    applied = apply_schemas(shell.reached(kafka=False).bus)
    shell.show_done(
        "the schemas are registered",
        applied,
        lambda applied: [applied_schema_document(one) for one in applied],
        _write_applied,
    )


@app.command()
@command
def check(shell: Shell) -> None:
    """Compares the registry with this version.

    Exits with 1 if anything differs.
    """
    from orchestrator.operations.documents import schema_finding_document
    from orchestrator.operations.schemas import check_schemas

    findings = check_schemas(shell.reached(kafka=False).bus)
    shell.show(findings, lambda findings: [schema_finding_document(one) for one in findings], _write_findings)
    if findings:
        raise typer.Exit(ExitCode.NOT_DONE)


def _write_applied(applied: "tuple[Applied, ...]") -> None:
    new = [one for one in applied if one.outcome is one.outcome.REGISTERED]
    for one in new:
        write_line(f"{one.subject}: registered as {one.schema_id}")
    write_line(f"{len(applied)} schemas are registered, {len(new)} of them now")


def _write_findings(findings: "tuple[Finding, ...]") -> None:
    if not findings:
        write_line("the registry has every schema of this version")
        return
    rows = [(one.subject or "(registry)", one.problem) for one in findings]
    write_table(("subject", "problem"), rows, folded=("problem",))
    write_line("`orchestrator schemas apply` registers what is missing")
