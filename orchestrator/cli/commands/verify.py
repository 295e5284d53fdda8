"""`orchestrator verify`: replays every history and reports what is wrong with it."""

from typing import TYPE_CHECKING

import typer

from orchestrator.cli.common import command
from orchestrator.cli.exits import ExitCode
from orchestrator.cli.output import write_line, write_note, write_table
from orchestrator.cli.shell import Shell

if TYPE_CHECKING:
    from orchestrator.engine.recovery.verify import Finding, Report


@command
def verify(shell: Shell) -> None:
    """Replays every history and compares.

    Finds gaps, duplicates, and snapshots that differ from their events. Changes nothing, and may run while the
    orchestrator does. Exits with 1 if it finds something.
    """
    from orchestrator.engine.recovery.verify import verify as verified
    from orchestrator.operations.documents import verification_document

    wiring = shell.wiring()

    def on_progress(report: "Report") -> None:
        write_note(f"{report.events} events of {report.sessions} sessions, {len(report.findings)} findings")

    report = verified(wiring.bus, wiring.codec, wiring.values, on_progress)
    shell.show(report, verification_document, _write)
    if not report.is_sound:
        raise typer.Exit(ExitCode.NOT_DONE)


def _write(report: "Report") -> None:
    if report.findings:
        write_table(
            ("problem", "session", "place", "what"),
            [_row(finding) for finding in report.findings],
            folded=("what",),
        )
    verdict = "sound" if report.is_sound else "not sound"
    write_line(
        f"{verdict}: {report.sessions} sessions with {report.events} events in {report.partitions} partitions, "
        f"{report.compared} of {report.snapshots} snapshots compared"
    )


def _row(finding: "Finding") -> tuple[str, str, str, str]:
    return finding.problem, finding.correlation_id, f"{finding.partition}@{finding.offset}", finding.message
