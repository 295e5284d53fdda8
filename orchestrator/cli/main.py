"""The program `orchestrator`: its command groups, its common options, and usage errors as JSON."""

import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from orchestrator.cli.commands import (
    cancel,
    config,
    definitions,
    demo,
    dev,
    dlq,
    run,
    schemas,
    sessions,
    submit,
    topics,
    verify,
)
from orchestrator.cli.common import root
from orchestrator.cli.exits import ExitCode
from orchestrator.cli.output import write_json_error


class Program(TyperGroup):
    """The root group: with `--output json` it reports usage errors as JSON too."""

    def main(self, args: Sequence[str] | None = None, **options: Any) -> Any:  # type: ignore[override]
        given = list(sys.argv[1:] if args is None else args)
        if not (options.get("standalone_mode", True) and _wants_json(given)):
            return super().main(args, **options)
        try:
            code = super().main(args, **{**options, "standalone_mode": False})
        except TyperException as error:
            write_json_error({"type": "usage", "message": error.format_message()})
            sys.exit(error.exit_code)
        sys.exit(code or ExitCode.OK)


def _wants_json(arguments: Sequence[str]) -> bool:
    pairs = pairwise([*arguments, ""])
    return any(
        word in ("--output=json", "-ojson") or (word in ("--output", "-o") and following == "json")
        for word, following in pairs
    )


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"orchestrator {version('kafka-agent-orchestrator')}")
        raise typer.Exit


app = typer.Typer(
    cls=Program,
    help="Runs AI agents on Kafka.",
    no_args_is_help=True,
    # Rich's help costs half a second; its tracebacks show the values of variables, secrets included.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback()
@root
def orchestrator(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Show the version.")
    ] = False,
) -> None:
    """Runs AI agents on Kafka."""


app.command()(demo.demo)
app.command()(dev.dev)
app.command()(run.run)
app.command()(submit.submit)
app.command()(cancel.cancel)
app.command()(verify.verify)
app.add_typer(sessions.app, name="sessions")
app.add_typer(dlq.app, name="dlq")
app.add_typer(definitions.agents, name="agents")
app.add_typer(definitions.tools, name="tools")
app.add_typer(topics.app, name="topics")
app.add_typer(schemas.app, name="schemas")
app.add_typer(config.app, name="config")
