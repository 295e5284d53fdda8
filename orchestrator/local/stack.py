"""Kafka and the registry together: for developers and for the tests."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from orchestrator.bus.deadline import Deadline
from orchestrator.errors import UnavailableError
from orchestrator.local.kafka import LocalKafka
from orchestrator.local.process import ServerProcess
from orchestrator.local.registry import LocalRegistry
from orchestrator.local.security import LocalSecurity
from orchestrator.local.server import LocalServer


@dataclass(frozen=True, slots=True)
class StackAddress:
    """Addresses of a cluster and its registry. `schema_registry_url` is empty without a registry."""

    bootstrap_servers: str
    schema_registry_url: str


class LocalStack(LocalServer):
    """A `LocalKafka` in `folder/kafka` and, by default, a `LocalRegistry` in `folder/registry`, started side by side.

    `kafka_ports`, `short_lived` and `security` are Kafka's, `registry_port` is the registry's. Not for several threads.
    """

    NAME: ClassVar = "the local stack"

    def __init__(
        self,
        folder: Path,
        nodes: int = 1,
        *,
        kafka_ports: Sequence[int] = (),
        registry: bool = True,
        registry_port: int | None = None,
        short_lived: bool = False,
        security: LocalSecurity | None = None,
    ) -> None:
        self.kafka = LocalKafka(
            folder / "kafka", nodes, ports=kafka_ports, short_lived=short_lived, security=security
        )
        self.registry = LocalRegistry(folder / "registry", port=registry_port) if registry else None
        self._address: StackAddress | None = None

    @property
    def address(self) -> StackAddress:
        if self._address is None:
            raise self._not_running()
        return self._address

    @property
    def processes(self) -> Iterable[ServerProcess]:
        return [*self.kafka.processes, *(self.registry.processes if self.registry else ())]

    def prepare(self) -> None:
        self.kafka.prepare()
        if self.registry:
            self.registry.prepare()

    def launch(self, deadline: Deadline) -> None:
        if self._address:
            raise UnavailableError(f"{self.NAME} is already running")
        super().launch(deadline)

    def _launch(self, deadline: Deadline) -> None:
        if self.registry:
            self.registry.launch(deadline)
        self.kafka.launch(deadline)

    def _await_ready(self, deadline: Deadline) -> None:
        self.kafka.await_ready(deadline)
        if self.registry:
            self.registry.await_ready(deadline)
        self._address = StackAddress(self.kafka.bootstrap_servers, self.registry.url if self.registry else "")

    def _stop(self, deadline: Deadline) -> None:
        self._address = None
        if self.registry:
            self.registry.stop(deadline)
        self.kafka.stop(deadline)

    def reset(self) -> None:
        """Forget all records and schemas, stopping both first; addresses stay."""
        self.stop()
        self.kafka.reset()
        if self.registry:
            self.registry.reset()
