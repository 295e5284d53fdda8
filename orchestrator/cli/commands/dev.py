"""`orchestrator dev`: a real Kafka, a real registry and all services on this machine, without installing them."""

import os
import secrets
import shlex
import shutil
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from orchestrator.cli.commands.config import Modules
from orchestrator.cli.commands.run import configure_logs
from orchestrator.cli.common import command
from orchestrator.cli.folders import keep_private, make_private_folder
from orchestrator.cli.output import write_note
from orchestrator.cli.shell import Shell
from orchestrator.cli.stopping import Stopped, stopped_by_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from orchestrator.app.settings import Settings
    from orchestrator.local import LocalJaeger, LocalSecurity, LocalStack, StackAddress
    from orchestrator.local.server import LocalServer

_VALUES: Final = "values"
_SESSIONS: Final = "sessions.sqlite"
_CALL_KEYS: Final = "call-keys"
_SECURITY: Final = "security"
_KAFKA: Final = "kafka"
_REGISTRY: Final = "registry"
"""Where `LocalStack` has them."""
_JAEGER: Final = "jaeger"
_PLATFORM: Final = "platform"
"""The user of the process that `dev` is: it runs all services."""
_APPLY_S: Final = 60.0
"""A cluster that has just started takes long to create topics on a busy machine."""
_LOOK_S: Final = 1.0
"""How often it looks whether its servers still run, while no services do."""


@command
def dev(
    shell: Shell,
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="Where data is kept; the next start continues with it.")
    ] = Path(".data/dev"),
    nodes: Annotated[int, typer.Option(min=1, max=3, help="Number of Kafka nodes, 1 or 3.")] = 1,
    port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65533,
            help="Port of the first Kafka node. [default: a free one, kept for later starts]",
        ),
    ] = None,
    registry_port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Port of the registry. [default: a free one, kept for later starts]"
        ),
    ] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Delete the data of earlier runs.")] = False,
    secure: Annotated[
        bool,
        typer.Option(
            "--secure", help="Kafka with TLS, passwords and rights: a user for each service, and for clients."
        ),
    ] = False,
    jaeger: Annotated[
        bool, typer.Option("--jaeger", help="Start Jaeger as well and send it the spans of all services.")
    ] = False,
    jaeger_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of Jaeger's web page.")] = 16686,
    no_run: Annotated[bool, typer.Option("--no-run", help="Start only the servers, no services.")] = False,
    module: Modules = None,
) -> None:
    """Starts Kafka, a registry and all services.

    They run on this machine; topics and schemas are applied, and Ctrl-C stops everything. The first start
    downloads Kafka and the registry, about 200 MB.
    """
    from orchestrator.local import LocalJaeger, LocalSecurity, LocalStack
    from orchestrator.local.jaeger import jaeger_program
    from orchestrator.operations.access import CLIENT
    from orchestrator.operations.schemas import apply_schemas
    from orchestrator.operations.topics import apply_topics

    folder = data.absolute()
    ports = tuple(range(port, port + nodes)) if port else ()
    security = LocalSecurity(folder / _SECURITY) if secure else None
    stack = LocalStack(folder, nodes, kafka_ports=ports, registry_port=registry_port, security=security)
    modules = tuple(module) if module else None
    given = shell.settings(modules=modules)
    configure_logs(given)
    viewer = LocalJaeger(jaeger_program(given.jaeger), folder / _JAEGER, port=jaeger_port) if jaeger else None
    make_private_folder(folder, "'--data'")
    with stopped_by_signals(), ExitStack() as ending:
        try:
            if reset:
                _delete_data(stack, folder)
            _close_to_others(folder, secure=secure, jaeger=jaeger)
            write_note("starting Kafka and the registry" + (", and Jaeger" if viewer else ""))
            stack.prepare()
            ending.callback(stack.stop)
            stack.start()
            environment = _environment(stack.address, folder)
            if viewer:
                ending.enter_context(viewer)
                environment |= _traced(viewer)
            require_servers = partial(_require_running, (stack, viewer) if viewer else (stack,))
            # After the servers, so that it looks at them before they are stopped.
            ending.enter_context(_ended_server_named(require_servers))
            if security:
                _open_to_users(shell, stack.address, security, modules)
                environment |= security.environment(CLIENT)
            own = security.environment(_PLATFORM) | security.secrets(_PLATFORM) if security else {}
            settings = _settings(shell, environment | _call_keys(folder) | own, modules)
            apply_topics(settings.bus, _APPLY_S)
            apply_schemas(settings.bus)
            files = _secret_files(folder, security)
            shell.show_item(
                environment,
                lambda environment: {
                    "environment": environment,
                    "secret_files": {name: str(path) for name, path in files.items()},
                },
                lambda environment: _export_lines(environment, files),
            )
            _run(settings, require_servers, services=not no_run)
        except Stopped:
            write_note("stopping")


def _delete_data(stack: "LocalStack", folder: Path) -> None:
    """Deletes records, schemas, values and recorded sessions together: the recorder stores offsets of records."""
    stack.reset()
    shutil.rmtree(folder / _VALUES, ignore_errors=True)
    for path in folder.glob(f"{_SESSIONS}*"):
        path.unlink()


