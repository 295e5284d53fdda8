"""`orchestrator run`: runs the orchestrator, services and sinks, one or several in a process."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from orchestrator.cli import times
from orchestrator.cli.commands.config import Modules
from orchestrator.cli.common import command
from orchestrator.cli.shell import Shell
from orchestrator.cli.stopping import run_until_stopped
from orchestrator.messages.bounds import MOST

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
        int | None, typer.Option(min=0, max=MOST, help="Slot of this orchestrator; each copy has its own.")
    ] = None,
    http_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port of /healthz, /readyz and /metrics; 0 picks a free one."),
    ] = None,
    http_host: Annotated[str | None, typer.Option(help="Address that serves health and metrics.")] = None,
    values_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Store of large values, a folder or s3://bucket/prefix; all processes share it.",
        ),
    ] = None,
    active_sessions: Annotated[
        int | None,
        typer.Option(min=1, max=MOST, help="Active sessions in one partition before its tasks wait."),
    ] = None,
    drain: Annotated[
        float | None,
        typer.Option(
            metavar="DURATION",
            parser=times.wait_s,
            help="How long running calls may take to finish on shutdown.",
        ),
    ] = None,
    log_format: Annotated[
        Literal["auto", "human", "json"] | None,
        typer.Option(help="auto is human in a terminal and json elsewhere."),
    ] = None,
    otlp_endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="Receiver of spans, OTLP over gRPC.")
    ] = None,
) -> None:
    """Runs services until SIGTERM or Ctrl-C.

    Running calls may then finish within --drain; a second signal ends the process at once.
    """
    from orchestrator.app.process import Process, select_names
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
    select_names(names, plugins)
    require_servers(settings, shell.timeout_s)
    configure_logs(settings)
    run_until_stopped(Process(wire(settings), names, plugins))


def configure_logs(settings: "Settings") -> None:
    """Configures the logs of a process that runs services; secrets in the settings are masked."""
    from orchestrator.telemetry.logs import configure

    configure(settings.log_level, settings.log_format, settings.secrets)
