"""The Kafka that benchmarks run on, and installations of the platform on it."""

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final
from uuid import uuid4

from benchmarks.processes import cpu_seconds
from orchestrator import schemas
from orchestrator.app.settings import load
from orchestrator.app.wiring import Wiring, wire
from orchestrator.bus.avro.registry import registry_client
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.kafka import topics
from orchestrator.bus.kafka.bus import KafkaBus
from orchestrator.local import LocalStack, StackAddress
from orchestrator.operations.definition_files import publish_definitions, read_definition_files
from tests.support.installation import Installation

AGENT: Final = Path(__file__).with_name("agent")
PARTITIONS: Final = 8
SET_UP_S: Final = 60.0
SERVICES: Final = (
    ("orchestrator",),
    ("planner",),
    ("tool-selector",),
    ("tool-executor", "--module", str(AGENT / "tools.py")),
    ("evaluator",),
    ("recovery",),
)
"""One slot and one copy of each service, each a process."""


@dataclass
class Cluster:
    """A running Kafka. `broker_pids` is empty if its brokers are not our processes: their CPU time is unknown then."""

    address: StackAddress
    folder: Path
    broker_pids: tuple[int, ...] = ()
    _platforms: "list[Platform]" = field(default_factory=list)

    @property
    def nodes(self) -> int:
        return len(self.address.bootstrap_servers.split(","))

    def broker_cpu(self) -> float:
        """CPU seconds that all brokers have used so far."""
        return cpu_seconds(self.broker_pids)

    def installation(self, agent: Path = AGENT, **environment: str) -> "Platform":
        """Creates topics, schemas and the agent of a folder. `environment` holds settings by upper-case name."""
        folder = self.folder / f"installation-{len(self._platforms)}"
        folder.mkdir(parents=True)
        own = {
            "ORCHESTRATOR_PARTITIONS": str(PARTITIONS),
            **{f"ORCHESTRATOR_{name}": value for name, value in environment.items()},
        }
        made = Platform(self.address, f"bench-{uuid4().hex[:8]}.", folder, own)
        self._platforms.append(made)
        made.set_up(agent)
        return made

    def close(self) -> None:
        """Closes the clients of its installations."""
        for platform in self._platforms:
            platform.wiring.close()


class Platform(Installation):
    """An installation with the clients that benchmarks use."""

    @cached_property
    def wiring(self) -> Wiring:
        return wire(load(environment=self.environment))

    def set_up(self, agent: Path) -> None:
        """Creates topics, schemas and the agent as the command line does, without starting it three times."""
        bus, deadline = self.wiring.settings.bus, Deadline.after(SET_UP_S)
        admin = KafkaBus(bus).admin
        topics.apply(topics.plan(admin, bus, deadline), admin, bus, deadline)
        with registry_client(bus) as registry:
            schemas.apply(registry, bus)
        publish_definitions(self.wiring, read_definition_files(agent))


@contextmanager
def cluster(nodes: int = 1) -> Iterator[Cluster]:
    """A Kafka with `nodes` brokers and a registry, in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with LocalStack(folder / "stack", nodes) as stack:
            pids = tuple(stack.kafka.pid(number) for number in range(1, nodes + 1))
            with closing(Cluster(stack.address, folder, pids)) as made:
                yield made
