"""`orchestrator config`: which settings hold, and what is wrong with them."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.common import command
from orchestrator.cli.output import write_fields, write_json, write_line
from orchestrator.cli.shell import Shell
from orchestrator.errors import ConfigurationError

if TYPE_CHECKING:
    from orchestrator.app.settings import Settings

app = typer.Typer(help="Settings: flags, then the environment, then a file.", no_args_is_help=True)

Modules = Annotated[
    list[str] | None,
    typer.Option(
        "--module", metavar="MODULE", help="Module or file with plug-ins; may be given several times."
    ),
]


@app.command()
@command
def check(shell: Shell, module: Modules = None) -> None:
    """Finds every mistake in settings and plug-ins.

    Asks no server.
    """
    problems: list[str] = []
    settings: Settings | None = None
    try:
        settings = shell.settings(modules=tuple(module) if module else None)
    except ConfigurationError as error:
        problems += error.problems
    if settings is not None:
        problems += _values_problems(settings)
    problems += _plugin_problems(settings.modules if settings else module or ())
    problems += _store_problems()
    if problems:
        raise ConfigurationError(*problems)
    if shell.writes_json:
        write_json({"problems": []})
    else:
        write_line("the settings are in order")


@app.command()
@command
def show(shell: Shell) -> None:
    """Shows the settings that hold.

    What is passed through to the clients may be secret and is hidden.
    """
    from sqlalchemy import make_url

    from orchestrator.sessions.settings import SessionsSettings

    shown: dict[str, Any] = shell.settings().model_dump(mode="json")
    url = make_url(SessionsSettings().url.get_secret_value())
    shown["sessions_url"] = url.render_as_string(hide_password=True)
    if shell.writes_json:
        write_json(shown)
    else:
        write_fields((name, _as_text(value)) for name, value in shown.items())


def _plugin_problems(modules: "tuple[str, ...] | list[str]") -> tuple[str, ...]:
    from orchestrator.sdk.plugins import discover

    try:
        discover(modules).every_service()
    except ConfigurationError as error:
        return error.problems
    return ()


def _values_problems(settings: "Settings") -> tuple[str, ...]:
    try:
        settings.values()
    except ConfigurationError as error:
        return error.problems
    return ()


def _store_problems() -> tuple[str, ...]:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    from orchestrator.sessions.settings import SessionsSettings

    try:
        # Without a dialect or its driver this raises before anything is opened.
        make_url(SessionsSettings().url.get_secret_value()).get_dialect().import_dbapi()
    except (ArgumentError, ImportError):
        return (
            "ORCHESTRATOR_SESSIONS_URL is no database URL for which a driver is installed: write one such as "
            "sqlite:////var/lib/orchestrator/sessions.sqlite",
        )
    return ()


def _as_text(value: Any) -> str:
    match value:
        case _ if value in (None, "", [], {}):
            return "-"
        case dict():
            return ", ".join(f"{name}={inner}" for name, inner in value.items())
        case list():
            return ", ".join(map(str, value))
        case _:
            return str(value)
