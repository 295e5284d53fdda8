from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from orchestrator.local import StackAddress
from tests.chaos import workload
from tests.chaos.topics import Reader
from tests.support.installation import Installation

Installing = Callable[[StackAddress], Installation]


@pytest.fixture
def installing(tmp_path: Path) -> Installing:
    """Makes an installation of its own, with the agents of the workload."""

    def install(address: StackAddress) -> Installation:
        agents = tmp_path / "agents"
        agents.mkdir()
        (agents / "agents.yaml").write_text(workload.AGENTS)
        made = Installation(address, f"chaos-{uuid4().hex[:8]}.", tmp_path)
        made.apply(agents)
        return made

    return install


@pytest.fixture
def installation(kafka_stack: StackAddress, installing: Installing) -> Installation:
    return installing(kafka_stack)


@pytest.fixture
def reading() -> Iterator[Callable[[Installation], Reader]]:
    """Opens plain readers of an installation's topics."""
    opened: list[Reader] = []

    def read(installation: Installation) -> Reader:
        address = installation.address
        opened.append(Reader(address.bootstrap_servers, address.schema_registry_url, installation.prefix))
        return opened[-1]

    yield read
    for reader in opened:
        reader.close()
