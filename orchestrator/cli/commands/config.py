"""`orchestrator config`: which settings are in effect, and what is wrong with them."""

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.common import command
from orchestrator.cli.output import write_fields, write_line, write_note
from orchestrator.cli.shell import Shell
from orchestrator.errors import ConfigurationError

if TYPE_CHECKING:
    from orchestrator.app.settings import Settings

app = typer.Typer(
    help="Settings: flags override the environment, which overrides a file.", no_args_is_help=True
)

Modules = Annotated[
    list[str] | None,
    typer.Option("--module", metavar="MODULE", help="Module or file with plug-ins; may be repeated."),
]


@app.command()
@command
def check(shell: Shell, module: Modules = None) -> None:
    """Finds every mistake in settings and plug-ins.

    Connects to no server.
    """
    problems: list[str] = []
    settings: Settings | None = None
    try:
        settings = shell.settings(modules=tuple(module) if module else None)
        problems += _client_problems(settings)
        settings.values()
    except ConfigurationError as error:
        problems += error.problems
    problems += _plugin_problems(settings.modules if settings else module or ())
    if problems:
        raise ConfigurationError(*problems)
    shell.show(
        problems, lambda problems: {"problems": problems}, lambda _: write_line("the settings are valid")
    )


@app.command()
@command
def show(shell: Shell, module: Modules = None) -> None:
    """Shows the settings in effect, those of plug-ins too.

    Secrets are hidden, and so is all that is passed through to the clients of Kafka and the registry.
    """
    from orchestrator.app.settings import variables
    from orchestrator.sdk import SettingsPlugin
    from orchestrator.sdk.plugins import find
    from orchestrator.telemetry.redaction import Redaction

    settings = shell.settings(modules=tuple(module) if module else None)
    shown: dict[str, Any] = settings.model_dump(mode="json")
    # With a mistake in one of them, the others are wanted all the more.
    plugins, problems = find(settings.modules, variables())
    for plugin in plugins.by_name(SettingsPlugin).values():
        with suppress(ConfigurationError):
            shown |= plugin.shown()
    for problem in problems:
        write_note(f"warning: {problem}")
    # URLs hold passwords too.
    shown = Redaction(settings.secrets).content(shown)
    shell.show(shown, lambda shown: shown, _write_settings)


def _client_problems(settings: "Settings") -> list[str]:
    from orchestrator.bus.kafka.rejections import rejections

    return [f"kafka: librdkafka rejects the settings: {why}" for why in rejections(settings.bus)]


def _plugin_problems(modules: Iterable[str]) -> list[str]:
    from orchestrator.app.settings import variables
    from orchestrator.sdk import SettingsPlugin
    from orchestrator.sdk.plugins import find

    plugins, problems = find(modules, variables())
    try:
        plugins.every_service()
    except ConfigurationError as error:
        problems += error.problems
    for plugin in plugins.by_name(SettingsPlugin).values():
        problems += plugin.problems()
    return problems


def _write_settings(shown: dict[str, Any]) -> None:
    write_fields((name, _as_text(value)) for name, value in shown.items())


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
