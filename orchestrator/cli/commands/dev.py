"""`orchestrator dev`: a real Kafka, a real registry and all services on this machine, with nothing to install."""

import os
import shlex
import shutil
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from orchestrator.cli.commands.config import Modules
from orchestrator.cli.commands.run import log_as_told
from orchestrator.cli.commands.schemas import apply_schemas
from orchestrator.cli.commands.topics import apply_topics
from orchestrator.cli.common import command
from orchestrator.cli.output import write_json_line, write_line, write_note
from orchestrator.cli.shell import Shell
from orchestrator.cli.stopping import Stopped, stopped_by_signals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.app.settings import Settings
    from orchestrator.local import LocalJaeger, LocalStack, StackAddress

_VALUES: Final = "values"
_SESSIONS: Final = "sessions.sqlite"
_APPLY_S: Final = 60.0
"""A cluster that has just started, on a busy machine, takes its time to make topics."""


@command
def dev(
    shell: Shell,
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="Where everything is kept; the next start goes on with it.")
    ] = Path(".data/dev"),
    nodes: Annotated[int, typer.Option(help="Kafka nodes: 1, or 3.")] = 1,
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65533, help="Port of the first Kafka node. [default: free, then the same again]"
        ),
    ] = None,
    registry_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the registry. [default: as above]")
    ] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Forget what an earlier run has kept.")] = False,
    jaeger: Annotated[
        bool, typer.Option("--jaeger", help="Start Jaeger too, and send it the spans of all services.")
    ] = False,
    jaeger_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of Jaeger's page.")] = 16686,
    no_run: Annotated[bool, typer.Option("--no-run", help="Start the servers only, no services.")] = False,
    module: Modules = None,
) -> None:
    """Starts Kafka, a registry and all services.

    They are real and on this machine; topics and schemas are applied, and Ctrl-C ends everything. The first
    start fetches Kafka and the registry, about 200 MB.
    """
    from orchestrator.bus.deadline import Deadline
    from orchestrator.local import LocalJaeger, LocalStack
    from orchestrator.local.jaeger import jaeger_program
    from orchestrator.local.kafka import START_SECONDS

    folder = data.absolute()
    ports = tuple(range(port, port + nodes)) if port else ()
    stack = LocalStack(folder, nodes, kafka_ports=ports, registry_port=registry_port)
    modules = tuple(module) if module else None
    told = shell.settings(modules=modules)
    log_as_told(told)
    viewer = LocalJaeger(jaeger_program(told.jaeger), folder / "jaeger", port=jaeger_port) if jaeger else None
    with stopped_by_signals(), ExitStack() as ending:
        try:
            if reset:
                _forget(stack, folder)
            write_note("starting Kafka and the registry" + (", and Jaeger" if viewer else ""))
            stack.prepare()
            ending.callback(stack.stop)
            environment = _environment(stack.start(Deadline.after(START_SECONDS)), folder)
            if viewer:
                ending.enter_context(viewer)
                environment |= _traced(viewer)
            settings = _settings(shell, environment, modules)
            apply_topics(settings.bus, _APPLY_S)
            apply_schemas(settings.bus)
            _tell(shell, environment)
            _run(settings, services=not no_run)
        except Stopped:
            write_note("stopping")


def _forget(stack: "LocalStack", folder: Path) -> None:
    """Records, schemas, values and recorded sessions go together: the recorder keeps offsets of the records."""
    stack.reset()
    shutil.rmtree(folder / _VALUES, ignore_errors=True)
    for path in folder.glob(f"{_SESSIONS}*"):
        path.unlink()


def _environment(address: "StackAddress", folder: Path) -> dict[str, str]:
    """What another process needs in its environment to be of this installation."""
    return {
        "ORCHESTRATOR_BOOTSTRAP_SERVERS": address.bootstrap_servers,
        "ORCHESTRATOR_SCHEMA_REGISTRY_URL": address.schema_registry_url,
        "ORCHESTRATOR_VALUES_URL": str(folder / _VALUES),
        "ORCHESTRATOR_SESSIONS_URL": f"sqlite:///{folder / _SESSIONS}",
    }


def _traced(viewer: "LocalJaeger") -> dict[str, str]:
    """What sends the spans of a process to Jaeger, and links to their traces."""
    from orchestrator.app.settings import TRACE_ID

    return {
        "ORCHESTRATOR_OTLP_ENDPOINT": viewer.otlp_endpoint,
        "ORCHESTRATOR_TRACE_URL": f"{viewer.url}/trace/{TRACE_ID}",
    }


def _settings(shell: Shell, environment: "Mapping[str, str]", modules: tuple[str, ...] | None) -> "Settings":
    # The session recorder looks there by itself.
    os.environ.update(environment)
    return shell.settings(
        modules=modules,
        bootstrap_servers=environment["ORCHESTRATOR_BOOTSTRAP_SERVERS"],
        schema_registry_url=environment["ORCHESTRATOR_SCHEMA_REGISTRY_URL"],
        values_url=environment["ORCHESTRATOR_VALUES_URL"],
    )


def _tell(shell: Shell, environment: "Mapping[str, str]") -> None:
    if shell.writes_json:
        write_json_line({"environment": environment})
        return
    write_line("Everything is there. In another terminal:\n")
    for name, value in environment.items():
        write_line(f"export {name}={shlex.quote(value)}")
    write_line("")


def _run(settings: "Settings", *, services: bool) -> None:
    """Runs all services, or nothing, until `Stopped` is raised."""
    from orchestrator.app.process import ALL, Process
    from orchestrator.app.wiring import wire

    if not services:
        while True:
            signal.pause()
    with Process(wire(settings), [ALL], settings.plugins()) as process:
        write_note(f"running {', '.join(process.names)}; Ctrl-C ends everything")
        process.wait()
