"""`orchestrator run`: the orchestrator, services and sinks, several of them in one process if need be."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from orchestrator.cli import times
from orchestrator.cli.commands.config import Modules
from orchestrator.cli.common import command
from orchestrator.cli.shell import Shell
from orchestrator.cli.stopping import run_until_stopped

if TYPE_CHECKING:
    from orchestrator.app.settings import Settings


@command
def run(
    shell: Shell,
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME...", help="What to run, such as orchestrator, planner, or all."),
    ],
    module: Modules = None,
    slot: Annotated[
        int | None, typer.Option(min=0, help="Number of this copy of the orchestrator; no two alike.")
    ] = None,
    http_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port of /healthz, /readyz and /metrics; 0 takes a free one."),
    ] = None,
    http_host: Annotated[str | None, typer.Option(help="Where health and metrics are served.")] = None,
    values_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Where large values lie, a folder or s3://bucket/prefix; all processes share it.",
        ),
    ] = None,
    active_sessions: Annotated[
        int | None, typer.Option(min=1, help="Sessions under way in one partition before its tasks wait.")
    ] = None,
    drain: Annotated[
        float | None,
        typer.Option(
            metavar="DURATION", parser=times.seconds, help="How long running calls get to finish at the end."
        ),
    ] = None,
    log_format: Annotated[
        Literal["auto", "human", "json"] | None,
        typer.Option(help="auto writes for people in a terminal and JSON elsewhere."),
    ] = None,
    otlp_endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="Where spans are sent, OTLP over gRPC.")
    ] = None,
) -> None:
    """Runs services until SIGTERM or Ctrl-C.

    Running calls may then end within --drain; a second signal ends at once.
    """
    from orchestrator.app.process import Process, chosen
    from orchestrator.app.wiring import wire
    from orchestrator.cli.reach import require_servers

    settings = shell.settings(
        modules=tuple(module) if module else None,
        slot=slot,
        http_port=http_port,
        http_host=http_host,
        values_url=values_url,
        active_sessions=active_sessions,
        drain_s=drain,
        log_format=log_format,
        otlp_endpoint=otlp_endpoint,
    )
    plugins = settings.plugins()
    chosen(names, plugins)
    require_servers(settings, shell.timeout_s)
    log_as_told(settings)
    run_until_stopped(Process(wire(settings), names, plugins))


def log_as_told(settings: "Settings") -> None:
    """Logs of a process that runs services: for people in a terminal, JSON elsewhere, never a secret."""
    from orchestrator.telemetry.logs import configure

    secrets = (*settings.kafka.values(), *settings.schema_registry.values())
    configure(settings.log_level, settings.log_format, [one.get_secret_value() for one in secrets])