def _close_to_others(folder: Path, *, secure: bool, jaeger: bool) -> None:
    """Keeps what sessions contain, and passwords, from other users of this machine, with the data of earlier versions
    too. SQLite gives the files beside a database the mode of the database."""
    folders = {_KAFKA, _REGISTRY, _VALUES}
    folders |= {_SECURITY} if secure else set()
    folders |= {_JAEGER} if jaeger else set()
    folders |= {name for name in (_SECURITY, _JAEGER) if (folder / name).is_dir()}
    files = {_SESSIONS, *(path.name for path in folder.glob(f"{_SESSIONS}-*"))}
    keep_private(folder, sorted(folders), sorted(files))


def _environment(address: "StackAddress", folder: Path) -> dict[str, str]:
    """The environment variables with which another process uses this installation."""
    return {
        "ORCHESTRATOR_BOOTSTRAP_SERVERS": address.bootstrap_servers,
        "ORCHESTRATOR_SCHEMA_REGISTRY_URL": address.schema_registry_url,
        "ORCHESTRATOR_VALUES_URL": str(folder / _VALUES),
        "ORCHESTRATOR_SESSIONS_URL": f"sqlite:///{folder / _SESSIONS}",
    }


def _call_keys(folder: Path) -> dict[str, str]:
    """The key of the calls of this installation, made at its first start."""
    from orchestrator.local.secret_files import kept_secret

    return {"ORCHESTRATOR_CALL_KEYS": kept_secret(folder / _CALL_KEYS, lambda: secrets.token_hex(32))}


def _traced(viewer: "LocalJaeger") -> dict[str, str]:
    """The environment variables that send a process's spans to Jaeger and link to its traces."""
    from orchestrator.app.settings import TRACE_ID

    return {
        "ORCHESTRATOR_OTLP_ENDPOINT": viewer.otlp_endpoint,
        "ORCHESTRATOR_TRACE_URL": f"{viewer.url}/trace/{TRACE_ID}",
    }


def _settings(shell: Shell, environment: "Mapping[str, str]", modules: tuple[str, ...] | None) -> "Settings":
    # The session recorder reads its settings from the environment.
    os.environ.update(environment)
    return shell.settings(
        modules=modules,
        bootstrap_servers=environment["ORCHESTRATOR_BOOTSTRAP_SERVERS"],
        schema_registry_url=environment["ORCHESTRATOR_SCHEMA_REGISTRY_URL"],
        values_url=environment["ORCHESTRATOR_VALUES_URL"],
    )


def _secret_files(folder: Path, security: "LocalSecurity | None") -> "Mapping[str, Path]":
    """Files with what another process needs and nobody shows, by variable."""
    from orchestrator.operations.access import CLIENT

    files = {"ORCHESTRATOR_CALL_KEYS": folder / _CALL_KEYS}
    if security:
        files["ORCHESTRATOR_KAFKA_SASL_PASSWORD"] = security.password_file(CLIENT)
    return files


def _open_to_users(
    shell: Shell, address: "StackAddress", security: "LocalSecurity", modules: tuple[str, ...] | None
) -> None:
    """Creates a user for each service and each kind of user, with its rights, and one with those of all services."""
    from orchestrator.bus.deadline import Deadline
    from orchestrator.local.security import ADMIN
    from orchestrator.operations.access import CLIENT, DEPLOYER, components, users
    from orchestrator.operations.acls import apply_acls, plan_acls

    settings = shell.settings(
        modules=modules,
        bootstrap_servers=address.bootstrap_servers,
        kafka=security.client_settings(ADMIN),
    )
    services = components(settings.plugins(), settings.topic_prefix)
    people = users(settings.topic_prefix)
    everything = (*services.values(), people[DEPLOYER], people[CLIENT])
    wanted = {
        **services,
        **people,
        _PLATFORM: tuple(sorted({right for rights in everything for right in rights})),
    }
    security.create_users(address.bootstrap_servers, wanted, Deadline.after(_APPLY_S))
    plans = plan_acls(settings.bus, wanted, "User:{name}", _APPLY_S)
    apply_acls(settings.bus, plans, _APPLY_S, prune=True)


def _export_lines(environment: "Mapping[str, str]", secret_files: "Mapping[str, Path]") -> str:
    exports = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    # A secret is not shown.
    exports += [f'export {name}="$(cat {shlex.quote(str(path))})"' for name, path in secret_files.items()]
    return "\n".join(["Ready. In another terminal:\n", *exports, ""])


def _require_running(servers: "Iterable[LocalServer]") -> None:
    for server in servers:
        server.require_running()


@contextmanager
def _ended_server_named(require_servers: "Callable[[], None]") -> "Iterator[None]":
    """Inside, an error names the server that has ended, if one has: it is why others do not respond."""
    from orchestrator.local.process import EndedError

    try:
        yield
    except EndedError:
        raise
    except Exception:
        require_servers()
        raise


def _run(settings: "Settings", require_servers: "Callable[[], None]", *, services: bool) -> None:
    """Runs all services, or waits without any, until `Stopped` is raised. Raises what `require_servers` raises."""
    from orchestrator.app.process import ALL, Process
    from orchestrator.app.wiring import wire

    if not services:
        while True:
            require_servers()
            time.sleep(_LOOK_S)
    with Process(wire(settings), [ALL], settings.plugins()) as process:
        write_note(f"running {', '.join(process.names)}; Ctrl-C stops everything")
        process.wait(require_servers)
