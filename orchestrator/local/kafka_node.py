"""One Kafka process: its files, its command line, and the check that it serves."""

import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from orchestrator.bus.deadline import Deadline
from orchestrator.errors import ConfigurationError, UnavailableError
from orchestrator.local import jars
from orchestrator.local.endings import full_disk, last_error
from orchestrator.local.kafka_settings import LOGGING, NodePorts, node_properties, render
from orchestrator.local.process import ServerProcess
from orchestrator.local.security import ADMIN, LISTENER, LocalSecurity
from orchestrator.local.startup_cache import QUICK_START, startup_options

_ANSWER_SECONDS = 2.0
_HAS_USERS: Final = "has-users"
"""A file in the storage of a cluster that was made with users."""


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What one node is started with. `number` counts from 1 and is its place in `ports`."""

    number: int
    folder: Path
    cluster_id: str
    ports: Sequence[NodePorts]
    properties: Mapping[str, str] = field(default_factory=dict)
    java_options: Sequence[str] = ()
    security: LocalSecurity | None = None


class KafkaNode:
    """Broker and controller in one process, its data in `folder/data`, its log `folder/kafka-N.log`."""

    def __init__(self, settings: NodeSettings) -> None:
        self._settings = settings
        self._data = settings.folder / "data"
        self._config = settings.folder / "server.properties"
        self.process = ServerProcess(f"kafka-{settings.number}", settings.folder)

    def start(self, deadline: Deadline) -> None:
        """Start the process, formatting its storage if it is new; returns before it serves."""
        folder = self._settings.folder
        folder.mkdir(parents=True, exist_ok=True)
        settings = self._settings
        changes, listener = settings.properties, "PLAINTEXT"
        if settings.security is not None:
            changes, listener = {**settings.security.broker_properties(), **changes}, LISTENER
        properties = node_properties(settings.number, settings.ports, self._data, changes, listener)
        # They may hold a password.
        self._config.touch(mode=0o600)
        self._config.write_text(render(properties), encoding="latin-1")
        (folder / "log4j2.properties").write_text(LOGGING)
        self.process.end_orphan(deadline)
        if (self._data / "meta.properties").exists():
            self._require_users()
        else:
            self._format(deadline)
        command = self._java("-Xmx512m", "-XX:+ExitOnOutOfMemoryError", *settings.java_options)
        self.process.start([*command, "kafka.Kafka", str(self._config)])

    def _require_users(self) -> None:
        """Users are made when the storage is formatted: none of them could log in later."""
        if self._settings.security is not None and not (self._data / _HAS_USERS).exists():
            raise ConfigurationError(
                f"the cluster in {self._data} was made without users: use another folder, or delete its data with "
                "`orchestrator dev --reset`"
            )

    def await_ready(
        self, deadline: Deadline, brokers: int = 1, require_running: Callable[[], None] | None = None
    ) -> None:
        """Wait until the node responds and knows this many living brokers, itself included.

        `require_running` raises if one of them has ended; by default only this node is watched. Raises `EndedError`
        if it has, `UnavailableError` if it does not respond by the deadline.
        """
        port = self._settings.ports[self._settings.number - 1].broker
        # A socket first: librdkafka backs off, and logs errors, while nothing listens.
        self.process.await_serving(lambda: _listens(port), deadline, require_running)
        security = self._settings.security
        client = security.client_settings(ADMIN) if security is not None else {}
        admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0, **client})
        self.process.await_serving(lambda: self._knows(brokers, admin, deadline), deadline, require_running)

    def _knows(self, brokers: int, admin: AdminClient, deadline: Deadline) -> bool:
        try:
            metadata = admin.list_topics(timeout=min(_ANSWER_SECONDS, deadline.remaining()))
        except KafkaException:
            return False
        return self._settings.number in metadata.brokers and len(metadata.brokers) >= brokers

    def _format(self, deadline: Deadline) -> None:
        format_storage = ["kafka.tools.StorageTool", "format", "--ignore-formatted"]
        format_storage += [f"--cluster-id={self._settings.cluster_id}", f"--config={self._config}"]
        if self._settings.security is not None:
            format_storage += self._settings.security.format_options()
        command = [*self._java("-Xmx128m", *QUICK_START), *format_storage]
        try:
            done = subprocess.run(  # noqa: S603 - our own Java
                command, capture_output=True, text=True, timeout=deadline.remaining(), check=False
            )
        except subprocess.TimeoutExpired:
            raise UnavailableError(
                "Kafka did not format its storage by the deadline: allow more time"
            ) from None
        if done.returncode:
            output = f"{done.stdout}{done.stderr}"
            reason = full_disk(self._settings.folder) or last_error(output.splitlines()) or output
            raise UnavailableError(f"Kafka failed to format {self._data}: {reason}")
        if self._settings.security is not None:
            (self._data / _HAS_USERS).touch()

    def pause(self) -> None:
        """Suspend it, as a machine that hangs: its connections stay open, but it does not respond."""
        self.process.send(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send(signal.SIGCONT)

    def _java(self, *options: str) -> list[str]:
        return [
            str(jars.java()),
            *options,
            *startup_options(jars.kafka_folder()),
            f"-Dlog4j2.configurationFile={self._settings.folder / 'log4j2.properties'}",
            "-cp",
            jars.kafka_class_path(),
        ]


def _listens(port: int) -> bool:
    # In a `with` block from the start: an interrupt may come at any point, and leaves no socket open.
    with socket.socket() as probe:
        probe.settimeout(_ANSWER_SECONDS)
        return probe.connect_ex(("127.0.0.1", port)) == 0
