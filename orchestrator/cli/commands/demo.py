"""`orchestrator demo`: the example session on an embedded broker, message by message."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.common import command
from orchestrator.cli.output import write_json, write_line, write_note, write_result
from orchestrator.cli.shell import Shell
from orchestrator.cli.watching import event_document, event_line

if TYPE_CHECKING:
    from orchestrator.app.demo import Outcome


@command
def demo(
    shell: Shell,
    folder: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the example's files are made. [default: a temporary folder]"),
    ] = None,
) -> None:
    """Runs an example session in this process.

    It finds out why a service became slow. The broker is librdkafka's own and keeps nothing; `orchestrator dev`
    starts a real one.
    """
    if folder is not None:
        _run(shell, folder)
        return
    with tempfile.TemporaryDirectory(prefix="orchestrator-demo-") as made:
        _run(shell, Path(made))


def _run(shell: Shell, folder: Path) -> None:
    from orchestrator.app.demo import GOAL, run_demo
    from orchestrator.messages.base import Event

    def show(event: Event) -> None:
        if not shell.writes_json:
            write_line(event_line(event))

    if not shell.writes_json:
        write_note(f"Task: {GOAL}")
        write_note("Starting a broker and all services in this process ...")
    outcome = run_demo(folder, show)
    if shell.writes_json:
        write_json(_document(outcome))
        return
    write_line("")
    write_result(outcome.result)
    _write_where_time_went(outcome)


def _write_where_time_went(outcome: "Outcome") -> None:
    from orchestrator.sessions.durations import where_time_went

    write_line("\nWhere the time went:\n")
    for line in where_time_went(outcome.events).lines():
        write_line(line)


def _document(outcome: "Outcome") -> dict[str, object]:
    return {
        "correlation_id": outcome.correlation_id,
        "result": outcome.result,
        "timeline": [event_document(event) for event in outcome.events],
    }
