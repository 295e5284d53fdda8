from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from pydantic import SecretStr

from orchestrator.bus.avro.schema_ids import CatalogueIds
from orchestrator.bus.codec import Codec
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.kafka.bus import KafkaBus
from orchestrator.bus.ports import Outgoing
from orchestrator.bus.settings import BusSettings
from orchestrator.client import Client
from orchestrator.client.connection import Connected
from orchestrator.local.embedded import EmbeddedCluster
from orchestrator.messages.base import Event
from orchestrator.messages.catalogue import TOPICS
from orchestrator.testing.memory import MemoryValues

PARTITIONS = 4


class Platform:
    """Writes to the cluster as the platform would."""

    def __init__(self, bus: KafkaBus, codec: Codec) -> None:
        self.bus = bus
        self.codec = codec
        self._producer = bus.producer()

    def writes(self, *events: Event) -> None:
        for event in events:
            self.sends(self.codec.encode(event, source="/orchestrator/0"))

    def queues(self, outgoing: Outgoing) -> None:
        self._producer.send(outgoing)

    def sends(self, outgoing: Outgoing) -> None:
        self.queues(outgoing)
        assert self._producer.flush(Deadline.after(10)) == 0

    def close(self) -> None:
        self._producer.close()


@pytest.fixture(scope="module")
def cluster() -> Iterator[BusSettings]:
    """A cluster of this module's tests; sessions keep them apart."""
    with EmbeddedCluster(
        {f"agents.{spec.topic}": spec.partitions or PARTITIONS for spec in TOPICS}
    ) as running:
        yield BusSettings(
            bootstrap_servers=running.bootstrap_servers,
            partitions=PARTITIONS,
            # This broker waits the whole time even when a record has come meanwhile.
            kafka={"fetch.wait.max.ms": SecretStr("10")},
        )


@pytest.fixture(scope="module")
def platform(cluster: BusSettings) -> Iterator[Platform]:
    platform = Platform(KafkaBus(cluster), Codec(CatalogueIds()))
    yield platform
    platform.close()


@pytest.fixture(scope="module")
def values() -> MemoryValues:
    return MemoryValues()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(cluster: BusSettings, values: MemoryValues) -> AsyncIterator[Client]:
    connection = Connected(KafkaBus(cluster), Codec(CatalogueIds()), values)
    async with Client(connection) as client:
        yield client
