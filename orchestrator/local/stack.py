"""Kafka and the registry together: what a developer works with, and what the tests run on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from orchestrator.bus.deadline import Deadline
from orchestrator.errors import UnavailableError
from orchestrator.local.kafka import START_SECONDS, STOP_SECONDS, LocalKafka
from orchestrator.local.registry import LocalRegistry


@dataclass(frozen=True, slots=True)
class StackAddress:
    """Where a cluster and its registry are reached. `schema_registry_url` is empty where there is none."""

    bootstrap_servers: str
    schema_registry_url: str


class LocalStack:
    """A `LocalKafka` in `folder/kafka` and, unless told otherwise, a `LocalRegistry` in `folder/registry`.

    `kafka_ports` and `short_lived` are Kafka's, `registry_port` is the registry's. Not for several threads.
    """

    def __init__(
        self,
        folder: Path,
        nodes: int = 1,
        *,
        kafka_ports: Sequence[int] = (),
        registry: bool = True,
        registry_port: int | None = None,
        short_lived: bool = False,
    ) -> None:
        self.kafka = LocalKafka(folder / "kafka", nodes, ports=kafka_ports, short_lived=short_lived)
        self.registry = LocalRegistry(folder / "registry", port=registry_port) if registry else None
        self._address: StackAddress | None = None

    def __enter__(self) -> Self:
        self.prepare()
        self.start(Deadline.after(START_SECONDS))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def address(self) -> StackAddress:
        if self._address is None:
            raise UnavailableError("The local stack is not running: call start() first.")
        return self._address

    def prepare(self) -> None:
        """Fetch what this machine has not got; up to a minute once, nothing after."""
        self.kafka.prepare()
        if self.registry:
            self.registry.prepare()

    def start(self, deadline: Deadline) -> StackAddress:
        """Start both side by side and wait until both serve.

        Raises `UnavailableError` as they do; nothing is left running then, nor after an interrupt.
        """
        if self._address:
            raise UnavailableError("The local stack is running already.")
        try:
            if self.registry:
                self.registry.launch(deadline)
            self.kafka.start(deadline)
            if self.registry:
                self.registry.await_ready(deadline)
        except BaseException:
            self.stop()
            raise
        self._address = StackAddress(self.kafka.bootstrap_servers, self.registry.url if self.registry else "")
        return self._address

    def stop(self, deadline: Deadline | None = None) -> None:
        """End both in order, with SIGKILL after the deadline (15 s by default). Data and addresses stay."""
        deadline = deadline or Deadline.after(STOP_SECONDS)
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
