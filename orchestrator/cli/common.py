"""How commands are declared: each takes the common options beside its own, and reports errors alike."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Concatenate, Final, Literal, ParamSpec

import typer

from orchestrator.cli.output import Output
from orchestrator.cli.shell import CommonOptions, Shell
from orchestrator.cli.times import seconds

P = ParamSpec("P")


def common_options(
    output: Annotated[
        Output | None, typer.Option("--output", "-o", help="For people or for programs. [default: text]")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings file. [default: orchestrator.toml, if it is there]")
    ] = None,
    bootstrap_servers: Annotated[
        str | None, typer.Option(metavar="HOST:PORT,...", help="Addresses of Kafka brokers.")
    ] = None,
    schema_registry_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Address of the schema registry.")
    ] = None,
    topic_prefix: Annotated[
        str | None, typer.Option(metavar="PREFIX", help="What the names of all topics begin with.")
    ] = None,
    connect_timeout: Annotated[
        float | None,
        typer.Option(
            metavar="DURATION", parser=seconds, help="How long a server may take to answer. [default: 10s]"
        ),
    ] = None,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"] | None,
        typer.Option(help="Log to stderr from this level on; debug shows tracebacks."),
    ] = None,
) -> CommonOptions:
    """The options that were given."""
    return CommonOptions(
        output, config, bootstrap_servers, schema_registry_url, topic_prefix, connect_timeout, log_level
    )


_COMMON: Final = inspect.signature(common_options).parameters
_CONTEXT: Final = inspect.Parameter(
    "typer_context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
)


def command(function: Callable[Concatenate[Shell, P], None]) -> Callable[..., None]:
    """A function of a `Shell` and its own options, as Typer takes it: with the common options behind them."""

    def run(typer_context: typer.Context, **given: Any) -> None:
        shell = Shell(_taken(given).over(typer_context.find_root().obj))
        with shell.reporting():
            call(shell, **given)

    call: Any = function
    _, *own = inspect.signature(function).parameters.values()
    return _declared(run, function, own)


def root(function: Callable[P, None]) -> Callable[..., None]:
    """As `command`, for what runs before every command: keeps the options that stood before its name."""

    def run(typer_context: typer.Context, **given: Any) -> None:
        typer_context.obj = _taken(given)
        call(**given)

    call: Any = function
    return _declared(run, function, list(inspect.signature(function).parameters.values()))


def _taken(given: dict[str, Any]) -> CommonOptions:
    return common_options(**{name: given.pop(name) for name in _COMMON})


def _declared(
    run: Callable[..., None], function: Callable[..., None], own: list[inspect.Parameter]
) -> Callable[..., None]:
    """`run` under the name and the help of `function`, with the context, its own and the common options."""
    functools.update_wrapper(run, function)
    run.__signature__ = inspect.Signature([_CONTEXT, *own, *_COMMON.values()])  # type: ignore[attr-defined]
    return run
