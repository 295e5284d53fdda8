"""`orchestrator demo`: an example session on an embedded broker, event by event."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.common import command
from orchestrator.cli.events import event_line
from orchestrator.cli.folders import make_folder
from orchestrator.cli.output import write_line, write_note, write_result
from orchestrator.cli.shell import Shell

if TYPE_CHECKING:
    from orchestrator.app.demo import Outcome
    from orchestrator.messages.base import Event


@command
def demo(
    shell: Shell,
    example: Annotated[
        str, typer.Argument(metavar="EXAMPLE", help="Which one: incident-triage or research-desk.")
    ] = "incident-triage",
    folder: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Where the example's files are written. [default: a temporary folder]"
        ),
    ] = None,
) -> None:
    """Runs an example session in this process.

    In incident-triage a playbook finds out why a service became slow; in research-desk a model answers a
    question from files. The broker is librdkafka's own and stores nothing; `orchestrator dev` starts a
    real one.
    """
    if folder is not None:
        make_folder(folder, "'--folder'")
        _run(shell, example, folder)
        return
    with tempfile.TemporaryDirectory(prefix="orchestrator-demo-") as made:
        _run(shell, example, Path(made))


def _run(shell: Shell, name: str, folder: Path) -> None:
    from orchestrator.app.demo import example_called, run_demo

    example = example_called(name)

    def on_event(event: "Event") -> None:
        shell.show_text(lambda: write_line(event_line(event)))

    shell.show_text(lambda: write_note(f"Task: {example.goal}"))
    shell.show_text(lambda: write_note("Starting a broker and all services in this process ..."))
    outcome = run_demo(folder, on_event, example)
    shell.show(outcome, _document, _write)


def _write(outcome: "Outcome") -> None:
    """The result, and where the time went."""
    from orchestrator.sessions.durations import where_time_went

    write_line("")
    write_result(outcome.result)
    write_line("\nWhere the time went:\n")
    for line in where_time_went(outcome.events).lines():
        write_line(line)


def _document(outcome: "Outcome") -> dict[str, Any]:
    from orchestrator.operations.documents import event_document

    return {
        "correlation_id": outcome.correlation_id,
        "result": outcome.result,
        "timeline": [event_document(event) for event in outcome.events],
    }
