"""The program `orchestrator`: its command groups, its common options, and usage errors as JSON."""

import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from orchestrator.cli.commands import (
    acls,
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
from orchestrator.cli.output import write_json_error, write_line, write_note
from orchestrator.cli.streams import check_arguments, discard_output, make_streams_safe


class Program(TyperGroup):
    """The root group: every run of it ends with one message at most and an exit code, whatever its arguments and
    streams. With `--output json` it reports usage errors as JSON too."""

    def main(self, args: Sequence[str] | None = None, **options: Any) -> Any:  # type: ignore[override]
        given = list(sys.argv[1:] if args is None else args)
        if not options.pop("standalone_mode", True):
            return super().main(given, standalone_mode=False, **options)
        make_streams_safe()
        try:
            code = self._run(given, **options)
            sys.stdout.flush()
        except BrokenPipeError:
            discard_output()
            code = ExitCode.BROKEN_PIPE
        except OSError as error:
            discard_output()
            write_note(f"Error: standard output cannot be written: {error.strerror or error}")
            code = ExitCode.NOT_DONE
        sys.exit(code)

    def _run(self, given: list[str], **options: Any) -> int:
        """Runs the command. Returns its exit code."""
        try:
            check_arguments(given)
            return super().main(given, standalone_mode=False, **options) or ExitCode.OK
        except TyperException as error:
            if _wants_json(given):
                write_json_error({"type": "usage", "message": error.format_message()})
            else:
                write_line(_shown(error), stream=sys.stderr)
            return error.exit_code
        except typer.Abort:
            write_note("Aborted!")
            return ExitCode.NOT_DONE

    # Typer would end the program itself, with another code.
    def make_context(self, *args: Any, **options: Any) -> typer.Context:
        with _broken_pipe_as_exit():
            return super().make_context(*args, **options)  # type: ignore[return-value]

    def invoke(self, ctx: Any) -> Any:
        with _broken_pipe_as_exit():
            return super().invoke(ctx)


@contextmanager
def _broken_pipe_as_exit() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        discard_output()
        raise typer.Exit(ExitCode.BROKEN_PIPE) from None


def _shown(error: TyperException) -> str:
    """How Typer shows a usage error: the usage, a hint, the error."""
    text = io.StringIO()
    show: Any = getattr(error, "show", None)
    if show is None:
        return f"Error: {error.format_message()}"
    show(file=text)
    return text.getvalue().rstrip("\n")


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
app.add_typer(acls.app, name="acls")
app.add_typer(schemas.app, name="schemas")
app.add_typer(config.app, name="config")
