"""Declares commands: each takes the common options besides its own, and reports errors in the same way."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Concatenate, Final, Literal, ParamSpec

import typer

from orchestrator.cli.output import Output
from orchestrator.cli.shell import CommonOptions, Shell
from orchestrator.cli.times import wait_s

P = ParamSpec("P")


def common_options(
    output: Annotated[
        Output | None, typer.Option("--output", "-o", help="Format of the result. [default: text]")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings file. [default: orchestrator.toml, if it exists]")
    ] = None,
    bootstrap_servers: Annotated[
        str | None, typer.Option(metavar="HOST:PORT,...", help="Addresses of Kafka brokers.")
    ] = None,
    schema_registry_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Address of the schema registry.")
    ] = None,
    topic_prefix: Annotated[
        str | None, typer.Option(metavar="PREFIX", help="Prefix of all topic names.")
    ] = None,
    connect_timeout: Annotated[
        float | None,
        typer.Option(
            metavar="DURATION", parser=wait_s, help="How long a server may take to respond. [default: 10s]"
        ),
    ] = None,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"] | None,
        typer.Option(help="Log to stderr from this level on; debug shows tracebacks."),
    ] = None,
) -> CommonOptions:
    """Collects the common options that were given."""
    return CommonOptions(
        output, config, bootstrap_servers, schema_registry_url, topic_prefix, connect_timeout, log_level
    )


_COMMON: Final = inspect.signature(common_options).parameters
_CONTEXT: Final = inspect.Parameter(
    "typer_context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
)


def command(function: Callable[Concatenate[Shell, P], None]) -> Callable[..., None]:
    """Turns a function of a `Shell` and its own options into a Typer command that takes the common options too."""

    def run(typer_context: typer.Context, **given: Any) -> None:
        shell = Shell(_common(given).over(typer_context.find_root().obj))
        with shell.reporting():
            call(shell, **given)

    call: Any = function
    _, *own = inspect.signature(function).parameters.values()
    return _with_signature(run, function, own)


def root(function: Callable[P, None]) -> Callable[..., None]:
    """As `command`, for the function that runs before every command: keeps the options given before its name."""

    def run(typer_context: typer.Context, **given: Any) -> None:
        typer_context.obj = _common(given)
        call(**given)

    call: Any = function
    return _with_signature(run, function, list(inspect.signature(function).parameters.values()))


def _common(given: dict[str, Any]) -> CommonOptions:
    return common_options(**{name: given.pop(name) for name in _COMMON})


def _with_signature(
    run: Callable[..., None], function: Callable[..., None], own: list[inspect.Parameter]
) -> Callable[..., None]:
    """Gives `run` the name and help of `function`, and a signature with the context, its own and common options."""
    functools.update_wrapper(run, function)
    run.__signature__ = inspect.Signature([_CONTEXT, *own, *_COMMON.values()])  # type: ignore[attr-defined]
    return run
