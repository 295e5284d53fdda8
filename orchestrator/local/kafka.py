"""A real Apache Kafka on this machine, with its data in a folder."""

import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from orchestrator.bus.deadline import Deadline
from orchestrator.errors import ConfigurationError
from orchestrator.local import jars
from orchestrator.local.kafka_node import KafkaNode, NodeSettings
from orchestrator.local.kafka_settings import NodePorts
from orchestrator.local.kafka_state import KafkaState, new_cluster_id
from orchestrator.local.ports import PortLeases
from orchestrator.local.process import ServerProcess
from orchestrator.local.security import LocalSecurity
from orchestrator.local.server import FolderServer
from orchestrator.local.startup_cache import QUICK_START, TRAINING_SECONDS, ensure_startup_cache


class LocalKafka(FolderServer):
    """Kafka 4.3 in KRaft mode on 127.0.0.1: `nodes` processes, each of them broker and controller.

    - `folder` holds data, logs (`node-N/kafka-N.log`), settings and ports; they outlive a stop, so a later
      start has the same address, cluster and records. One object of one process may run it at a time.
    - `ports` sets the brokers' ports, one for each node; by default free ones are chosen and remembered.
    - `properties` change or add settings of `server.properties`.
    - `short_lived` starts faster and in half the CPU time, with code that never reaches full speed: for tests,
      not for measurements.
    - `security` has clients connect as users, by TLS, and gives each what its rights allow. Of a folder it is always
      the same.

    It serves once every node serves and knows all others. The processes end when this process does, however it
    ends. A stop keeps data and ports. Nodes are numbered from 1. Not for several threads.
    """

    NAME: ClassVar = "the local Kafka"

    def __init__(
        self,
        folder: Path,
        nodes: int = 1,
        *,
        ports: Sequence[int] = (),
        properties: Mapping[str, str] | None = None,
        short_lived: bool = False,
        security: LocalSecurity | None = None,
    ) -> None:
        if nodes not in (1, 3):
            raise ConfigurationError(f"a local Kafka has 1 or 3 nodes, not {nodes}")
        if ports and len(ports) != nodes:
            raise ConfigurationError(f"{nodes} nodes need {nodes} ports, not {len(ports)}")
        super().__init__(folder)
        self._count = nodes
        self._wanted_ports = tuple(ports)
        self._properties = dict(properties or {})
        self._java_options = QUICK_START if short_lived else ("-XX:+UseSerialGC",)
        self._security = security
        self._nodes: list[KafkaNode] = []
        self._state: KafkaState | None = None

    @property
    def bootstrap_servers(self) -> str:
        if self._state is None:
            raise self._not_running()
        return ",".join(f"127.0.0.1:{ports.broker}" for ports in self._state.ports)

    @property
    def cluster_id(self) -> str:
        if self._state is None:
            raise self._not_running()
        return self._state.cluster_id

    @property
    def processes(self) -> Iterable[ServerProcess]:
        return [node.process for node in self._nodes]

    def prepare(self) -> None:
        """Fetch Kafka and create its startup cache if this machine lacks them; takes up to a minute."""
        ensure_startup_cache(jars.kafka_folder(), _train)
        if self._security is not None:
            self._security.prepare()

    def _launch(self, deadline: Deadline) -> None:
        self._state = self._opened_state()
        self._nodes = [self._node(number, self._state) for number in range(1, self._count + 1)]
        for node in self._nodes:
            node.start(deadline)

    def _await_ready(self, deadline: Deadline) -> None:
        for node in self._nodes:
            node.await_ready(deadline, brokers=self._count, require_running=self.require_running)

    def _stop(self, deadline: Deadline) -> None:
        for node in self._nodes:
            node.process.terminate()
        for node in self._nodes:
            node.process.stop(deadline)
        self._nodes, self._state = [], None

    def reset(self) -> None:
        """Forget every record and the cluster's identity, stopping it first; ports stay."""
        with self._stopped():
            for folder in self._folder.glob("node-*"):
                shutil.rmtree(folder)
            if state := KafkaState.load(self._state_file):
                KafkaState(new_cluster_id(), state.ports).save(self._state_file)

    def kill(self, node: int) -> None:
        """End a node with SIGKILL and wait until it has ended. Its port stays leased."""
        self._running(node).process.kill()

    def restart(self, node: int, deadline: Deadline) -> None:
        """Restart a node, ending it in order if it still runs, and wait until it serves."""
        chosen = self._running(node)
        chosen.process.stop(deadline)
        chosen.start(deadline)
        chosen.await_ready(deadline)

    def pause(self, node: int) -> None:
        """Freeze a node: its connections stay open, but it does not respond."""
        self._running(node).pause()

    def resume(self, node: int) -> None:
        self._running(node).resume()

    def pid(self, node: int) -> int:
        """The process id of the node's Java. Raises `UnavailableError` if it has ended."""
        return self._running(node).process.pid

    def log(self, node: int) -> Path:
        """The file with everything that the node has written."""
        return self._running(node).process.log

    @property
    def _state_file(self) -> Path:
        return self._folder / "cluster.json"

    def _running(self, node: int) -> KafkaNode:
        if not 1 <= node <= self._count:
            raise ConfigurationError(f"node {node} does not exist: nodes are numbered 1 to {self._count}")
        if not self._nodes:
            raise self._not_running()
        return self._nodes[node - 1]

    def _node(self, number: int, state: KafkaState) -> KafkaNode:
        return KafkaNode(
            NodeSettings(
                number=number,
                folder=self._folder / f"node-{number}",
                cluster_id=state.cluster_id,
                ports=state.ports,
                properties=self._properties,
                java_options=self._java_options,
                security=self._security,
            )
        )

    def _opened_state(self) -> KafkaState:
        """The remembered state, or a new one, with a lease on each of its ports."""
        known = KafkaState.load(self._state_file)
        if known and len(known.ports) != self._count:
            raise ConfigurationError(
                f"{self._folder} holds a Kafka of {len(known.ports)} nodes, not {self._count}: "
                "use that many, or another folder"
            )
        ports = known.ports if known else ()
        brokers = self._wanted_ports or tuple(each.broker for each in ports)
        controllers = tuple(each.controller for each in ports)
        state = KafkaState(
            known.cluster_id if known else new_cluster_id(),
            tuple(map(NodePorts, self._leased(brokers), self._leased(controllers))),
        )
        state.save(self._state_file)
        return state

    def _leased(self, numbers: Sequence[int]) -> list[int]:
        """Lease these ports, or a free one for each node if none are given."""
        wanted: Sequence[int | None] = numbers or [None] * self._count
        return [self._leases.add(number) for number in wanted]


def _train(option: str) -> None:
    """Run a node with this JVM option until it serves."""
    deadline = Deadline.after(TRAINING_SECONDS)
    with PortLeases() as leases, tempfile.TemporaryDirectory(prefix="kafka-") as folder:
        ports = NodePorts(leases.add(), leases.add())
        options = ("-XX:+UseSerialGC", option)
        node = KafkaNode(NodeSettings(1, Path(folder), new_cluster_id(), [ports], java_options=options))
        try:
            node.start(deadline)
            node.await_ready(deadline)
        finally:
            node.process.stop(deadline)
